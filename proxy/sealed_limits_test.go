package proxy

import (
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
	"riptide-proxy/value"
)

// EXEC may bring as much as single commands do.
func TestLargeExec(t *testing.T) {
	r := harness.StartRedis(t)
	s := startSealed(t, r.Addr, options{})
	c := login(t, s, zstdTenant)
	big := compressible(20 << 20)
	c.expect("+OK\r\n", "SET", "big", big)
	c.send("MULTI", "GET big", "GET big", "EXEC")
	c.read("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n" + string(bulk(big)) + string(bulk(big)))
}

// A session's replies are opened a few at a time, and what waits for that is bounded.
func TestOpenedAsideIsBounded(t *testing.T) {
	f := newFake(t)
	s := startSealed(t, f.address(), options{limits: "output_buffer: 1MiB"})
	plain := compressible(1 << 20)
	sealed := bulk(seal(t, s, zstdTenant, "k", plain))
	f.handle("GET", func([]string) []byte { return sealed })
	c := login(t, s, zstdTenant)
	c.send("GET k", "PING", "GET k", "ECHO x")
	c.read(string(bulk(plain)) + "+PONG\r\n" + string(bulk(plain)) + string(bulk("x")))

	w, v := s.workers[0], s.codecs.find(zstdTenant)
	for range cap(v.turns) {
		v.turns <- struct{}{} // nothing can be opened
	}
	const n = 6
	for range n {
		c.send("GET k")
	}
	harness.Eventually(t, "the replies wait", func() (all bool) {
		onLoop(t, w, func() {
			x := newest(w)
			all = x.opening == openedAtOnce && len(x.aside) == n-openedAtOnce
			if all && x.parkedBytes != n*len(sealed) {
				t.Errorf("%d bytes are parked", x.parkedBytes)
			}
		})
		return all
	})
	for range cap(v.turns) {
		<-v.turns
	}
	for range n {
		c.read(string(bulk(plain)))
	}
	onLoop(t, w, func() {
		x := newest(w)
		if x.parkedBytes != 0 || x.opening != 0 || len(x.aside) != 0 {
			t.Errorf("%d bytes, %d and %d replies are left", x.parkedBytes, x.opening, len(x.aside))
		}
		// One with far too much of it is closed.
		x.parkedBytes = hardOutput * int(s.conf().cfg.Limits.OutputBuffer)
		x.openAside(&slot{s: x, cmd: row(t, "get")}, sealed)
	})
	c.ends()
}

// A value that only its header makes too long for the upstream is refused: the upstream would close
// the connection that all share.
func TestSealedTooLong(t *testing.T) {
	r := harness.StartRedis(t, "--proto-max-bulk-len", "1mb")
	s := startSealed(t, r.Addr, options{})
	c, other := login(t, s, safeTenant), login(t, s, "acme")
	long := strings.Repeat("x", 1<<20)
	const refusal = "-ERR the value is longer than the upstream takes once it is sealed\r\n"
	harness.Eventually(t, "the proxy knows the limit", func() (knows bool) {
		onLoop(t, s.workers[0], func() { knows = s.workers[0].maxBulk == 1<<20 })
		return knows
	})
	c.expect(refusal, "SET", "k", long)
	other.expect("+OK\r\n", "SET", "k", "v")
	c.expect("+OK\r\n", "MULTI")
	c.expect("+QUEUED\r\n", "SET", "k", long)
	c.expect(refusal, "EXEC")
	c.expect("$-1\r\n", "GET", "k")
	onLoop(t, s.workers[0], func() {
		if x := newest(s.workers[0]); x.pin != nil {
			t.Error("the session keeps its connection")
		}
	})
}

// Many short values are not sealed on the loop either, one after the other.
func TestManyValuesAside(t *testing.T) {
	s, _ := startFake(t, options{})
	login(t, s, "acme")
	var req, fields = []string{"HSET", "h"}, 40
	for i := range fields {
		req = append(req, fmt.Sprint("f", i), compressible(2<<10))
	}
	withSession(t, s, "acme", func(x *session) {
		x.stats.setValues(newTenantValues(mustCodec(t)))
		h := &heldCommand{cmd: row(t, "hset"), raw: []byte(harness.Request(req...)), prefixed: []int32{1}}
		h.args, _ = parseRequest(h.raw, &s.internal)
		h.values = h.cmd.Values.Positions(nil, h.request())
		if n := valuesSize(h.request(), h.values); n != fields*(2<<10) {
			t.Errorf("the values have %d bytes", n)
		}
		if p := x.plan(&transaction{waiting: []*heldCommand{h}}, false); !p.large || p.looksInside {
			t.Errorf("large: %v, looks inside: %v", p.large, p.looksInside)
		}
	})
}

// mustCodec is one that compresses everything.
func mustCodec(t testing.TB) *value.Codec {
	t.Helper()
	c, err := value.NewCodec(value.Settings{Algorithm: config.Zstd, MinSize: 1, Limit: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Messages that come before EXEC's reply are told behind it, and in their order even
// where they are too many to wait.
func TestDelayedMessages(t *testing.T) {
	s, _ := startFake(t, options{})
	c := login(t, s, "acme")
	withSession(t, s, "acme", func(x *session) {
		x.subs = &subscriptions{}
		x.subs.add(channels, "ch", []string{"t:acme:ch"})
		message := func(text string) {
			x.Message([]byte("*3\r\n$7\r\nmessage\r\n$9\r\nt:acme:ch\r\n" + string(bulk(text))))
		}
		x.delays = true
		message("1")
		x.conn.Write([]byte("+EXEC\r\n"))
		x.tellDelayed()
		x.delays = true
		message(strings.Repeat("x", maxDelayed))
		message("3")
		message("4")
		x.conn.Write([]byte("+EXEC\r\n"))
		x.tellDelayed()
		x.subs = nil
	})
	of := func(text string) string { return "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n" + string(bulk(text)) }
	c.read("+EXEC\r\n" + of("1") + of(strings.Repeat("x", maxDelayed)) + of("3") + of("4") + "+EXEC\r\n")
}
