package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/tests/harness"
)

// commandReply is what COMMAND says about commands without subcommands.
func commandReply(names ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(names))
	for _, name := range names {
		b = fmt.Appendf(b, "*6\r\n%s:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n", bulk(name))
	}
	return b
}

// startCommand runs a proxy on an upstream that knows some commands, and records
// what it is asked about them.
func startCommand(t *testing.T) (s *Server, asked <-chan []string) {
	t.Helper()
	f := newFake(t)
	questions := make(chan []string, 100)
	all := []string{"get", "set", "config", "command", "debug", "swapdb", "subscribe", "keys", "ping", "newer"}
	f.handle("COMMAND", func(args []string) []byte {
		if len(args) == 1 {
			return commandReply(all...)
		}
		questions <- args
		switch strings.ToUpper(args[1]) {
		case "LIST":
			b := fmt.Appendf(nil, "*%d\r\n", len(all)+2)
			for _, name := range append(slices.Clone(all), "client|id", "config|rewrite") {
				b = append(b, bulk(name)...)
			}
			return b
		case "INFO":
			return []byte("*1\r\n*-1\r\n")
		case "DOCS":
			return []byte("*0\r\n")
		}
		return []byte("-ERR what\r\n")
	})
	s = startProxy(t, f.address(), options{})
	harness.Eventually(t, "the upstream is known", s.Ready)
	// Subcommands are not in this upstream's table, so the session must not be
	// told that it has none.
	onLoop(t, s.workers[0], func() {
		known := slices.Clone(s.workers[0].known)
		for _, sub := range command.Lookup([]byte("command")).Subs {
			known[sub.ID] = true
		}
		known[command.Lookup([]byte("auth")).ID] = true
		s.workers[0].known = known
	})
	return s, questions
}

// The tenant learns about commands that it may use, and about nothing else.
func TestCommandInfo(t *testing.T) {
	s, asked := startCommand(t)
	c := login(t, s, "acme")
	// What the upstream has and tenants may use; of CONFIG that is GET, among others.
	mine := []string{"auth", "command", "config", "get", "keys", "ping", "set", "subscribe"}
	c.expect(fmt.Sprintf(":%d\r\n", len(mine)), "COMMAND", "COUNT")
	for _, x := range []struct{ ask, subcommand, reply string }{
		{"COMMAND", "INFO", "*1\r\n*-1\r\n"},
		{"command info", "info", "*1\r\n*-1\r\n"},
		{"COMMAND DOCS", "DOCS", "*0\r\n"},
	} {
		c.send(x.ask)
		c.read(x.reply)
		question := await(t, asked, "a question to the upstream")
		slices.Sort(question[2:])
		if question[1] != x.subcommand || !slices.Equal(question[2:], mine) {
			t.Errorf("%s: asked %q", x.ask, question)
		}
	}
	c.send("COMMAND LIST FILTERBY ACLCAT read")
	c.read("*8\r\n$3\r\nget\r\n$3\r\nset\r\n$6\r\nconfig\r\n$7\r\ncommand\r\n$9\r\nsubscribe\r\n$4\r\nkeys\r\n$4\r\nping\r\n$9\r\nclient|id\r\n")
	if got := strings.Join(await(t, asked, "a question"), " "); got != "COMMAND LIST FILTERBY ACLCAT read" {
		t.Errorf("asked %q", got)
	}
}

// Names that a tenant may not use are asked for under a name that no command
// has, so the reply still has one element for each.
func TestCommandInfoKeepsPlaces(t *testing.T) {
	s, asked := startCommand(t)
	c := login(t, s, "acme")
	for _, x := range []struct{ ask, want string }{
		{"COMMAND INFO debug get swapdb", "COMMAND INFO - get -"},
		{"COMMAND DOCS config|rewrite GET config|help", "COMMAND DOCS - GET config|help"},
		{"COMMAND INFO get|x |get client|", "COMMAND INFO - - -"},
	} {
		c.send(x.ask)
		c.next()
		if got := strings.Join(await(t, asked, "a question"), " "); got != x.want {
			t.Errorf("%s: asked %q, want %q", x.ask, got, x.want)
		}
	}
}

// A list that is no list is not passed on.
func TestCommandListGarbled(t *testing.T) {
	s, f := startFake(t, options{})
	c := login(t, s, "acme")
	f.handle("COMMAND", func([]string) []byte { return []byte("-ERR what\r\n") })
	c.expect("-ERR what\r\n", "COMMAND", "LIST")
	f.handle("COMMAND", func([]string) []byte { return []byte("*1\r\n*1\r\n$6\r\nsecret\r\n") })
	c.expect("*0\r\n", "COMMAND", "LIST")
}
