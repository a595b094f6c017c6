package proxy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/tests/harness"
)

// The commands about the keyspace see the tenant's keys of the chosen database
// and nothing else.
func TestKeyspace(t *testing.T) {
	s := startEmbedded(t, options{})
	acme, globex := login(t, s, "acme"), login(t, s, "globex")
	for i := range 30 {
		acme.expect("+OK\r\n", "SET", fmt.Sprintf("a%d", i), "v")
		globex.expect("+OK\r\n", "SET", fmt.Sprintf("g%d", i), "v")
	}
	acme.expect(":1\r\n", "SADD", "a-set", "m")
	acme.expect("+OK\r\n", "SELECT", "1")
	acme.expect("+OK\r\n", "SET", "one", "v")
	acme.expect(":1\r\n", "DBSIZE")
	acme.expect("*1\r\n$3\r\none\r\n", "KEYS", "*")
	acme.expect("*0\r\n", "KEYS", "t:*")
	acme.expect("*0\r\n", "KEYS", "one*two")
	acme.expect("*2\r\n$1\r\n0\r\n*1\r\n$3\r\none\r\n", "SCAN", "0")
	acme.expect("*2\r\n$1\r\n0\r\n*1\r\n$3\r\none\r\n", "SCAN", "0", "match", "o?e", "count", "100")
	acme.expect("*2\r\n$1\r\n0\r\n*0\r\n", "SCAN", "0", "MATCH", "a*")
	acme.expect("+OK\r\n", "SELECT", "0")
	acme.expect(":31\r\n", "DBSIZE")
	acme.expect("*2\r\n$1\r\n0\r\n*1\r\n$5\r\na-set\r\n", "SCAN", "0", "TYPE", "set")
	if got := strings.Count(acme.do("KEYS", "a*"), "\r\n$"); got != 31 {
		t.Errorf("KEYS lists %d", got)
	}
	acme.expect("-ERR syntax error\r\n", "FLUSHDB", "WHAT")
	acme.expect("+OK\r\n", "FLUSHDB", "async")
	acme.expect(":0\r\n", "DBSIZE")
	acme.expect("*0\r\n", "KEYS", "*")
	acme.expect("+OK\r\n", "SELECT", "1")
	acme.expect(":1\r\n", "DBSIZE")
	acme.expect("+OK\r\n", "FLUSHALL")
	acme.expect(":0\r\n", "DBSIZE")
	globex.expect(":30\r\n", "DBSIZE")
}

// RANDOMKEY begins anywhere, which every upstream must be able to take.
func TestRandomKeyOnTheEmbeddedUpstream(t *testing.T) {
	s := startEmbedded(t, options{})
	c := login(t, s, "acme")
	c.expect("+OK\r\n", "SET", "k", "v")
	for range 20 {
		c.expect("$1\r\nk\r\n", "RANDOMKEY")
	}
	c.expect("+OK\r\n", "SELECT", "1")
	for range 20 {
		c.expect("$-1\r\n", "RANDOMKEY")
	}
}

// scanPage is a reply to SCAN.
func scanPage(next string, keys ...string) []byte {
	b := fmt.Appendf(nil, "*2\r\n%s*%d\r\n", bulk(next), len(keys))
	for _, k := range keys {
		b = append(b, bulk(k)...)
	}
	return b
}

// A page that holds what was not asked for is cut to what is the tenant's; one
// that is no page at all is an error.
func TestKeyspaceOfAnUpstreamThatLies(t *testing.T) {
	s, f := startFake(t, options{})
	c := login(t, s, "acme")
	f.handle("SCAN", func(args []string) []byte {
		if want := []string{"SCAN", "0", "MATCH", "t:acme:0:*", "COUNT", "1000"}; !strings.EqualFold(strings.Join(args, " "), strings.Join(want, " ")) {
			t.Errorf("got %q", args)
		}
		return scanPage("0", "t:globex:0:a", "t:acme:1:b", "t:acme:0:mine", "t:acme:0:mine", "x")
	})
	c.expect("*1\r\n$4\r\nmine\r\n", "KEYS", "*")
	c.expect(":1\r\n", "DBSIZE")
	unlinked := make(chan []string, 1)
	f.handle("UNLINK", func(args []string) []byte { unlinked <- args; return []byte(":1\r\n") })
	c.expect("+OK\r\n", "FLUSHDB")
	if args := await(t, unlinked, "UNLINK"); !slices.Equal(args[1:], []string{"t:acme:0:mine", "t:acme:0:mine"}) {
		t.Errorf("got %q", args)
	}
	for _, page := range []string{"+OK\r\n", "*0\r\n", "*1\r\n$1\r\n0\r\n", "*2\r\n$1\r\n0\r\n$1\r\n0\r\n", "*2\r\n:0\r\n*0\r\n", "*2\r\n$1\r\n0\r\n*1\r\n:1\r\n"} {
		f.handle("SCAN", func([]string) []byte { return []byte(page) })
		if got := c.do("KEYS", "*"); got[0] != '-' {
			t.Errorf("%q became %q", page, got)
		}
	}
	f.handle("SCAN", func([]string) []byte { return []byte("-LOADING not yet\r\n") })
	c.expect("-LOADING not yet\r\n", "KEYS", "*")
	c.expect("-LOADING not yet\r\n", "DBSIZE")
	c.expect("-LOADING not yet\r\n", "FLUSHALL")
	c.expect("-LOADING not yet\r\n", "SCAN", "0")
}

