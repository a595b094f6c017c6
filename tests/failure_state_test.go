package tests

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// mustSay sends a command and wants that reply.
func mustSay(t *testing.T, c *harness.Conn, want string, words ...string) {
	t.Helper()
	if got, err := c.Do(words...); err != nil || got != want {
		t.Errorf("%q: %q, %v; want %q", words, got, err, want)
	}
}

// A script that never ends holds the upstream for everybody, so it is ended.
func TestFailureEndlessScript(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t, "--busy-reply-threshold", "100")
	p := harness.StartProxy(t, redis.Addr, harness.Options{})
	p.Ready(t)
	endless, other := p.Connect(t, harness.Acme), p.Connect(t, harness.Globex)
	mustSay(t, other, "+OK\r\n", "SET", "k", "v")
	if err := endless.Send("EVAL", "while true do end", "0"); err != nil {
		t.Fatal(err)
	}
	// A neighbour can not end it, whether it runs already or not.
	mustSay(t, other, "-NOTBUSY No scripts in execution right now.\r\n", "SCRIPT", "KILL")
	if got, err := endless.Reply(); err != nil || !strings.Contains(got, "Script killed by user") {
		t.Errorf("the script: %q, %v", got, err)
	}
	harness.Eventually(t, "the neighbour is served", func() bool {
		got, err := other.Do("GET", "k")
		return err == nil && got == "$1\r\nv\r\n"
	})
	mustSay(t, endless, ":1\r\n", "EVAL", "return 1", "0")

	// Its own tenant can end it, too.
	if err := endless.Send("EVAL", "while true do end", "0"); err != nil {
		t.Fatal(err)
	}
	boss := p.Connect(t, harness.Acme)
	harness.Eventually(t, "SCRIPT KILL works", func() bool {
		got, err := boss.Do("SCRIPT", "KILL")
		return err == nil && got == "+OK\r\n"
	})
	if got, err := endless.Reply(); err != nil || !strings.Contains(got, "Script killed by user") {
		t.Errorf("the script: %q, %v", got, err)
	}
}

// An upstream that comes back has lost the users that scripts run as. They are
// made again before anything runs, and nobody's keys are open meanwhile.
func TestFailureScriptsAfterRestart(t *testing.T) {
	t.Parallel()
	port := harness.FreePort(t)
	redis := harness.StartRedisOn(t, port)
	p := harness.StartProxy(t, redis.Addr, harness.Options{})
	p.Ready(t)
	c := p.Connect(t, harness.Acme)
	const own = "return redis.call('get', 'k')"
	foreign := []string{"EVAL", "return redis.pcall('get', '../../t:globex:0:k')", "0"}
	raw := []string{"EVAL", "return loadstring([[return _G['redis'].pcall('get', KEYS[1]..'x')]])()", "1", "k"}
	for round := range 3 {
		up, err := harness.Dial(redis.Addr)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"t:acme:0:k", "t:globex:0:k", "k"} {
			mustSay(t, up, "+OK\r\n", "SET", key, "of "+key)
		}
		harness.Eventually(t, "scripts run", func() bool {
			for _, call := range [][]string{foreign, raw} {
				if got, err := c.Do(call...); err != nil || strings.Contains(got, "globex") || strings.Contains(got, "of k") {
					t.Fatalf("round %d, %q: %q, %v", round, call, got, err)
				}
			}
			got, err := c.Do("EVAL", own, "0")
			if err != nil || got[0] == '$' && got != "$13\r\nof t:acme:0:k\r\n" {
				t.Fatalf("round %d: %q, %v", round, got, err)
			}
			return got[0] == '$'
		})
		// Also when only the users are lost.
		for _, user := range []string{"riptide-acme", "riptide:rest"} {
			up.Do("ACL", "DELUSER", user)
			harness.Eventually(t, "scripts run again", func() bool {
				got, err := c.Do("EVAL", own, "0")
				if err != nil || got[0] == '$' && got != "$13\r\nof t:acme:0:k\r\n" {
					t.Fatalf("round %d, without %s: %q, %v", round, user, got, err)
				}
				return got[0] == '$'
			})
			mustSay(t, c, "+OK\r\n", "MULTI")
			mustSay(t, c, "+QUEUED\r\n", "EVAL", own, "0")
			mustSay(t, c, "*1\r\n$13\r\nof t:acme:0:k\r\n", "EXEC")
		}
		redis.Kill()
		redis = harness.StartRedisOn(t, port)
	}
}

