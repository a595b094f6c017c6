package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/tests/harness"
)

// pour sends a command many times and waits until all are answered.
func pour(c *client, times int, args ...string) {
	c.t.Helper()
	c.write(append(bytes.Repeat(harness.Request(args...), times), harness.Request("ECHO", "poured")...))
	for c.next() != "$6\r\npoured\r\n" {
	}
}

func hotKeysOf(t testing.TB, s *Server, tenant string) []HotKey {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	list, err := s.HotKeys(ctx, tenant)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestHotKeys(t *testing.T) {
	t.Parallel()
	s := startEmbedded(t, options{loops: 2})
	const odd = "\x00\xff\"\\\n<b>\u2028t:acme:0:"
	var all []*client
	for range 4 {
		all = append(all, login(t, s, "acme"))
	}
	other := login(t, s, "globex")
	for i, c := range all {
		pour(c, 3000, "GET", "hot")
		if i == 0 {
			pour(c, 2000, "HGETALL", odd)
			c.expect("+OK\r\n", "SELECT", "3")
			pour(c, 2000, "SET", "hot", "v")
			pour(c, 2000, "MGET", strings.Repeat("l", 300), "hot")
			pour(c, 1000, "PUBLISH", "channel", "x")
			pour(c, 50, "KEYS", "pattern")
			pour(c, 1000, "PING")
			c.expect("+OK\r\n", "MULTI")
			for range 1000 {
				c.expect("+QUEUED\r\n", "GET", "queued")
			}
		}
	}
	pour(other, 2000, "GET", "foreign")
	list := hotKeysOf(t, s, "acme")
	text, _ := json.Marshal(list)
	got := map[string]HotKey{}
	for _, k := range list {
		got[fmt.Sprint(k.Database, k.Key)] = k
	}
	if len(list) != 5 || list[0].Key != "hot" || list[0].Database != 0 {
		t.Fatalf("%s", text)
	}
	for name, want := range map[string]uint64{`0hot`: 12000, `0\x00\xff"\\\x0a<b>\xe2\x80\xa8t:acme:0:`: 2000, `3hot`: 4000, "3" + strings.Repeat("l", 256): 2000, "3queued": 1000} {
		k := got[name]
		if k.Commands < want/2 || k.Commands > want*2 || k.Cut != strings.HasPrefix(name, "3ll") || k.Share < float64(want)/21000/2 || k.Share > float64(want)/21000*2 {
			t.Errorf("%q: %+v, want about %d, of %s", name, k, want, text)
		}
	}
	if foreign := hotKeysOf(t, s, "globex"); len(foreign) != 1 || foreign[0].Key != "foreign" || foreign[0].Share != 1 {
		t.Errorf("%+v", foreign)
	}
	if none := hotKeysOf(t, s, "nobody"); len(none) != 0 {
		t.Errorf("%+v", none)
	}
	// Off, and on again, while clients are there.
	both := map[string]string{"acme": "", "globex": ""}
	apply(t, s, both, "hot_keys: {enabled: false}")
	pour(other, 1000, "GET", "foreign")
	if list := hotKeysOf(t, s, "globex"); len(list) != 0 {
		t.Errorf("though it is off: %+v", list)
	}
	apply(t, s, both)
	pour(other, 1000, "GET", "again")
	if list := hotKeysOf(t, s, "globex"); len(list) != 1 || list[0].Key != "again" {
		t.Errorf("on again: %+v", list)
	}
	// Whoever has the name next does not see what the one before has done.
	apply(t, s, map[string]string{"acme": ""})
	apply(t, s, both)
	if list := hotKeysOf(t, s, "globex"); len(list) != 0 {
		t.Errorf("of the one before: %+v", list)
	}
}

// What a key's list must find is found, whatever else is named, in whatever order.
func TestHotListFinds(t *testing.T) {
	for _, room := range []int{hotFew, hotKeys} {
		var l hotList
		n := 20000
		for i := range n {
			l.add(fmt.Appendf(nil, "cold:%d", i), 0, room)
			if i%(room-2) == 0 { // more than 1/room of all
				l.add([]byte("warm"), 0, room)
			}
		}
		list := mergedHot([]hotList{l})
		if len(list.keys) == 0 || string(list.keys[0].name) != "warm" || int(list.keys[0].count) < n/room/2 {
			t.Errorf("room %d: %d keys, %+v", room, len(list.keys), list.keys[:min(len(list.keys), 1)])
		}
		if len(l.keys) != room {
			t.Errorf("%d keys, room for %d", len(l.keys), room)
		}
		var sum uint32
		for _, k := range l.keys {
			sum += k.count
		}
		if sum != l.total {
			t.Errorf("%d counted of %d", sum, l.total)
		}
		l.halve(hotFew / 2)
		if len(l.keys) != hotFew/2 || string(l.keys[0].name) != "warm" {
			t.Errorf("halved: %d keys", len(l.keys))
		}
		for range 32 {
			l.halve(room)
		}
		if len(l.keys) != 0 || l.total != 0 {
			t.Errorf("%+v", l)
		}
	}
}

// sampler is a worker's, without the worker's loop.
func sampler(t testing.TB, tenants int) (*worker, *command.Command, func(key string) *namespace.Request) {
	t.Helper()
	s := startEmbedded(t, options{})
	login(t, s, "acme") // so that there is a session
	w := s.workers[0]
	onLoop(t, w, func() { w.hot.room = hotRoom(tenants, 1) })
	limits := resp.DefaultLimits()
	return w, command.Named("get"), func(key string) *namespace.Request {
		var req resp.Request
		raw := harness.Request("GET", key)
		if _, err := req.Scan(raw, &limits); err != nil {
			t.Fatal(err)
		}
		return &namespace.Request{Raw: raw, Args: req.Args}
	}
}

// Two keys in turn are seen equally often: no period escapes.
func TestHotSamplingHasNoPeriod(t *testing.T) {
	w, cmd, request := sampler(t, 1)
	for _, period := range []int{2, 64, 95, 96, 128} {
		onLoop(t, w, func() {
			s := w.stats["acme"].first
			s.stats.hot = nil
			w.hot.has = nil
			hot, cold := request("hot"), request("cold")
			n := 200_000
			for i := range n {
				if i%period == 0 {
					s.sampleKeys(cmd, hot)
				} else {
					s.sampleKeys(cmd, cold)
				}
			}
			got := map[string]uint32{}
			for _, k := range s.stats.hot.keys {
				got[string(k.name)] = k.count
			}
			want := float64(n) / float64(period) / hotWeight
			if f := float64(got["hot"]); f < want/2-5 || f > want*2+5 {
				t.Errorf("one of %d: %v, want about %.0f", period, got, want)
			}
		})
	}
}

// Ten thousand tenants that name a new and long key each time take a bounded share of memory, and none of another's.
func TestHotKeysMemory(t *testing.T) {
	const tenants = 10_000
	w, cmd, request := sampler(t, tenants)
	onLoop(t, w, func() {
		s := w.stats["acme"].first
		mine := s.stats
		quiet := request("quiet")
		for range 20 {
			w.hot.look(s, cmd, quiet)
		}
		long := request(strings.Repeat("x", 4<<10))
		all := make([]tenantStats, tenants)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range all {
			s.stats = &all[i]
			for j := range 3 * hotFew {
				copy(long.Raw[long.Args[1].Beg:], fmt.Sprint(i, " ", j, " "))
				w.hot.look(s, cmd, long)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		s.stats = mine
		if got := int64(after.HeapAlloc) - int64(before.HeapAlloc); got > tenants*hotFew*(hotKeySize+128) {
			t.Errorf("%d bytes", got)
		} else {
			t.Logf("%d KiB for %d tenants", got>>10, tenants)
		}
		for i := range all {
			if n := len(all[i].hot.keys); n > hotFew {
				t.Fatalf("%d keys of a tenant", n)
			}
		}
		if mine.hot.total != 20 || len(mine.hot.keys) != 1 {
			t.Errorf("the quiet one's: %+v", mine.hot)
		}
		// In time all is forgotten.
		for now := w.loop.Now(); len(w.hot.has) > 0; now += int64(hotHalf) {
			if w.hot.age(now); now > int64(time.Hour) {
				t.Fatal("it is never forgotten")
			}
		}
	})
}

// A tenant that was removed and is there again at once is counted once.
func TestHotKeysOfReturned(t *testing.T) {
	t.Parallel()
	s := startEmbedded(t, options{})
	w := s.workers[0]
	for range 2 {
		apply(t, s, map[string]string{"acme": "", "globex": ""})
		pour(login(t, s, "acme"), 2*(hotLeast+hotSpread), "GET", "k")
		onLoop(t, w, func() {
			if n := len(w.hot.has); n != 1 {
				t.Errorf("%d lists", n)
			}
		})
		apply(t, s, map[string]string{"globex": ""})
	}
}

func TestHotRoom(t *testing.T) {
	for _, c := range [][3]int{{0, 1, 64}, {1, 1, 64}, {1024, 1, 64}, {1024, 4, 16}, {5000, 1, 13}, {100_000, 16, 8}} {
		if got := hotRoom(c[0], c[1]); got != c[2] {
			t.Errorf("%d tenants, %d loops: %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

// Hot keys are in a state, also after the shutdown, and count less by the minute. Of encrypted tenants none are.
func TestHotKeysInState(t *testing.T) {
	f := newFake(t)
	s := startState(t, f.address(), nil)
	onLoop(t, s.workers[0], func() {
		w := s.workers[0]
		l := &hotList{}
		for i := range 100 {
			l.add([]byte("hot\xff"), 2, hotKeys)
			l.add(fmt.Appendf(nil, "%d", i%50), 0, hotKeys)
		}
		w.tenantStats("acme").hot = l
		w.hot.has = append(w.hot.has, w.tenantStats("acme"))
	})
	before := stateOf(t, s)
	s.Shutdown(t.Context())
	st := stateOf(t, s)
	kept := st.HotKeys["acme"]
	if len(kept.Keys) != hotKept || string(kept.Keys[0].Name) != "hot\xff" || kept.Keys[0].Seen != 100 || kept.Keys[0].Database != 2 || kept.Total != 200 {
		t.Fatalf("%+v", kept)
	}
	if len(before.HotKeys["acme"].Keys) != hotKept {
		t.Errorf("before the shutdown: %+v", before.HotKeys)
	}
	st.At = st.At.Add(-2 * hotHalf)
	st.HotKeys["nobody"] = kept
	next := startState(t, f.address(), st)
	if list := hotKeysOf(t, next, "acme"); len(list) != 1 || list[0].Key != `hot\xff` || list[0].Commands != 25*hotWeight || list[0].Share != 0.5 {
		t.Errorf("%+v", list)
	}
	if handed := stateOf(t, next).HotKeys; len(handed) != 1 || handed["acme"].Keys[0].Seen != 25 || handed["acme"].Total != 50 {
		t.Errorf("handed on: %+v", handed)
	}
	// What the process has written itself it has not forgotten.
	if err := next.Restore(stateOf(t, next)); err != nil {
		t.Fatal(err)
	}
	if list := hotKeysOf(t, next, "acme"); list[0].Commands != 25*hotWeight {
		t.Errorf("twice: %+v", list)
	}
	next.hotPast.at = time.Now().Add(-stateLasts)
	if list := hotKeysOf(t, next, "acme"); len(list) != 0 || next.hotPast.tenants != nil {
		t.Errorf("after an hour: %+v", list)
	}
	hostile := map[string]KeptKeys{"acme": {Total: 1}}
	for range 100 {
		k := KeptKey{Name: make([]byte, rand.IntN(2*hotKeySize)), Database: rand.IntN(3) - 1, Seen: 1 << 31}
		hostile["acme"] = KeptKeys{Total: 1, Keys: append(hostile["acme"].Keys, k)}
	}
	next.hotPast.take(hostile, time.Now())
	if list := hotKeysOf(t, next, "acme"); len(list) > hotKept || list[0].Share > 1 {
		t.Errorf("%+v", list)
	}
}

func TestHotKeysOfEncrypted(t *testing.T) {
	s := startEmbedded(t, options{})
	r := *s.conf()
	cfg := *r.cfg
	cfg.Tenants = map[string]*config.Tenant{}
	for id, tenant := range r.cfg.Tenants {
		copied := *tenant
		if id == "acme" {
			copied.Encryption.Algorithm = config.AES256GCM
		}
		cfg.Tenants[id] = &copied
	}
	r.cfg = &cfg
	for _, id := range []string{"acme", "globex"} {
		pour(login(t, s, id), 1000, "GET", "key-of-"+id)
	}
	s.now.Store(&r)
	st := stateOf(t, s)
	if text, _ := st.Encode(); bytes.Contains(text, []byte(`"acme"`)) || len(st.HotKeys) != 1 || len(st.HotKeys["globex"].Keys) != 1 {
		t.Errorf("%s", text)
	}
	if list := hotKeysOf(t, s, "acme"); len(list) != 1 {
		t.Errorf("%+v", list)
	}
}

// What it costs a command that is passed on: the decrement, and the look at one of a hundred.
func BenchmarkHotKeys(b *testing.B) {
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("enabled=%v", on), func(b *testing.B) {
			w, cmd, request := sampler(b, 1)
			var keys []*namespace.Request
			for i := range 1024 {
				keys = append(keys, request(fmt.Sprintf("user:%d:session", i)))
			}
			b.ReportAllocs()
			onLoop(b, w, func() {
				w.hot.off = !on
				w.hot.rest()
				s := w.stats["acme"].first
				for i := 0; b.Loop(); i++ {
					s.sampleKeys(cmd, keys[i%len(keys)])
				}
			})
		})
	}
}
