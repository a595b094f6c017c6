package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/tests/harness"
)

// withSession runs f on the loop with the only session of a tenant's.
func withSession(t testing.TB, srv *Server, tenant string, f func(s *session)) {
	t.Helper()
	onLoop(t, srv.workers[0], func() {
		for _, s := range srv.workers[0].sessions {
			if s.tenantID() == tenant {
				f(s)
				return
			}
		}
		t.Errorf("%s has no session", tenant)
	})
}

func row(t testing.TB, name string) *command.Command {
	t.Helper()
	cmd := command.Lookup([]byte(name))
	if cmd == nil {
		t.Fatalf("no command %s", name)
	}
	return cmd
}

// The upstream's reply to EXEC is taken apart and made the tenant's own, element
// by element; one that has not the right number of them is not passed on.
func TestExecution(t *testing.T) {
	srv, _ := startFake(t, options{})
	login(t, srv, "acme")
	get, pop, sel := queuedCommand{cmd: row(t, "get")}, queuedCommand{cmd: row(t, "blpop")}, queuedCommand{cmd: row(t, "select")}
	words := []string{"SELECT", "3"}
	var req resp.Request
	raw := []byte(harness.Request(words...))
	limits := resp.DefaultLimits()
	if _, err := req.Scan(raw, &limits); err != nil {
		t.Fatal(err)
	}
	sel.raw, sel.args = raw, slices.Clone(req.Args)
	own := queuedCommand{cmd: row(t, "echo"), reply: []byte("$1\r\ne\r\n")}
	around := queuedCommand{cmd: row(t, "get"), before: 1, after: 1}
	for _, c := range []struct {
		name  string
		queue []queuedCommand
		reply string
		want  string // empty: it is refused
	}{
		{"nothing", nil, "*0\r\n", "*0\r\n"},
		{"plain", []queuedCommand{get, get}, "*2\r\n$1\r\na\r\n$-1\r\n", "*2\r\n$1\r\na\r\n$-1\r\n"},
		{"an error", []queuedCommand{get, get}, "*2\r\n-WRONGTYPE no\r\n:1\r\n", "*2\r\n-WRONGTYPE no\r\n:1\r\n"},
		{"names", []queuedCommand{pop}, "*1\r\n*2\r\n$10\r\nt:acme:0:k\r\n$1\r\nv\r\n", "*1\r\n*2\r\n$1\r\nk\r\n$1\r\nv\r\n"},
		{"names behind SELECT", []queuedCommand{pop, sel, pop}, "*3\r\n*-1\r\n+PONG\r\n*2\r\n$10\r\nt:acme:3:k\r\n$1\r\nv\r\n", "*3\r\n*-1\r\n+OK\r\n*2\r\n$1\r\nk\r\n$1\r\nv\r\n"},
		{"the proxy's own", []queuedCommand{get, own}, "*2\r\n:1\r\n+PONG\r\n", "*2\r\n:1\r\n$1\r\ne\r\n"},
		{"logins", []queuedCommand{around, get}, "*4\r\n+OK\r\n:1\r\n+OK\r\n:2\r\n", "*2\r\n:1\r\n:2\r\n"},
		{"a failed login", []queuedCommand{around, get}, "*4\r\n-WRONGPASS no\r\n:1\r\n+OK\r\n:2\r\n", ""},
		{"a login without a reply", []queuedCommand{around, get}, "*3\r\n-NOPERM no\r\n+OK\r\n:2\r\n", ""},
		{"too short", []queuedCommand{get, get}, "*1\r\n:1\r\n", ""},
		{"empty", []queuedCommand{get}, "*0\r\n", ""},
		{"too long", []queuedCommand{get}, "*2\r\n:1\r\n:2\r\n", ""},
		{"cut", []queuedCommand{get, get}, "*2\r\n:1\r\n", ""},
	} {
		withSession(t, srv, "acme", func(s *session) {
			defer s.use(0)
			n, body, isArray := resp.ArrayElements([]byte(c.reply))
			if !isArray {
				t.Fatalf("%s: no array", c.name)
			}
			x := execution{s: s, n: n, body: body}
			switch err := x.restore(&transaction{queue: c.queue}); {
			case c.want == "" && !errors.Is(err, errShortExec):
				t.Errorf("%s: %v", c.name, err)
			case c.want != "" && (err != nil || string(x.join()) != c.want):
				t.Errorf("%s: %q, %v", c.name, x.join(), err)
			}
		})
	}
}

// transactions makes the fake a server with MULTI, for one connection at a
// time. EXEC is answered with what exec makes of the queued commands.
func transactions(f *fake, exec func(queue [][]string) string) {
	var queue [][]string
	multi := false // only the pin's connection touches these
	add := func(reply string) answer {
		return func(args []string) []byte {
			if !multi {
				return []byte(reply)
			}
			queue = append(queue, args)
			return []byte(queued)
		}
	}
	f.handle("WATCH", func([]string) []byte { return []byte(okReply) })
	f.handle("MULTI", func([]string) []byte { multi, queue = true, nil; return []byte(okReply) })
	f.handle("TYPE", add("+none\r\n"))
	f.handle("RPUSH", add(":1\r\n"))
	f.handle("PING", add("+PONG\r\n"))
	f.handle("DISCARD", func([]string) []byte { multi = false; return []byte(okReply) })
	f.handle("EXEC", func([]string) []byte { multi = false; return []byte(exec(queue)) })
}

