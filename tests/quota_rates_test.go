package tests

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// limitedTo is acme with quotas, in YAML's flow style.
func limitedTo(quotas string) harness.Tenant {
	acme := harness.Acme
	acme.YAML = "    quotas: {" + quotas + "}\n"
	return acme
}

// fleet runs proxies with one configuration in front of one upstream.
func fleet(t *testing.T, n int, tenants ...harness.Tenant) []*harness.Proxy {
	t.Helper()
	redis := harness.StartRedis(t)
	proxies := make([]*harness.Proxy, n)
	for i := range proxies {
		proxies[i] = harness.StartProxy(t, redis.Addr, harness.Options{Tenants: tenants})
	}
	for _, p := range proxies {
		c, err := harness.Dial(p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, "the upstream is there", func() bool {
			reply, err := c.Do("PING")
			return err == nil && strings.HasPrefix(reply, "-NOAUTH")
		})
		c.Close()
	}
	return proxies
}

// crowd is clients that send as fast as they are answered, and soon again what was refused.
type crowd struct {
	t        *testing.T
	admitted atomic.Int64
	refused  atomic.Int64
	stop     chan struct{}
	running  sync.WaitGroup
}

func newCrowd(t *testing.T) *crowd {
	c := &crowd{t: t, stop: make(chan struct{})}
	t.Cleanup(c.end)
	return c
}

func (c *crowd) end() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.running.Wait()
}

func (c *crowd) stopped() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// count takes a reply.
func (c *crowd) count(reply string, err error) bool {
	switch {
	case c.stopped():
		return false
	case err != nil:
		c.t.Errorf("a client: %v", err)
		return false
	case strings.HasPrefix(reply, "-THROTTLED tenant acme is over operations (1000/s), retry in "):
		c.refused.Add(1)
		time.Sleep(2 * time.Millisecond) // still more than is admitted by far, and leaves others some of the machine
	case strings.HasPrefix(reply, "-"):
		c.t.Errorf("a client got %q", reply)
		return false
	default:
		c.admitted.Add(1)
	}
	return true
}

// join adds clients that send one command after the other.
func (c *crowd) join(p *harness.Proxy, clients int) {
	for range clients {
		conn := p.Connect(c.t, p.Tenants[0])
		conn.SetDeadline(time.Now().Add(time.Minute))
		c.running.Go(func() {
			defer conn.Close()
			for c.count(conn.Do("GET", "key")) {
			}
		})
	}
}

// Ten proxies with very different numbers of clients admit together what one would: between 950
// and 1,050 a second over any ten seconds after the first two.
func TestRateOfTenProxies(t *testing.T) {
	t.Parallel()
	for _, over := range []string{"reject", "delay"} {
		t.Run(over, func(t *testing.T) {
			t.Parallel()
			proxies := fleet(t, 10, limitedTo("ops_per_second: 1000, over: "+over))
			c := newCrowd(t)
			for i, p := range proxies {
				c.join(p, []int{1, 20, 1, 2, 10, 1, 3, 5, 1, 30}[i])
			}
			time.Sleep(2 * time.Second)
			const window, step, steps = 10, 250 * time.Millisecond, 11 * 4
			began := time.Now()
			type point struct {
				at time.Duration
				n  int64
			}
			points := []point{{0, c.admitted.Load()}}
			for i := range steps {
				time.Sleep(time.Until(began.Add(time.Duration(i+1) * step)))
				points = append(points, point{time.Since(began), c.admitted.Load()})
			}
			low, high := 1e9, 0.0
			for i := range points {
				for k := i + 1; k < len(points); k++ {
					if d := points[k].at - points[i].at; d >= window*time.Second-step/2 && d < window*time.Second+step {
						rate := float64(points[k].n-points[i].n) / d.Seconds()
						low, high = min(low, rate), max(high, rate)
					}
				}
			}
			c.end()
			t.Logf("between %.1f and %.1f a second; %d refused in all", low, high, c.refused.Load())
			if low < 950 || high > 1050 {
				t.Errorf("between %.1f and %.1f a second", low, high)
			}
			if delays := over == "delay"; delays == (c.refused.Load() > 0) {
				t.Errorf("%s: %d refused", over, c.refused.Load())
			}
		})
	}
}

// paced sends commands at a steady pace, each client's apart from the others', and tells how many
// were refused.
func paced(t *testing.T, proxies []*harness.Proxy, clients, perSecond int, lasts time.Duration) (refused int64) {
	t.Helper()
	var (
		running sync.WaitGroup
		n       atomic.Int64
	)
	began := time.Now()
	for i := range clients {
		c := proxies[i%len(proxies)].Connect(t, harness.Acme)
		running.Go(func() {
			gap := time.Duration(clients) * time.Second / time.Duration(perSecond)
			for at := time.Duration(i) * gap / time.Duration(clients); at < lasts; at += gap {
				time.Sleep(time.Until(began.Add(at)))
				reply, err := c.Do("GET", "key")
				if err != nil {
					t.Error(err)
					return
				}
				if strings.HasPrefix(reply, "-") {
					n.Add(1)
				}
			}
		})
	}
	running.Wait()
	return n.Load()
}

// Below the limit nobody is refused, wherever the clients are; a burst after a pause passes by any
// proxy.
func TestRateBelowTheLimit(t *testing.T) {
	t.Parallel()
	t.Run("all proxies", func(t *testing.T) {
		t.Parallel()
		if refused := paced(t, fleet(t, 4, limitedTo("ops_per_second: 1000")), 10, 700, 4*time.Second); refused > 0 {
			t.Errorf("%d were refused at 700 a second", refused)
		}
	})
	t.Run("one proxy", func(t *testing.T) {
		t.Parallel()
		if refused := paced(t, fleet(t, 2, limitedTo("ops_per_second: 1000"))[1:], 3, 800, 3*time.Second); refused > 0 {
			t.Errorf("%d were refused at 800 a second by one proxy", refused)
		}
	})
	t.Run("bursts", func(t *testing.T) {
		t.Parallel()
		for _, p := range fleet(t, 4, limitedTo("ops_per_second: 1000")) {
			time.Sleep(1500 * time.Millisecond)
			c := p.Connect(t, harness.Acme)
			admitted := pipelined(t, c, 450, []string{"INCR", "n"})
			if admitted != 450 {
				t.Errorf("%d of a burst of 450 passed", admitted)
			}
			if admitted = pipelined(t, c, 450, []string{"INCR", "n"}); admitted > 300 {
				t.Errorf("%d of 450 passed beyond the burst", admitted)
			}
			c.Close()
		}
	})
}
