package tests

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// What one tenant leaves behind on a connection to the upstream must not reach
// the next one that has it.

// busy has the upstream run a script of acme's until release is called.
func busy(t *testing.T, w *world) (release func()) {
	t.Helper()
	c := w.proxy.Connect(t, harness.Acme)
	if err := c.Send("EVAL", "while true do end", "0"); err != nil {
		t.Fatal(err)
	}
	probe, err := harness.Dial(w.redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { probe.Close() })
	harness.Eventually(t, "the upstream is busy", func() bool {
		reply, err := probe.Do("GET", "x")
		return err == nil && strings.HasPrefix(reply, "-BUSY")
	})
	return func() {
		t.Helper()
		if reply, err := probe.Do("SCRIPT", "KILL"); err != nil || reply != "+OK\r\n" {
			t.Fatalf("SCRIPT KILL: %q, %v", reply, err)
		}
		if reply, err := c.Reply(); err != nil || reply[0] != '-' {
			t.Fatalf("the script: %q, %v", reply, err)
		}
	}
}

// An upstream that is busy refuses to end a subscription: it goes on.
func TestHandoverUnsubscribeRefused(t *testing.T) {
	t.Parallel()
	for _, proto := range []string{"2", "3"} {
		for _, end := range [][]string{{"UNSUBSCRIBE"}, {"PUNSUBSCRIBE"}, {"SUNSUBSCRIBE"}} {
			t.Run("RESP"+proto+" "+end[0], func(t *testing.T) {
				w := newWorld(t, false, harness.Options{}, "--busy-reply-threshold", "50")
				a := w.proxy.Connect(t, harness.Acme)
				a.Do("HELLO", proto)
				begin := strings.Replace(end[0], "UN", "", 1)
				if reply, err := a.Do(begin, "ch"); err != nil || reply[0] == '-' {
					t.Fatalf("%s: %q, %v", begin, reply, err)
				}
				release := busy(t, w)
				if reply, err := a.Do(append(end, "ch")...); err != nil || !strings.HasPrefix(reply, "-BUSY") {
					t.Fatalf("%s: %q, %v", end[0], reply, err)
				}
				release()

				// The next one in the pool.
				g := w.proxy.Connect(t, harness.Globex)
				g.Do("HELLO", proto)
				must := func(want string, args ...string) {
					t.Helper()
					if reply, err := g.Do(args...); err != nil || reply != want {
						t.Fatalf("%q: %q, %v", args, reply, err)
					}
				}
				must("+OK\r\n", "WATCH", "k")
				word := "PUBLISH"
				if end[0][0] == 'S' {
					word = "SPUBLISH"
				}
				b := w.proxy.Connect(t, harness.Acme)
				for i := range 3 {
					b.Do(word, "ch", fmt.Sprint("secret", i))
				}
				time.Sleep(50 * time.Millisecond)
				must(map[string]string{"2": "$-1\r\n", "3": "_\r\n"}[proto], "GET", "k")
				must("+OK\r\n", "MULTI")
				must("+QUEUED\r\n", "SET", "k", "v")
				must("*1\r\n+OK\r\n", "EXEC")
			})
		}
	}
}

