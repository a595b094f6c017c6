package proxy

import (
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

func TestSharePins(t *testing.T) {
	s := startProxy(t, harness.StartRedis(t).Addr, options{})
	onLoop(t, s.workers[0], func() { s.workers[0].pins.Limit = 8 })
	in := func(tenant string, want int) (all []*client) {
		t.Helper()
		for range 8 {
			c := login(t, s, tenant)
			if reply := c.do("MULTI"); reply == "+OK\r\n" {
				all = append(all, c)
			} else if reply != "-"+errNoPin+"\r\n" {
				t.Fatalf("%q", reply)
			}
		}
		if len(all) != want {
			t.Fatalf("%s has %d of 8", tenant, len(all))
		}
		return all
	}
	all := in("acme", 4)
	in("globex", 2)
	for _, c := range all {
		c.expect("+OK\r\n", "DISCARD")
	}
	in("globex", 2) // more, which makes four
	in("acme", 2)
}

func TestShareSubscriptions(t *testing.T) {
	s := startEmbedded(t, options{})
	words := []string{"SUBSCRIBE"}
	for i := range maxSubscriptions + 1 {
		words = append(words, fmt.Sprint(i))
	}
	c := login(t, s, "acme")
	c.expect(fmt.Sprintf("-ERR tenant acme is over its quota of subscriptions (%d)\r\n", maxSubscriptions), words...)
	c.expect("*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n", "SUBSCRIBE", "ch")
	if n := stats(t, s).Tenants["acme"].Refused; n != 1 {
		t.Errorf("%d are counted as refused", n)
	}
}

func TestShareClients(t *testing.T) {
	s := startEmbedded(t, options{limits: "clients: 100"})
	in := 0
	for range 100 {
		c := dial(t, s)
		reply := c.do("AUTH", "acme", secretOf("acme"))
		if reply != "+OK\r\n" {
			if reply != "-"+errCrowded+"\r\n" {
				t.Fatalf("%q", reply)
			}
			c.ends()
			break
		}
		in++
	}
	if in != 90 {
		t.Errorf("acme has %d clients of 100", in)
	}
	c := login(t, s, "globex")
	c.expect("-"+errCrowded+"\r\n", "AUTH", "acme", secretOf("acme"))
}

func TestShareUnfinished(t *testing.T) {
	s := startEmbedded(t, options{limits: "bulk: 512KiB, request: 1MiB"})
	piece := "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$524288\r\n" + strings.Repeat("x", 400<<10)
	quiet := login(t, s, "globex")
	quiet.write([]byte(piece))
	var all []*client
	for range 5 {
		c := login(t, s, "acme")
		c.write([]byte(piece))
		all = append(all, c)
	}
	harness.Eventually(t, "acme has two clients left", func() bool {
		st := stats(t, s).Tenants["acme"]
		return st.Connections == 2 && st.Refused == 3
	})
	rest := strings.Repeat("x", 112<<10) + "\r\n"
	quiet.write([]byte(rest))
	quiet.read("+OK\r\n")
	done := 0
	for _, c := range all {
		c.Write([]byte(rest))
		if reply, err := c.Reply(); err == nil && reply == "+OK\r\n" {
			done++
		}
	}
	if done != 2 {
		t.Errorf("%d were finished", done)
	}
}

func TestShareLogins(t *testing.T) {
	own := map[string]*tenantOwn{"a": {tenantLife: &tenantLife{logins: make(chan struct{}, 1)}}, "b": {tenantLife: &tenantLife{logins: make(chan struct{}, 1)}}}
	s := serverOf(own)
	s.logins = make(chan struct{}, slowLogins)
	queue := func(id string) (n int) {
		for {
			if _, ok := s.mayQueue(own[id]); !ok {
				return n
			}
			n++
		}
	}
	if n := queue("a"); n != maxLogins/2 {
		t.Errorf("one tenant may have %d waiting", n)
	}
	if n := queue("b"); n != maxLogins/4 {
		t.Errorf("another may have %d", n)
	}
	done, ok := s.slowTurn(t.Context(), own["a"])
	if !ok || len(s.logins) != 1 {
		t.Fatal("there was room")
	}
	other, _ := s.slowTurn(t.Context(), own["b"])
	done()
	other()
	if len(s.logins)+len(own["a"].logins)+len(own["b"].logins) != 0 {
		t.Error("a turn is not over")
	}
}
