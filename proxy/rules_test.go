package proxy

import (
	"io"
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// withRules applies the configuration in which acme's second user has these rules.
func withRules(t *testing.T, s *Server, rules string) {
	t.Helper()
	cfg := configOf(t, s, map[string]string{"acme": "", "globex": ""})
	cfg.Tenants["acme"].Users["second"].ACL = rules
	if err := s.Apply(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// Changed rules are in effect for open connections at once.
func TestRulesChange(t *testing.T) {
	s := startEmbedded(t, options{loops: 2})
	withRules(t, s, "+@all ~* &*")
	second := func() *client {
		c := dial(t, s)
		c.expect("+OK\r\n", "AUTH", "acme.second", secretOf("acme-second"))
		return c
	}
	c, other := second(), login(t, s, "acme")
	c.expect("+OK\r\n", "SET", "k", "v")

	withRules(t, s, "+@all -set ~k* &ch*")
	c.expect(refusedTo(s, "set"), "SET", "k", "w")
	c.expect("$1\r\nv\r\n", "GET", "k")
	other.expect("+OK\r\n", "SET", "x", "v")

	t.Run("a transaction", func(t *testing.T) {
		c.expect("+OK\r\n", "MULTI")
		c.expect("+QUEUED\r\n", "GET", "k")
		withRules(t, s, "+@all -set ~k* &ch*") // the same
		c.expect("*1\r\n$1\r\nv\r\n", "EXEC")
		c.expect("+OK\r\n", "MULTI")
		c.expect("+QUEUED\r\n", "DEL", "k")
		withRules(t, s, "+@all -del ~k* &ch*")
		c.expect("-"+errExecAbort+"\r\n", "EXEC")
		c.expect("$1\r\nv\r\n", "GET", "k")
	})
	t.Run("a transaction that is refused something", func(t *testing.T) {
		c.expect("+OK\r\n", "MULTI")
		c.expect(refusedTo(s, "del"), "DEL", "k")
		c.expect("-"+errExecAbort+"\r\n", "EXEC")
	})
	t.Run("subscribers", func(t *testing.T) {
		stays, goes := second(), second()
		for c, name := range map[*client]string{stays: "ch1", goes: "ch2"} {
			if reply := c.do("SUBSCRIBE", name); !strings.Contains(reply, name) {
				t.Fatal(reply)
			}
		}
		withRules(t, s, "+@all ~k* &ch1")
		goes.ends()
		if reply := stays.do("PING"); !strings.Contains(reply, "pong") {
			t.Error(reply)
		}
	})
	t.Run("no rules any more", func(t *testing.T) {
		withRules(t, s, "")
		c.expect(":1\r\n", "DEL", "k")
	})
}

// What a session was allowed to wait for, or to watch, it goes on with only if it still is.
func TestRulesChangeMeanwhile(t *testing.T) {
	t.Parallel()
	s := startProxy(t, harness.StartRedis(t).Addr, options{loops: 2})
	second := func() *client {
		c := dial(t, s)
		c.expect("+OK\r\n", "AUTH", "acme.second", secretOf("acme-second"))
		return c
	}
	withRules(t, s, "+@all ~* &*")
	other := login(t, s, "acme")
	waits, watches, tracks := second(), second(), second()
	watches.expect("+OK\r\n", "MONITOR")
	tracks.do("HELLO", "3")
	tracks.expect("+OK\r\n", "CLIENT", "TRACKING", "ON", "BCAST")
	waits.send("BLPOP k9 l 0")
	harness.Eventually(t, "it waits", func() bool { return strings.Contains(other.do("INFO", "clients"), "blocked_clients:1") })
	withRules(t, s, "+@all -monitor -client|tracking ~k* &*")
	tracks.ends()
	waits.read("*-1\r\n")
	waits.expect("-NOPERM this user has no permissions to access one of the keys used as arguments\r\n", "BLPOP", "k9", "l", "0")
	watches.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, watches.R); err != nil {
		t.Error("it watches still:", err)
	}
}

// refusedTo is how a command is refused that rules do not allow.
func refusedTo(s *Server, name string) string {
	if _, version := s.self(); before72(version) {
		return "-NOPERM this user has no permissions to run the '" + name + "' command\r\n"
	}
	return "-NOPERM User acme.second has no permissions to run the '" + name + "' command\r\n"
}

func TestBefore72(t *testing.T) {
	for version, want := range map[string]bool{
		"6.2.14": true, "7.0.0": true, "7.0.15": true, "7.2.0": false, "7.4.1": false, "8.0.1": false, "10.0.0": false, "255.255.255": false, "": false, "df-1": false,
	} {
		if before72(version) != want {
			t.Errorf("%q: %v", version, !want)
		}
	}
}