// In a transaction the user may be gone when the script's turn comes: then it
// does nothing.
func TestFailureScriptUserGoneInTransaction(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	p := harness.StartProxy(t, redis.Addr, harness.Options{})
	p.Ready(t)
	c := p.Connect(t, harness.Acme)
	mustSay(t, c, ":1\r\n", "EVAL", "return redis.call('incr', 'n')", "0")
	up, err := harness.Dial(redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	mustSay(t, c, "+OK\r\n", "MULTI")
	mustSay(t, c, "+QUEUED\r\n", "EVAL", "return redis.call('incr', 'n')", "0")
	mustSay(t, up, "+OK\r\n", "ACL", "SETUSER", "riptide-acme", "resetpass", ">other")
	if got, err := c.Do("EXEC"); err != nil || got[0] != '-' {
		t.Errorf("EXEC: %q, %v", got, err)
	}
	mustSay(t, c, "$1\r\n1\r\n", "GET", "n")
	harness.Eventually(t, "scripts run again", func() bool {
		got, err := c.Do("EVAL", "return redis.call('get', 'n')", "0")
		return err == nil && got == "$1\r\n1\r\n"
	})
}

// The upstream dies while a client is in the middle of something: it is told
// what that means, and goes on.
func TestFailureUpstreamLostInTransaction(t *testing.T) {
	t.Parallel()
	port := harness.FreePort(t)
	redis := harness.StartRedisOn(t, port)
	p := harness.StartProxy(t, redis.Addr, harness.Options{})
	p.Ready(t)
	open, watching, blocked, subscriber := p.Connect(t, harness.Acme), p.Connect(t, harness.Acme), p.Connect(t, harness.Acme), p.Connect(t, harness.Acme)
	mustSay(t, open, "+OK\r\n", "MULTI")
	mustSay(t, open, "+QUEUED\r\n", "SET", "k", "v")
	mustSay(t, watching, "+OK\r\n", "WATCH", "w")
	mustSay(t, subscriber, "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n", "SUBSCRIBE", "ch")
	if err := blocked.Send("BLPOP", "l", "0"); err != nil {
		t.Fatal(err)
	}
	up, err := harness.Dial(redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "one is blocked", func() bool {
		info, _ := up.Do("INFO", "clients")
		return strings.Contains(info, "blocked_clients:1")
	})
	redis.Kill()
	if got, err := blocked.Reply(); err != nil || got != unknown {
		t.Errorf("BLPOP: %q, %v", got, err)
	}
	if got, err := subscriber.Reply(); err == nil {
		t.Errorf("the subscriber was told %q, want the end", got)
	}
	if got, err := open.Do("EXEC"); err != nil || !strings.HasPrefix(got, "-UNKNOWN ") {
		t.Errorf("EXEC: %q, %v", got, err)
	}
	harness.StartRedisOn(t, port)
	p.Ready(t)
	harness.Eventually(t, "the upstream is back", func() bool {
		got, err := open.Do("PING")
		_, e := open.Do("SET", "x", "1")
		return err == nil && e == nil && got == "+PONG\r\n"
	})
	mustSay(t, open, "$-1\r\n", "GET", "k")
	// What was watched may have changed: as if it had.
	harness.Eventually(t, "transactions begin", func() bool {
		got, err := watching.Do("MULTI")
		if err != nil {
			t.Fatal(err)
		}
		return got == "+OK\r\n"
	})
	mustSay(t, watching, "+QUEUED\r\n", "SET", "w", "1")
	mustSay(t, watching, "*-1\r\n", "EXEC")
	mustSay(t, watching, "+OK\r\n", "MULTI")
	mustSay(t, watching, "*0\r\n", "EXEC")
}

// At a shutdown blocked clients are answered as if their time were over, and no
// element is lost.
func TestFailureShutdownWhileBlocked(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	p := harness.StartProxy(t, redis.Addr, harness.Options{})
	p.Ready(t)
	var clients []*harness.Conn
	for range 50 {
		c := p.Connect(t, harness.Acme)
		if err := c.Send("BLPOP", "l", "0"); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	up, err := harness.Dial(redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "all are blocked", func() bool {
		info, _ := up.Do("INFO", "clients")
		return strings.Contains(info, "blocked_clients:50\r\n")
	})
	const pushed = 10
	p.Cmd.Process.Signal(syscall.SIGTERM)
	for range pushed {
		if _, err := up.Do("RPUSH", "t:acme:0:l", "v"); err != nil {
			t.Fatal(err)
		}
	}
	got := 0
	for _, c := range clients {
		switch reply, err := c.Reply(); {
		case err != nil:
			t.Errorf("%q, %v", reply, err)
		case reply == "*2\r\n$1\r\nl\r\n$1\r\nv\r\n":
			got++
		case reply != "*-1\r\n":
			t.Errorf("%q", reply)
		}
	}
	left, err := up.Do("LLEN", "t:acme:0:l")
	if err != nil {
		t.Fatal(err)
	}
	if want := diffParse(left).text; want != strconv.Itoa(pushed-got) {
		t.Errorf("%d were given out of %d, and %s are left", got, pushed, want)
	}
	if err, ok := p.Wait(30 * time.Second); !ok || err != nil {
		t.Errorf("the proxy ended with %v", err)
	}
}
