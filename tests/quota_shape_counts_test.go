package tests

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// limited is a tenant with quotas, in YAML's flow style.
func limited(tenant harness.Tenant, quotas string) harness.Tenant {
	tenant.YAML += "    quotas: {" + quotas + "}\n"
	return tenant
}

// startFleet runs proxies on one upstream, where acme has quotas.
func startFleet(t *testing.T, n int, quotas string) (*harness.Process, []*harness.Proxy) {
	t.Helper()
	r := harness.StartRedis(t)
	fleet := make([]*harness.Proxy, n)
	for i := range fleet {
		fleet[i] = harness.StartProxy(t, r.Addr, harness.Options{Tenants: []harness.Tenant{limited(harness.Acme, quotas), harness.Globex}, Top: "loops: 2\n"})
		reply, err := fleet[i].Connect(t, harness.Globex).Do("PING")
		if err != nil || reply != "+PONG\r\n" {
			t.Fatalf("%q, %v", reply, err)
		}
	}
	return r, fleet
}

// tryLogin connects as acme and returns what AUTH was answered.
func tryLogin(t *testing.T, p *harness.Proxy) (*harness.Conn, string) {
	t.Helper()
	c, err := harness.Dial(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	reply, err := c.Do("AUTH", harness.Acme.ID, harness.Acme.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return c, reply
}

const errConnections = "-ERR max number of clients reached: tenant acme has its quota of 20 connections\r\n"

// Of 60 clients that log in at once at three proxies 20 are let in, and who
// leaves makes room, whichever proxy is asked.
func TestCountConnections(t *testing.T) {
	t.Parallel()
	r, fleet := startFleet(t, 3, "connections: 20")
	var mu sync.Mutex
	var wg sync.WaitGroup
	in := make([][]*harness.Conn, len(fleet))
	var out []*harness.Conn
	for i := range 60 {
		wg.Go(func() {
			c, reply := tryLogin(t, fleet[i%3])
			mu.Lock()
			defer mu.Unlock()
			switch reply {
			case "+OK\r\n":
				in[i%3] = append(in[i%3], c)
			case errConnections:
				out = append(out, c)
			default:
				t.Errorf("AUTH: %q", reply)
			}
		})
	}
	wg.Wait()
	count := func() (n int) {
		for _, list := range in {
			n += len(list)
		}
		return n
	}
	if count() != 20 || len(out) != 40 {
		t.Fatalf("%d are in, %d are not", count(), len(out))
	}
	for _, c := range out {
		expect(t, c, "-NOAUTH Authentication required.\r\n", "GET", "k")
	}
	// A client that is somebody else stays so.
	globex := fleet[0].Connect(t, harness.Globex)
	expect(t, globex, errConnections, "AUTH", harness.Acme.ID, harness.Acme.Secret)
	expect(t, globex, "$6\r\nglobex\r\n", "ACL", "WHOAMI")
	// All that one proxy had is taken at another.
	for k, list := range in {
		for _, c := range list {
			c.Close()
		}
		n := len(list)
		in[k] = nil
		for range n {
			harness.Eventually(t, "there is room for another", func() bool {
				c, reply := tryLogin(t, fleet[(k+1)%3])
				if reply == "+OK\r\n" {
					in[(k+1)%3] = append(in[(k+1)%3], c)
				}
				return reply == "+OK\r\n"
			})
		}
		if _, reply := tryLogin(t, fleet[k]); reply != errConnections {
			t.Fatalf("AUTH: %q", reply)
		}
	}
	// What a proxy had that is killed is free after ten seconds.
	victim := 0
	for k := range in {
		if len(in[k]) > 0 {
			victim = k
		}
	}
	n := len(in[victim])
	fleet[victim].Kill()
	died := time.Now()
	for range n {
		harness.Eventually(t, "what the killed proxy had is free", func() bool {
			_, reply := tryLogin(t, fleet[(victim+1)%3])
			return reply == "+OK\r\n"
		})
	}
	t.Logf("%d connections were free %v after the kill", n, time.Since(died))
	if _, reply := tryLogin(t, fleet[(victim+1)%3]); reply != errConnections {
		t.Fatalf("AUTH: %q", reply)
	}
	_ = r
}

// Users of a tenant share its limit; who logs in as another tenant, resets or
// ends makes room, and nothing is left in the end.
func TestCountConnectionsComeAndGo(t *testing.T) {
	t.Parallel()
	r, fleet := startFleet(t, 2, "connections: 3, subscriptions: 5, pinned: 4, blocked: 2")
	up, err := harness.Dial(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	var wg sync.WaitGroup
	for k := range 6 {
		wg.Go(func() {
			c, err := harness.Dial(fleet[k%2].Addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for i := range 150 {
				tenant := harness.Acme
				if i%3 == 2 {
					tenant = harness.Globex
				}
				reply, err := c.Do("AUTH", tenant.ID, tenant.Secret)
				if err != nil || reply != "+OK\r\n" && !strings.HasPrefix(reply, "-ERR max number of clients") {
					t.Errorf("AUTH %s: %q, %v", tenant.ID, reply, err)
					return
				}
				if reply != "+OK\r\n" {
					continue
				}
				switch i % 7 {
				case 0:
					if reply, _ := c.Do("SUBSCRIBE", "a", fmt.Sprint(k)); reply[0] == '*' {
						c.Reply()
					}
					c.Do("RESET")
				case 1:
					c.Do("MULTI")
					c.Do("RESET")
				case 2:
					c.Do("WATCH", "k")
					c.Do("UNWATCH")
				case 3:
					c.Do("BLPOP", "nothing", "0.001")
				case 4:
					c.Do("CLIENT", "TRACKING", "ON", "BCAST")
				case 5:
					c.Close()
					if c, err = harness.Dial(fleet[k%2].Addr); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	harness.Eventually(t, "nothing is counted any more", func() bool {
		reply, err := up.Do("EXISTS", "t:acme:counts")
		return err == nil && reply == ":0\r\n"
	})
	for range 3 {
		if _, reply := tryLogin(t, fleet[0]); reply != "+OK\r\n" {
			t.Fatalf("AUTH: %q", reply)
		}
	}
}
