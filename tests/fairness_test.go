package tests

import (
	"bytes"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// crowder sends commands without end on connections of its own, and counts what is answered.
type crowder struct {
	answered atomic.Int64
}

var crowdValue = strings.Repeat("v", 16<<10)

// flood has n connections send a command again and again, each as fast as it is taken. Each reply has
// size bytes; 0: they are not read.
func (c *crowder) flood(t *testing.T, p *harness.Proxy, tenant harness.Tenant, n, size int, commands ...[]string) {
	t.Helper()
	var batch []byte
	for _, args := range commands {
		batch = append(batch, harness.Request(args...)...)
	}
	batch = bytes.Repeat(batch, max(1, 64<<10/len(batch)))
	for range n {
		conn := p.Connect(t, tenant)
		// A thousand full buffers are more than the kernel has for all connections together.
		conn.Conn.(*net.TCPConn).SetWriteBuffer(32 << 10)
		go func() {
			for {
				if _, err := conn.Write(batch); err != nil {
					return
				}
			}
		}()
		if size > 0 {
			go c.count(conn, size)
		}
	}
}

func (c *crowder) count(conn *harness.Conn, size int) {
	buf := make([]byte, 64<<10)
	for rest := 0; ; {
		n, err := conn.R.Read(buf)
		if err != nil {
			return
		}
		rest += n
		c.answered.Add(int64(rest / size))
		rest %= size
	}
}

func bulkSize(value string) int { return len(harness.Request(value)) - len("*1\r\n") }

// A tenant that pipelines without end on many connections does not keep another one's commands
// waiting for more than a few of its own. What it sends ahead stays with it.
func TestFairnessBesideANoisyTenant(t *testing.T) {
	for _, x := range []struct {
		name  string
		flood func(c *crowder, p *harness.Proxy)
	}{
		{"SET and GET of large values", func(c *crowder, p *harness.Proxy) {
			c.flood(t, p, harness.Acme, 50, len("+OK\r\n"), []string{"SET", "k", crowdValue})
			c.flood(t, p, harness.Acme, 50, bulkSize(crowdValue), []string{"GET", "k"})
		}},
		{"replies are not read", func(c *crowder, p *harness.Proxy) {
			c.flood(t, p, harness.Acme, 1, len("+OK\r\n"), []string{"SET", "k", crowdValue})
			c.flood(t, p, harness.Acme, 50, 0, []string{"GET", "k"})
		}},
		{"a thousand connections", func(c *crowder, p *harness.Proxy) {
			c.flood(t, p, harness.Acme, 1000, len("+OK\r\n"), []string{"SET", "k", "v"})
		}},
		{"transactions", func(c *crowder, p *harness.Proxy) {
			c.flood(t, p, harness.Acme, 20, len("+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n"), []string{"MULTI"}, []string{"SET", "k", crowdValue}, []string{"EXEC"})
		}},
		{"scripts", func(c *crowder, p *harness.Proxy) {
			c.flood(t, p, harness.Acme, 20, len("+OK\r\n"), []string{"EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", "k", crowdValue})
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := harness.StartProxy(t, harness.StartRedis(t).Addr, harness.Options{Top: "loops: 1\n"})
			p.Ready(t)
			quiet := p.Connect(t, harness.Globex)
			quiet.SetDeadline(time.Now().Add(2 * time.Minute))
			if reply, err := p.Connect(t, harness.Acme).Do("SET", "k", crowdValue); err != nil || reply != "+OK\r\n" {
				t.Fatalf("%q, %v", reply, err)
			}
			c := new(crowder)
			x.flood(c, p)
			harness.Eventually(t, "the noisy tenant is at work", func() bool { return c.answered.Load() > 1000 })
			before := c.answered.Load()
			const n = 200
			for range n {
				if reply, err := quiet.Do("SET", "q", "v"); err != nil || reply != "+OK\r\n" {
					t.Fatalf("%q, %v\n%s", reply, err, p.Log())
				}
			}
			// Without turns each of them takes seconds, of 50,000 commands and more. Some are due to the test's own waiting
			// for a processor, which others have on a busy machine.
			if between := (c.answered.Load() - before) / n; between > 50000 {
				t.Errorf("%d commands of the noisy tenant for each of the quiet one's", between)
			} else {
				t.Logf("%d commands of the noisy tenant for each of the quiet one's", between)
			}
			if rss := p.RSS(t); rss > 300<<20 {
				t.Errorf("the proxy takes %d MiB", rss>>20)
			}
		})
	}
}

// Tenants that both want all there is get it as their weights are.
func TestFairnessByWeight(t *testing.T) {
	light, heavy := harness.Acme, harness.Globex
	light.YAML, heavy.YAML = "    quotas: {weight: 100}\n", "    quotas: {weight: 300}\n"
	p := harness.StartProxy(t, harness.StartRedis(t).Addr, harness.Options{Top: "loops: 1\n", Tenants: []harness.Tenant{light, heavy}})
	p.Ready(t)
	var a, b crowder
	a.flood(t, p, light, 30, len("+OK\r\n"), []string{"SET", "k", crowdValue}) // its connections are more
	b.flood(t, p, heavy, 10, len("+OK\r\n"), []string{"SET", "k", crowdValue})
	harness.Eventually(t, "both are at work", func() bool { return a.answered.Load() > 2000 && b.answered.Load() > 2000 })
	a0, b0 := a.answered.Load(), b.answered.Load()
	harness.Eventually(t, "enough to compare", func() bool { return a.answered.Load()-a0+b.answered.Load()-b0 > 20000 })
	ratio := float64(b.answered.Load()-b0) / float64(a.answered.Load()-a0)
	if ratio < 2 || ratio > 4.5 {
		t.Errorf("three times the weight has %.2f times the commands", ratio)
	} else {
		t.Logf("three times the weight has %.2f times the commands", ratio)
	}
}
