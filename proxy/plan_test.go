package proxy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"riptide-proxy/resp"
	"riptide-proxy/tests/harness"
	"riptide-proxy/upstream"
	"riptide-proxy/value"
)

// Marks last for a while, and one key's is hardly ever taken for another's.
func TestMarks(t *testing.T) {
	m := newMarks()
	prefix := []byte("t:acme:0:")
	name := func(key string) value.Name { return value.Name{Prefix: prefix, Key: []byte(key)} }
	if m.has(name("a")) {
		t.Error("a mark before there is any")
	}
	m.add([]byte("t:acme:0:a"))
	for _, c := range []struct {
		name value.Name
		want bool
	}{
		{name("a"), true}, {name("b"), false}, {name(""), false},
		{value.Name{Prefix: []byte("t:acme:1:"), Key: []byte("a")}, false},
		{value.Name{Prefix: []byte("t:acme:0"), Key: []byte(":a")}, true}, // the same stored name
	} {
		if m.has(c.name) != c.want {
			t.Errorf("%s%s: %v", c.name.Prefix, c.name.Key, !c.want)
		}
	}
	m.born = m.born.Add(-markTime + 2*time.Second)
	if !m.has(name("a")) {
		t.Error("the mark ended early")
	}
	m.born = m.born.Add(-3 * time.Second)
	if m.has(name("a")) {
		t.Error("the mark has not ended")
	}
	m.add([]byte("t:acme:0:a"))
	if !m.has(name("a")) {
		t.Error("it was not marked again")
	}
}

// The replies to a talk come in their order, and an error only once all of them are there.
func TestTalk(t *testing.T) {
	var none *talk
	none.reply([]byte("+OK\r\n")) // of one that nobody waits for any more
	none.fail(upstream.ErrUnknown)

	x := &talk{want: 2, done: make(chan struct{})}
	line := []byte("+one\r\n")
	x.reply(line)
	copy(line, "+two")
	x.reply(line)
	x.reply([]byte("+three\r\n"))
	await(t, x.done, "the talk")
	if len(x.replies) != 2 || string(x.replies[0]) != "+one\r\n" || string(x.replies[1]) != "+two\r\n" || x.err != nil {
		t.Errorf("%q, %v", x.replies, x.err)
	}
	for _, errs := range [][]error{{upstream.ErrUnavailable, upstream.ErrUnknown}, {upstream.ErrUnknown, upstream.ErrUnavailable}} {
		x = &talk{want: 2, done: make(chan struct{})}
		x.fail(errs[0])
		x.fail(errs[1])
		await(t, x.done, "the talk")
		if x.err != upstream.ErrUnknown {
			t.Errorf("%v: %v", errs, x.err)
		}
	}
}

// ask tells a refusal from a key of another type, and bounds what is asked for at once.
func TestAsk(t *testing.T) {
	var sizes []int
	answer := func(reply string) talker {
		return func(_ context.Context, requests [][]byte) (replies [][]byte, err error) {
			sizes = append(sizes, len(requests))
			for range requests {
				replies = append(replies, []byte(reply))
			}
			return replies, nil
		}
	}
	many := make([][]byte, 2*askedAtOnce+1)
	replies, err := ask(t.Context(), answer("-WRONGTYPE no\r\n"), many...)
	if len(replies) != len(many) || err != nil || !slices.Equal(sizes, []int{askedAtOnce, askedAtOnce, 1}) {
		t.Errorf("%d replies, %v, %v", len(replies), err, sizes)
	}
	if _, err := ask(t.Context(), answer("-BUSY a script\r\n"), many[0]); err == nil || err.Error() != "BUSY a script" {
		t.Errorf("%v", err)
	}
	lost := func(context.Context, [][]byte) ([][]byte, error) { return nil, upstream.ErrUnknown }
	if _, err := ask(t.Context(), lost, many[0]); err != upstream.ErrUnavailable {
		t.Errorf("%v", err)
	}
}

// A plan begins anew when a key changes meanwhile, and leaves its commands as they are when no value
// is sealed.
func TestPlanTriesAgain(t *testing.T) {
	f := newFake(t)
	s := startSealed(t, f.address(), options{})
	sealed := string(bulk(seal(t, s, zstdTenant, "k", compressible(100))))
	var stored atomic.Value
	stored.Store(sealed)
	var execs atomic.Int32
	for name, reply := range map[string]string{"WATCH": okReply, "UNWATCH": okReply, "MULTI": okReply, "APPEND": queued} {
		f.handle(name, func([]string) []byte { return []byte(reply) })
	}
	var sets atomic.Int32
	f.handle("SET", func(args []string) []byte {
		if !strings.Contains(args[1], ":0:") {
			return []byte(okReply) // the proxy's own
		}
		sets.Add(1)
		if want := []string{"SET", "t:" + zstdTenant + ":0:k", compressible(100), "KEEPTTL"}; !slices.Equal(args, want) {
			t.Errorf("%.200q", args)
		}
		return []byte(queued)
	})
	look := func([]string) []byte { return []byte(stored.Load().(string)) }
	f.handle("GETRANGE", look)
	f.handle("GET", look)
	f.handle("EXEC", func([]string) []byte {
		switch execs.Add(1) {
		case 1:
			return []byte("*-1\r\n") // the same once more
		case 2:
			stored.Store("$5\r\nplain\r\n")
			return []byte("*-1\r\n")
		}
		return []byte("*1\r\n:6\r\n")
	})
	c := login(t, s, zstdTenant)
	c.send("MULTI", "APPEND k v", "EXEC")
	c.read("+OK\r\n+QUEUED\r\n*1\r\n:6\r\n")
	if execs.Load() != 3 || sets.Load() != 2 {
		t.Errorf("%d times EXEC, %d times SET", execs.Load(), sets.Load())
	}
	c.expect("+PONG\r\n", "PING")
}

