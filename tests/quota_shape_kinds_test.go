package tests

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// Subscriptions of all kinds count, on pins and on the hub, over both proxies.
func TestCountSubscriptions(t *testing.T) {
	t.Parallel()
	for _, own := range []string{"100", "0"} {
		t.Run("own="+own, func(t *testing.T) {
			t.Parallel()
			r := harness.StartRedis(t)
			var fleet [2]*harness.Proxy
			for i := range fleet {
				fleet[i] = harness.StartProxy(t, r.Addr, harness.Options{
					Tenants:  []harness.Tenant{limited(harness.Acme, "subscriptions: 10"), harness.Globex},
					Upstream: "  subscriber_connections: " + own + "\n", Top: "loops: 2\n",
				})
				fleet[i].Ready(t)
			}
			tooMany := over("subscriptions", 10)
			call := func(c *harness.Conn, line string, confirmed int) {
				t.Helper()
				c.Send(strings.Fields(line)...)
				for range max(1, confirmed) {
					reply, err := c.Reply()
					if err != nil || (confirmed > 0) != (reply[0] == '*') || confirmed == 0 && reply != tooMany {
						t.Fatalf("%s: %q, %v", line, reply, err)
					}
				}
			}
			a, b := fleet[0].Connect(t, harness.Acme), fleet[1].Connect(t, harness.Acme)
			call(a, "SUBSCRIBE 1 2 3 4 5 6 7 8 9 10 11", 0)
			call(a, "SUBSCRIBE 1 2 3 4", 4)
			call(a, "PSUBSCRIBE 1* 2*", 2)
			call(a, "SSUBSCRIBE 1", 1)
			call(b, "SUBSCRIBE 1 2 3 4", 0)
			call(b, "SUBSCRIBE 1 1 2 3", 4)
			call(b, "SUBSCRIBE 1 2 3", 3) // has them already
			call(b, "PSUBSCRIBE x", 0)
			call(a, "SUBSCRIBE 1 2 3 4", 4)
			call(a, "SUBSCRIBE 5", 0)
			other := fleet[0].Connect(t, harness.Globex)
			call(other, "SUBSCRIBE 1 2 3 4 5 6 7 8 9 10 11 12", 12)
			eventually := func(c *harness.Conn, line string) {
				t.Helper()
				harness.Eventually(t, line, func() bool {
					reply, err := c.Do(strings.Fields(line)...)
					return err == nil && reply[0] == '*'
				})
			}
			call(a, "UNSUBSCRIBE 1 2", 2)
			eventually(b, "SUBSCRIBE 4")
			eventually(b, "SUBSCRIBE 5")
			call(b, "SSUBSCRIBE 2", 0)
			expect(t, a, "+RESET\r\n", "RESET")
			for i := range 5 {
				eventually(b, fmt.Sprintf("SUBSCRIBE more%d", i))
			}
			call(b, "SUBSCRIBE 9", 0)
			b.Close()
			c := fleet[0].Connect(t, harness.Acme)
			for i := range 10 {
				eventually(c, fmt.Sprintf("PSUBSCRIBE more%d", i))
			}
			call(c, "PSUBSCRIBE 11", 0)
			call(c, "PUNSUBSCRIBE", 10)
			eventually(c, "PSUBSCRIBE 11")
		})
	}
}