// A tenant has so many slow operations under way and no more, and the others
// do not wait for them.
func TestSlowOperationsPerTenant(t *testing.T) {
	s, f := startFake(t, options{})
	gate := make(chan struct{})
	var running, most, done atomic.Int32
	arrived := make(chan struct{}, 100)
	f.handle("SCAN", func(args []string) []byte {
		if args[3] == "t:globex:0:*" || strings.Contains(strings.Join(args, " "), "t:globex:0:") {
			return scanPage("0", "t:globex:0:k")
		}
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		arrived <- struct{}{}
		select {
		case <-gate:
		case <-f.quit:
			return nil
		}
		running.Add(-1)
		done.Add(1)
		return scanPage("0", "t:acme:0:k")
	})
	const n = slowPerTenant + 3
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = login(t, s, "acme")
		clients[i].send("KEYS *", "PING")
	}
	for range slowPerTenant {
		await(t, arrived, "a slow operation")
	}
	// Another tenant, and the same one's ordinary commands, are served.
	login(t, s, "globex").expect("*1\r\n$1\r\nk\r\n", "KEYS", "*")
	login(t, s, "acme").expect("+OK\r\n", "SET", "k", "v")
	for _, c := range clients {
		c.silent()
	}
	close(gate)
	for _, c := range clients {
		c.read("*1\r\n$1\r\nk\r\n+PONG\r\n")
	}
	if most.Load() != slowPerTenant || done.Load() != n {
		t.Errorf("%d at once and %d in all", most.Load(), done.Load())
	}
}

// When the client has gone nobody waits for the rest of its operation: not the
// one that runs, nor those that wait for their turn.
func TestSlowOperationEndsWithItsClient(t *testing.T) {
	s, f := startFake(t, options{})
	pages := make(chan struct{}, 1<<16)
	f.handle("SCAN", func([]string) []byte {
		select {
		case pages <- struct{}{}:
		default:
		}
		return scanPage("7") // there is always more
	})
	for range slowPerTenant + 2 {
		c := login(t, s, "acme")
		c.send("KEYS *")
		await(t, pages, "SCAN")
		c.tcp().SetLinger(0) // a reset, so that it can not be taken for the end of the input alone
		c.Close()
	}
	ended := make(chan struct{})
	go func() { s.slow.Wait(); close(ended) }()
	await(t, ended, "the operations to end")
	if n := len(s.conf().own["acme"].turns); n != 0 {
		t.Errorf("%d turns are taken", n)
	}
	harness.Eventually(t, "the sessions are gone", func() bool { return stats(t, s).Clients == 0 })
}

// A panic costs the operation that had it, and nothing else.
func TestSlowOperationPanics(t *testing.T) {
	before := handlers[command.HandleDBSize].slow
	handlers[command.HandleDBSize].slow = func(context.Context, *slowOp) []byte { panic("a bug") }
	t.Cleanup(func() { handlers[command.HandleDBSize].slow = before }) // after the server has ended
	s, f := startFake(t, options{})
	f.handle("SCAN", func([]string) []byte { return scanPage("0") })
	c := login(t, s, "acme")
	for range slowPerTenant + 1 { // its turn is given back
		c.send("PING", "DBSIZE", "PING", "KEYS *")
		c.read("+PONG\r\n-ERR internal error\r\n+PONG\r\n*0\r\n")
	}
	if n := stats(t, s).Tenants["acme"].Errors["ERR"]; n != slowPerTenant+1 {
		t.Errorf("%d errors counted", n)
	}
}

// Without an upstream a slow operation is refused at once, as all others are.
func TestSlowOperationWithoutAnUpstream(t *testing.T) {
	s, f := startFake(t, options{})
	c := login(t, s, "acme")
	c.expect("$-1\r\n", "GET", "k")
	f.ln.Close()
	f.handle("GET", func([]string) []byte { return nil })
	f.handle("SCAN", func([]string) []byte { return nil })
	harness.Eventually(t, "the upstream is down", func() bool { return strings.HasPrefix(c.do("GET", "k"), "-UNAVAILABLE ") })
	for _, args := range [][]string{{"KEYS", "*"}, {"DBSIZE"}, {"FLUSHALL"}, {"COMMAND", "LIST"}, {"COPY", "a", "b"}, {"GET", "k"}} {
		c.expect("-"+errUnavailable+"\r\n", args...)
	}
	c.expect("+PONG\r\n", "PING")
}