// A client that another one's invalidations go to keeps its connection to the
// upstream when it becomes somebody else. What was published to it before is
// no answer to anything.
func TestHandoverResetAmongMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, harness.Options{})
	publisher := w.proxy.Connect(t, harness.Acme)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		batch := bytes.Repeat(harness.Request("PUBLISH", "ch", "secret"), 50)
		for {
			select {
			case <-stop:
				return
			default:
			}
			publisher.Write(batch)
			for range 50 {
				if _, err := publisher.Reply(); err != nil {
					return
				}
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for range 30 {
		a, b := w.proxy.Connect(t, harness.Acme), w.proxy.Connect(t, harness.Acme)
		id, err := a.Do("CLIENT", "ID")
		if err != nil {
			t.Fatal(err)
		}
		if reply, err := b.Do("CLIENT", "TRACKING", "ON", "REDIRECT", strings.Trim(id, ":\r\n")); err != nil || reply != "+OK\r\n" {
			t.Fatalf("REDIRECT: %q, %v", reply, err)
		}
		if reply, err := a.Do("SUBSCRIBE", "ch"); err != nil || reply[0] != '*' {
			t.Fatalf("SUBSCRIBE: %q, %v", reply, err)
		}
		var pipe []byte
		for _, call := range []string{"RESET", "HELLO 3 AUTH globex globex-secret", "GET none", "EXISTS none", "ECHO end"} {
			pipe = append(pipe, harness.Request(strings.Fields(call)...)...)
		}
		a.Write(pipe)
		var got []string
		for len(got) == 0 || got[len(got)-1] != "$3\r\nend\r\n" {
			reply, err := a.Reply()
			if err != nil {
				t.Fatalf("%q, %v", got, err)
			}
			if len(got) > 0 || !strings.Contains(reply, "message") { // those before RESET are acme's own
				got = append(got, reply)
			}
		}
		if len(got) != 5 || got[0] != "+RESET\r\n" || got[2] != "_\r\n" || got[3] != ":0\r\n" {
			t.Fatalf("%q", got)
		}
		a.Close()
		b.Close()
	}
}

// The numbers of the upstream's clients, which count everybody's connections,
// can not be told from those that do not exist.
func TestRedirectTellsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, harness.Options{})
	g := w.proxy.Connect(t, harness.Globex)
	if reply, err := g.Do("WATCH", "k"); err != nil || reply != "+OK\r\n" { // a connection of its own
		t.Fatalf("%q, %v", reply, err)
	}
	a, other := w.proxy.Connect(t, harness.Acme), w.proxy.Connect(t, harness.Acme)
	a.Do("HELLO", "3")
	own := func(c *harness.Conn) string {
		id, _ := c.Do("CLIENT", "ID")
		return strings.Trim(id, ":\r\n")
	}
	me, friend := own(a), own(other)
	for _, call := range []string{
		"OFF REDIRECT %", "ON REDIRECT %", "ON REDIRECT % REDIRECT 99", "ON REDIRECT " + friend + " REDIRECT %", "ON REDIRECT % REDIRECT " + friend,
		"BAD REDIRECT %", "ON BCAST REDIRECT % PREFIX a PREFIX ab", "OFF PREFIX x REDIRECT %",
	} {
		answers := make(map[string]bool)
		for id := range 60 { // 1 is the tenant's as well, see newWorld
			if id := fmt.Sprint(id); id != "1" && id != me && id != friend {
				a.Do("CLIENT", "TRACKING", "OFF")
				reply, err := a.Do(append([]string{"CLIENT", "TRACKING"}, strings.Fields(strings.ReplaceAll(call, "%", id))...)...)
				if err != nil {
					t.Fatal(err)
				}
				answers[reply] = true
			}
		}
		if len(answers) != 1 {
			t.Errorf("%s: %v", call, answers)
		}
	}
	for _, call := range []string{"ON REDIRECT " + friend, "OFF REDIRECT " + friend} {
		if reply, err := a.Do(append([]string{"CLIENT", "TRACKING"}, strings.Fields(call)...)...); err != nil || reply != "+OK\r\n" {
			t.Errorf("%s: %q, %v", call, reply, err)
		}
	}
}

// How many connections others open can not be told from the numbers of one's
// own.
func TestClientNumbersCountOneTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, harness.Options{})
	number := func(c *harness.Conn) string {
		t.Helper()
		reply, err := c.Do("CLIENT", "ID")
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	first := w.proxy.Connect(t, harness.Globex)
	for range 5 {
		w.proxy.Connect(t, harness.Acme)
	}
	second := w.proxy.Connect(t, harness.Globex)
	if a, b := number(first), number(second); a != ":1\r\n" || b != ":2\r\n" {
		t.Errorf("%q, %q", a, b)
	}
	// It stays a connection's, and is nobody else's.
	second.Do("RESET")
	w.proxy.Connect(t, harness.Globex)
	if reply, err := second.Do("AUTH", "globex", "globex-secret"); err != nil || reply != "+OK\r\n" {
		t.Fatalf("AUTH: %q, %v", reply, err)
	}
	if b := number(second); b != ":2\r\n" {
		t.Errorf("after RESET: %q", b)
	}
	if reply, err := second.Do("CLIENT", "LIST", "ID", "1", "2", "3", "4"); err != nil || strings.Count(reply, "\nid=") != 3 {
		t.Errorf("CLIENT LIST: %q, %v", reply, err)
	}
}
