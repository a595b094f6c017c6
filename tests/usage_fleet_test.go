package tests

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// counter is a client that counts what it was answered.
type counter struct {
	ops, in, out atomic.Int64
	auths        atomic.Int64 // of in: may count for nobody, as they come from a stranger
}

// work sends pipelines of commands until the connection breaks or stop is closed.
func (n *counter) work(p *harness.Proxy, seed uint64, stop <-chan struct{}) {
	c, err := harness.Dial(p.Addr)
	if err != nil {
		return
	}
	defer c.Close()
	auth := harness.Request("AUTH", "acme", "acme-secret")
	n.in.Add(int64(len(auth))) // before it is sent: what arrives is never more
	n.auths.Add(int64(len(auth)))
	if _, err := c.Write(auth); err != nil {
		return
	}
	reply, err := c.Reply()
	if err != nil {
		return
	}
	n.out.Add(int64(len(reply)))
	r := rand.New(rand.NewPCG(seed, 1))
	for {
		select {
		case <-stop:
			return
		default:
		}
		var sent []byte
		count := 1 + r.IntN(30)
		for range count {
			key := fmt.Sprint("k", r.IntN(100))
			switch r.IntN(4) {
			case 0:
				sent = append(sent, harness.Request("SET", key, "0123456789")...)
			case 1:
				sent = append(sent, harness.Request("PUBLISH", "c", key)...)
			default:
				sent = append(sent, harness.Request("GET", key)...)
			}
		}
		n.in.Add(int64(len(sent)))
		if _, err := c.Write(sent); err != nil {
			return
		}
		for range count {
			reply, err := c.Reply()
			if err != nil {
				return
			}
			if !strings.HasPrefix(reply, "-UNAVAILABLE ") && !strings.HasPrefix(reply, "-UNKNOWN ") {
				n.ops.Add(1) // it was run, and the client knows
			}
			n.out.Add(int64(len(reply)))
		}
		time.Sleep(time.Millisecond) // so that there is time for those who keep count
	}
}

// member is one place in the fleet: a proxy, and after it was killed the next one.
type member struct {
	proxy *harness.Proxy
	counter
	stop chan struct{}
	done sync.WaitGroup
}

// The ledger of a fleet whose proxies are killed and whose upstream restarts has
// never more than clients were answered, and no less than that but for what the killed ones had
// not reported.
func TestUsageOfAFleet(t *testing.T) {
	t.Parallel()
	port := harness.FreePort(t)
	durable := []string{"--appendonly", "yes", "--appendfsync", "always", "--dir", t.TempDir()}
	redis := harness.StartRedisOn(t, port, durable...)
	spool := t.TempDir()
	const flush = 200 * time.Millisecond
	// What a proxy may not have reported when it is killed: two flushes, as of a busy client the
	// newest commands are in the next one, and as long as one takes on a machine that is busy.
	const unreported = 2*flush + 1500*time.Millisecond
	options := harness.Options{Top: fmt.Sprintf("usage: {flush: %v, spool: %s}\n", flush, spool), Tenants: []harness.Tenant{harness.Acme}}
	begin := func(seed uint64) *member {
		m := &member{proxy: harness.StartProxy(t, redis.Addr, options), stop: make(chan struct{})}
		for i := range uint64(4) {
			m.done.Go(func() { // a client that connects anew whenever it is cut off
				for n := uint64(0); ; n++ {
					m.work(m.proxy, seed*1000+i*100+n, m.stop)
					select {
					case <-m.stop:
						return
					case <-time.After(20 * time.Millisecond):
					}
				}
			})
		}
		return m
	}
	fleet := []*member{begin(1), begin(2), begin(3)}
	var answered, slack [3]int64 // operations, bytes in, bytes out: in all, and in a killed proxy's last moments
	r := rand.New(rand.NewPCG(5, 5))
	for round := range 6 {
		time.Sleep(time.Duration(300+r.IntN(700)) * time.Millisecond)
		if round%3 == 2 {
			redis.Kill()
			redis = harness.StartRedisOn(t, port, durable...)
			continue
		}
		i := r.IntN(len(fleet))
		m := fleet[i]
		time.Sleep(unreported)
		before := m.counts()
		time.Sleep(unreported)
		m.proxy.Kill()
		close(m.stop)
		m.done.Wait()
		for n, count := range m.counts() {
			answered[n] += count
			slack[n] += count - before[n]
		}
		slack[1] += m.auths.Load()
		fleet[i] = begin(uint64(10 + round))
	}
	for _, m := range fleet {
		close(m.stop)
	}
	for _, m := range fleet {
		m.done.Wait()
		m.proxy.Cmd.Process.Signal(syscall.SIGTERM)
		if err, ok := m.proxy.Wait(20 * time.Second); err != nil || !ok {
			t.Fatalf("a proxy that was told to stop: %v, %t", err, ok)
		}
		for n, count := range m.counts() {
			answered[n] += count
		}
		slack[1] += m.auths.Load()
	}
	line := usedBy(t, fleet[0].proxy, "acme")
	got := [3]int64{line.Operations, line.In, line.Out}
	for n, what := range []string{"operations", "bytes in", "bytes out"} {
		t.Logf("%s: clients counted %d, the ledger has %d less, and may have %d less", what, answered[n], answered[n]-got[n], slack[n])
		if got[n] > answered[n] {
			t.Errorf("%s: the ledger has %d, and clients counted %d", what, got[n], answered[n])
		}
		if got[n] < answered[n]-slack[n] {
			t.Errorf("%s: the ledger has %d, and of the clients' %d at least %d were reported", what, got[n], answered[n], answered[n]-slack[n])
		}
	}
	if slack[0] >= answered[0] {
		t.Error("nothing was left to compare")
	}
}

// counts are operations, bytes in and bytes out.
func (n *counter) counts() [3]int64 { return [3]int64{n.ops.Load(), n.in.Load(), n.out.Load()} }