// awaitBlocked waits until the upstream has so many clients that wait.
func awaitBlocked(t *testing.T, r *harness.Process, n int) {
	t.Helper()
	up, err := harness.Dial(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	harness.Eventually(t, "clients wait", func() bool {
		reply, err := up.Do("INFO", "clients")
		return err == nil && strings.Contains(reply, fmt.Sprintf("\r\nblocked_clients:%d\r\n", n))
	})
}

// Clients that wait, over both proxies; XREAD with BLOCK is one of them, and the
// same commands where they do not wait are not.
func TestCountBlocked(t *testing.T) {
	t.Parallel()
	r, fleet := startFleet(t, 2, "blocked: 3")
	tooMany := over("blocked", 3)
	waiting := make([]*harness.Conn, 3)
	for i, call := range []string{"BLPOP q0 0", "XREAD BLOCK 0 STREAMS x $", "BLMOVE q2 to LEFT LEFT 0"} {
		waiting[i] = fleet[i%2].Connect(t, harness.Acme)
		waiting[i].Send(strings.Fields(call)...)
	}
	c, push := fleet[1].Connect(t, harness.Acme), fleet[0].Connect(t, harness.Acme)
	awaitBlocked(t, r, 3)
	expect(t, c, tooMany, "BLPOP", "nothing", "10")
	expect(t, c, tooMany, "XREAD", "BLOCK", "10", "STREAMS", "x", "$")
	expect(t, c, tooMany, "WAIT", "0", "1")
	expect(t, c, "*-1\r\n", "XREAD", "STREAMS", "x", "0")
	expect(t, c, "+OK\r\n", "MULTI")
	expect(t, c, "+QUEUED\r\n", "BLPOP", "nothing", "0")
	expect(t, c, "*1\r\n*-1\r\n", "EXEC")
	expect(t, push, ":1\r\n", "RPUSH", "q0", "e")
	if reply, err := waiting[0].Reply(); err != nil || reply != "*2\r\n"+poolBulks("q0", "e") {
		t.Fatalf("%q, %v", reply, err)
	}
	harness.Eventually(t, "there is room for one that waits", func() bool {
		reply, err := c.Do("BLPOP", "nothing", "0.01")
		return err == nil && reply == "*-1\r\n"
	})
	waiting[1].Close()
	c.Send("BLPOP", "q", "0")
	d := fleet[0].Connect(t, harness.Acme)
	harness.Eventually(t, "there is room since another has left", func() bool {
		reply, err := d.Do("BLPOP", "nothing", "0.01")
		return err == nil && reply == "*-1\r\n"
	})
}

// Connections of one's own: by WATCH, MULTI, CLIENT TRACKING and by waiting.
func TestCountPinned(t *testing.T) {
	t.Parallel()
	r, fleet := startFleet(t, 2, "pinned: 4")
	tooMany := over("pinned", 4)
	var have []*harness.Conn
	for i, call := range []string{"MULTI", "WATCH k", "CLIENT TRACKING ON BCAST", "BLPOP q 0"} {
		c := fleet[i%2].Connect(t, harness.Acme)
		have = append(have, c)
		if i == 2 {
			c.Do("HELLO", "3")
		}
		if i == 3 {
			c.Send(strings.Fields(call)...)
			continue
		}
		expect(t, c, "+OK\r\n", strings.Fields(call)...)
	}
	c := fleet[0].Connect(t, harness.Acme)
	awaitBlocked(t, r, 1)
	expect(t, c, tooMany, "WATCH", "k")
	expect(t, c, tooMany, "MULTI")
	expect(t, c, "-ERR EXEC without MULTI\r\n", "EXEC")
	expect(t, c, "+OK\r\n", "SET", "k", "v")
	expect(t, fleet[0].Connect(t, harness.Globex), "+OK\r\n", "MULTI")
	// Subscribers share one then.
	expect(t, c, "*3\r\n"+poolBulks("subscribe", "ch")+":1\r\n", "SUBSCRIBE", "ch")
	expect(t, c, "+RESET\r\n", "RESET")
	c = fleet[0].Connect(t, harness.Acme)
	expect(t, have[0], "*0\r\n", "EXEC")
	harness.Eventually(t, "there is one left", func() bool {
		reply, err := c.Do("MULTI")
		return err == nil && reply == "+OK\r\n"
	})
	expect(t, c, "+OK\r\n", "DISCARD")
	// Transactions one after the other need one all together.
	for i := range 300 {
		expect(t, c, "+OK\r\n", "MULTI")
		expect(t, c, "+QUEUED\r\n", "INCR", "n")
		expect(t, c, fmt.Sprintf("*1\r\n:%d\r\n", i+1), "EXEC")
	}
}

// While the upstream is away a proxy keeps to its share, and nobody waits for
// long.
func TestCountUpstreamAway(t *testing.T) {
	r, fleet := startFleet(t, 2, "connections: 6")
	for i := range 2 {
		if _, reply := tryLogin(t, fleet[i]); reply != "+OK\r\n" {
			t.Fatal(reply)
		}
	}
	up, err := harness.Dial(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	harness.Eventually(t, "both have given back what they do not need, and know of each other", func() bool {
		reply, err := up.Do("HVALS", "t:acme:counts")
		return err == nil && strings.Count(reply, " 1 0 0 0\r\n") == 2
	})
	r.Kill()
	in := 0
	for i := range 12 {
		began := time.Now()
		_, reply := tryLogin(t, fleet[i%2])
		if reply == "+OK\r\n" {
			in++
		} else if !strings.HasPrefix(reply, "-ERR max number of clients") {
			t.Fatalf("AUTH: %q", reply)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("AUTH took %v", took)
		}
	}
	if in != 4 {
		t.Errorf("%d more were let in", in)
	}
	harness.StartRedisOn(t, up.RemoteAddr().(*net.TCPAddr).Port)
	harness.Eventually(t, "the counts are those of all again", func() bool {
		c, reply := tryLogin(t, fleet[0])
		c.Close()
		return reply != "+OK\r\n" && strings.Contains(fleet[0].Log(), "for all proxies together again") && strings.Contains(fleet[1].Log(), "for all proxies together again")
	})
}
