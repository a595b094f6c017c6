package tests

import (
	"fmt"
	"math/rand/v2"
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
			n.ops.Add(1)
			n.out.Add(int64(len(reply)))
		}
	}
}

// member is one place in the fleet: a proxy, and after it was killed the next one.
type member struct {
	proxy *harness.Proxy
	stop  chan struct{}
	done  sync.WaitGroup
}

// The ledger of a fleet whose proxies are killed and whose upstream restarts has
// never more than clients were answered, and no less than that but for what the killed ones had
// not reported.
func TestUsageOfAFleet(t *testing.T) {
	port := harness.FreePort(t)
	durable := []string{"--appendonly", "yes", "--appendfsync", "always", "--dir", t.TempDir()}
	redis := harness.StartRedisOn(t, port, durable...)
	spool := t.TempDir()
	const flush = 200 * time.Millisecond
	options := harness.Options{Top: fmt.Sprintf("usage: {flush: %v, spool: %s}\n", flush, spool), Tenants: []harness.Tenant{harness.Acme}}
	var all counter
	begin := func(seed uint64) *member {
		m := &member{proxy: harness.StartProxy(t, redis.Addr, options), stop: make(chan struct{})}
		for i := range uint64(4) {
			m.done.Go(func() { // a client that connects anew whenever it is cut off
				for n := uint64(0); ; n++ {
					all.work(m.proxy, seed*1000+i*100+n, m.stop)
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
	r := rand.New(rand.NewPCG(5, 5))
	// slack is what clients were answered in the time before a kill that the killed
	// proxy may not have reported: two flushes (of a busy session the newest commands are in the next
	// one), and what a report takes.
	var slackOps, slackIn, slackOut int64
	for round := range 6 {
		time.Sleep(time.Duration(300+r.IntN(700)) * time.Millisecond)
		if round%3 == 2 {
			redis.Kill()
			redis = harness.StartRedisOn(t, port, durable...)
			continue
		}
		i := r.IntN(len(fleet))
		ops, in, out := all.ops.Load(), all.in.Load(), all.out.Load()
		time.Sleep(4*flush + time.Second)
		fleet[i].proxy.Kill()
		slackOps += all.ops.Load() - ops
		slackIn += all.in.Load() - in
		slackOut += all.out.Load() - out
		close(fleet[i].stop)
		fleet[i].done.Wait()
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
	}
	got := usedBy(t, fleet[0].proxy, "acme")
	ops, in, out := all.ops.Load(), all.in.Load(), all.out.Load()
	t.Logf("operations: clients %d, ledger %d, slack %d; in: %d, %d, %d; out: %d, %d, %d",
		ops, got.Operations, slackOps, in, got.In, slackIn, out, got.Out, slackOut)
	for _, c := range []struct {
		what                   string
		ledger, clients, slack int64
	}{{"operations", got.Operations, ops, slackOps}, {"bytes in", got.In, in, slackIn}, {"bytes out", got.Out, out, slackOut}} {
		if c.ledger > c.clients {
			t.Errorf("%s: the ledger has %d, and clients counted %d", c.what, c.ledger, c.clients)
		}
		if c.ledger < c.clients-c.slack {
			t.Errorf("%s: the ledger has %d, at least %d of the clients' %d were reported", c.what, c.ledger, c.clients-c.slack, c.clients)
		}
	}
	if slackOps >= ops {
		t.Error("nothing was left to compare")
	}
}