// When the connection is lost in the middle of a plan the client is told what that means, and goes on.
func TestPlanLosesConnection(t *testing.T) {
	for _, c := range []struct {
		name, commands, lost string
		want                 error
	}{
		{"before", "MULTI,APPEND k v,EXEC", "WATCH", upstream.ErrUnavailable},
		{"reading", "MULTI,APPEND k v,EXEC", "GETRANGE", upstream.ErrUnavailable},
		{"in between", "MULTI,APPEND k v,EXEC", "EXEC", upstream.ErrUnknown},
		{"alone before", "SORT l BY w:* ALPHA", "WATCH", upstream.ErrUnavailable},
		{"alone in between", "SORT l BY w:* ALPHA", "EXEC", upstream.ErrUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			s := startSealed(t, f.address(), options{})
			for name, reply := range map[string]string{
				"WATCH": okReply, "UNWATCH": okReply, "MULTI": okReply, "APPEND": queued, "SORT": queued, "GETRANGE": "$-1\r\n", "TYPE": "+none\r\n",
			} {
				f.handle(name, func([]string) []byte { return []byte(reply) })
			}
			f.handle(c.lost, func([]string) []byte { return nil })
			x := login(t, s, zstdTenant)
			commands := strings.Split(c.commands, ",")
			x.send(commands...)
			for range commands[1:] {
				x.next()
			}
			x.read(string(resp.AppendError(nil, c.want.Error())))
			x.expect("+PONG\r\n", "PING")
			x.expect("$-1\r\n", "GET", "k")
			onLoop(t, s.workers[0], func() {
				if y := newest(s.workers[0]); y.pin != nil || y.planning != 0 || y.head != y.tail {
					t.Errorf("pin %v, %d plans, slots %d to %d", y.pin, y.planning, y.head, y.tail)
				}
			})
		})
	}
}

// Shutdown waits for plans, and breaks them off when its time is over; a client that leaves breaks off its own.
func TestShutdownOfPlans(t *testing.T) {
	for _, commands := range []string{"MULTI,APPEND k v,EXEC", "SORT l BY w:* ALPHA"} {
		for _, how := range []string{"answered", "timeout", "left"} {
			t.Run(commands[:4]+" "+how, func(t *testing.T) {
				f := newFake(t)
				s := startSealed(t, f.address(), options{})
				for name, reply := range map[string]string{
					"WATCH": okReply, "UNWATCH": okReply, "MULTI": okReply, "APPEND": queued, "SORT": queued, "GETRANGE": "$-1\r\n", "TYPE": "+none\r\n",
				} {
					f.handle(name, func([]string) []byte { return []byte(reply) })
				}
				arrived, open := f.gate("EXEC", "*1\r\n*0\r\n")
				x := login(t, s, zstdTenant)
				all := strings.Split(commands, ",")
				x.send(all...)
				for range all[1:] {
					x.next()
				}
				await(t, arrived, "EXEC")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if how == "left" {
					x.tcp().SetLinger(0) // without it, it may still want the answer
					x.Close()
					harness.Eventually(t, "the client is gone", func() bool { return stats(t, s).Clients == 0 })
					open()
				}
				done := begin(ctx, s)
				switch how {
				case "answered":
					open()
					if reply := x.next(); reply[0] != '*' {
						t.Errorf("%q", reply)
					}
				case "timeout":
					cancel()
					if reply := x.next(); reply[0] != '-' {
						t.Errorf("%q", reply)
					}
				}
				err := await(t, done, "Shutdown")
				if errors.Is(err, ErrTimeout) != (how == "timeout") {
					t.Errorf("Shutdown: %v", err)
				}
				if how != "left" {
					x.ends()
				}
			})
		}
	}
}

// A connection may come with something watched that somebody else has left there.
func TestUnwatched(t *testing.T) {
	for nulls, want := range []error{nil, nil, errContended} {
		calls := 0
		talk := func(context.Context, [][]byte) ([][]byte, error) {
			exec := []byte("*1\r\n+string\r\n")
			if calls++; calls <= nulls {
				exec = []byte("*-1\r\n")
			}
			return [][]byte{ok, []byte(queued), exec}, nil
		}
		replies, err := unwatched(t.Context(), talk, rawRequest("TYPE", "k"))
		if err != want || err == nil && (len(replies) != 1 || string(replies[0]) != "+string\r\n") {
			t.Errorf("after %d nulls: %q, %v", nulls, replies, err)
		}
	}
}

// What a script says it has come upon is made plain in the tenant's databases only.
func TestPlainPlanKeys(t *testing.T) {
	s := startEmbedded(t, options{})
	login(t, s, "acme")
	w := s.workers[0]
	onLoop(t, w, func() {
		for _, x := range w.sessions {
			if x.who == nil {
				continue
			}
			x.stats.values = &valueView{tenantValues: newTenantValues(nil)}
			var keys []string
			for _, k := range []string{"t:acme:0:k", "t:acme:15:", "t:acme:dicts", "t:acme:16:k", "t:globex:0:k", "t:acme2:0:k", "t::values", "k", ""} {
				for _, n := range x.plainPlan([][]byte{[]byte(k)}).needs {
					keys = append(keys, string(n.key))
				}
			}
			x.stats.values = nil
			if got := strings.Join(keys, " "); got != "t:acme:0:k t:acme:15:" {
				t.Errorf("it is %q", got)
			}
		}
	})
}