// An EXEC that has not as many replies as it should is an error, and what is
// behind it is not taken for something else.
func TestShortExecBreaksTheConnection(t *testing.T) {
	srv, f := startFake(t, options{})
	transactions(f, func([][]string) string { return "*1\r\n+none\r\n" })
	c := login(t, srv, "acme")
	c.send("WATCH w", "MULTI", "TYPE a", "TYPE b", "EXEC", "RPUSH l x", "RPUSH l y")
	c.read("+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n")
	if got := c.next(); !strings.HasPrefix(got, "-") {
		t.Errorf("EXEC: %q", got)
	}
	for range 2 {
		if got := c.next(); got != "-UNKNOWN connection to the upstream was lost, the command may have run\r\n" && got != ":1\r\n" {
			t.Errorf("behind it: %q", got)
		}
	}
	c.expect("+PONG\r\n", "PING")
}

// replaceLastSave has LASTSAVE do something else until the test's server has
// ended, which is to be started after this.
func replaceLastSave(t testing.TB, run func(s *session)) {
	h := &handlers[command.HandleLastSave]
	before := h.run
	h.run = func(s *session, _ *command.Command, _ *namespace.Request) { run(s) }
	t.Cleanup(func() { h.run = before })
}

// Two transactions in flight may each have an answer that takes time.
func TestDeferredAnswersOfTwoTransactions(t *testing.T) {
	hold := make(chan struct{})
	open := []chan struct{}{make(chan struct{}), make(chan struct{})}
	n := 0
	replaceLastSave(t, func(s *session) {
		gate := open[n]
		n++
		s.async(func(context.Context) func() {
			hold <- struct{}{}
			<-gate
			return func() { s.answer([]byte(":7\r\n")) }
		})
	})
	srv, f := startFake(t, options{})
	transactions(f, func(q [][]string) string {
		return fmt.Sprintf("*%d\r\n%s", len(q), strings.Repeat("+PONG\r\n", len(q)))
	})
	c := login(t, srv, "acme")
	c.send("MULTI", "LASTSAVE", "EXEC", "MULTI", "LASTSAVE", "EXEC")
	await(t, hold, "the first")
	await(t, hold, "the second")
	c.send("PING 1", "SELECT 1", "PING 2", "SELECT 0")
	close(open[0])
	c.read("+OK\r\n+QUEUED\r\n*1\r\n:7\r\n")
	for range 3 { // turns in which more could be taken
		withSession(t, srv, "acme", func(*session) {})
	}
	close(open[1])
	c.read("+OK\r\n+QUEUED\r\n*1\r\n:7\r\n" + "$1\r\n1\r\n+OK\r\n$1\r\n2\r\n+OK\r\n")
	withSession(t, srv, "acme", func(s *session) {
		if s.slow != 0 || s.cancel != nil || s.head != s.tail || s.pin != nil {
			t.Errorf("%d slow, %d unanswered, pinned: %v", s.slow, s.tail-s.head, s.pin != nil)
		}
	})
}

// A panic behind EXEC, at any of its two stages, costs no more than it must.
func TestPanicInDeferredAnswer(t *testing.T) {
	var worked atomic.Bool // the first stage does
	replaceLastSave(t, func(s *session) {
		s.async(func(context.Context) func() {
			if !worked.Load() {
				panic("a bug")
			}
			return func() { panic("a bug") }
		})
	})
	srv, f := startFake(t, options{})
	transactions(f, func(q [][]string) string { return "*1\r\n+PONG\r\n" })
	c := login(t, srv, "acme")
	c.send("MULTI", "LASTSAVE", "EXEC", "PING")
	c.read("+OK\r\n+QUEUED\r\n*1\r\n-ERR internal error\r\n+PONG\r\n")
	worked.Store(true)
	c.send("MULTI", "LASTSAVE", "EXEC", "PING")
	c.read("+OK\r\n+QUEUED\r\n")
	c.ends()
	c = login(t, srv, "acme")
	c.send("LASTSAVE") // and outside of a transaction
	c.ends()
}

// SELECT between MULTI and EXEC does not change what replies to come are.
func TestSelectInTransactionWaitsForReplies(t *testing.T) {
	srv, f := startFake(t, options{})
	transactions(f, func(q [][]string) string { return "*2\r\n+PONG\r\n+PONG\r\n" })
	arrived, open := f.gate("LMPOP", "*2\r\n$10\r\nt:acme:0:k\r\n*1\r\n$1\r\nv\r\n")
	c := login(t, srv, "acme")
	c.expect("+OK\r\n", "WATCH", "w")
	c.send("LMPOP 1 k LEFT", "MULTI", "SELECT 3", "PING")
	await(t, arrived, "LMPOP")
	withSession(t, srv, "acme", func(*session) {})
	open()
	c.read("*2\r\n$1\r\nk\r\n*1\r\n$1\r\nv\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n")
	c.expect("*2\r\n+OK\r\n+PONG\r\n", "EXEC")
	withSession(t, srv, "acme", func(s *session) {
		if s.db != 3 {
			t.Errorf("in database %d", s.db)
		}
	})
}

// What the proxy keeps of a transaction is bounded.
func TestTransactionIsBounded(t *testing.T) {
	srv, f := startFake(t, options{})
	transactions(f, func(q [][]string) string { return "*0\r\n" })
	c := login(t, srv, "acme")
	c.expect("+OK\r\n", "MULTI")
	text := strings.Repeat("e", 10<<20)
	var last string
	for range maxHeld/len(text) + 1 {
		last = c.do("ECHO", text)
	}
	if last != "-ERR the transaction is too long\r\n" {
		t.Errorf("the last one: %.100q", last)
	}
	withSession(t, srv, "acme", func(s *session) {
		if s.tx.held > maxHeld+len(text) {
			t.Errorf("%d bytes are held", s.tx.held)
		}
	})
	c.expect("-EXECABORT Transaction discarded because of previous errors.\r\n", "EXEC")
}
