package tests

import (
	"math/rand/v2"
	"sync"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// modelVariants are the ways in which values are stored.
var modelVariants = []struct{ name, yaml string }{
	{"compressed", "    compression: {algorithm: zstd, min_size: 1, dictionaries: {enabled: false}}\n"},
	{"encrypted", "    compression: {algorithm: lz4, min_size: 1}\n    encryption: {algorithm: aes-256-gcm, key: test}\n"},
}

func modelProxy(t *testing.T, r *harness.Process, yaml string) *harness.Proxy {
	tenant := harness.Acme
	tenant.YAML = yaml
	return harness.StartProxy(t, r.Addr, harness.Options{
		Tenants: []harness.Tenant{tenant},
		Top:     "encryption_keys:\n  test: {env: RIPTIDE_MODEL_KEY}\nloops: 2\n",
		Env:     []string{"RIPTIDE_MODEL_KEY=" + config.HashSecret("a key of the model's")},
	})
}

// runModel runs rounds of clients until the time is over. between is called in the middle of
// each round.
func runModel(t *testing.T, w *modelWorld, rounds int, between func(round int)) {
	const clients, steps = 10, 30
	for _, p := range w.proxies {
		p.Ready(t)
	}
	all := make([]*modelClient, clients)
	for i := range all {
		all[i] = &modelClient{t: t, w: w, id: i, via: i % len(w.proxies), rnd: rand.New(rand.NewPCG(4, uint64(i))), drain: w.calm && i%3 == 2}
	}
	w.tally = make(map[outcome]int)
	for round := 0; round < rounds && !t.Failed(); round++ {
		m := newValueModel(round)
		for _, c := range all {
			c.m = m
		}
		all[0].seed()
		var wg sync.WaitGroup
		for _, c := range all {
			wg.Go(func() {
				for range steps {
					before := c.away
					if c.step(); c.away != before {
						c.settle()
					}
				}
			})
		}
		if between != nil {
			between(round)
		}
		wg.Wait()
		for _, c := range all[:2] {
			c.check()
		}
	}
	t.Logf("%d acknowledged, %d refused, %d unknown", w.tally[done], w.tally[refused], w.tally[unclear])
}

// modelRounds is for how many rounds a test goes on.
func modelRounds(n int) int {
	if full {
		return 20 * n
	}
	return n
}

func TestValuesModel(t *testing.T) {
	t.Parallel()
	for _, v := range modelVariants {
		t.Run(v.name, func(t *testing.T) {
			r := harness.StartRedis(t)
			w := &modelWorld{proxies: []*harness.Proxy{modelProxy(t, r, v.yaml), modelProxy(t, r, v.yaml)}, calm: true}
			runModel(t, w, modelRounds(16), nil)
		})
	}
}

// A proxy that dies in the middle of what it does takes nothing with it.
func TestValuesModelProxyKilled(t *testing.T) {
	t.Parallel()
	for _, v := range modelVariants {
		t.Run(v.name, func(t *testing.T) {
			r := harness.StartRedis(t)
			w := &modelWorld{proxies: []*harness.Proxy{modelProxy(t, r, v.yaml), modelProxy(t, r, v.yaml)}}
			runModel(t, w, modelRounds(6), func(round int) {
				w.busy(t)
				w.proxy(0).Kill()
				p := modelProxy(t, r, v.yaml)
				w.mu.Lock()
				w.proxies[0] = p
				w.mu.Unlock()
			})
		})
	}
}

// An upstream that dies and comes back has all that was acknowledged.
func TestValuesModelUpstreamKilled(t *testing.T) {
	t.Parallel()
	for _, v := range modelVariants {
		t.Run(v.name, func(t *testing.T) {
			port, keep := harness.FreePort(t), []string{"--appendonly", "yes", "--appendfsync", "always", "--dir", t.TempDir()}
			r := harness.StartRedisOn(t, port, keep...)
			w := &modelWorld{proxies: []*harness.Proxy{modelProxy(t, r, v.yaml), modelProxy(t, r, v.yaml)}}
			runModel(t, w, modelRounds(6), func(round int) {
				w.busy(t)
				r.Kill()
				r = harness.StartRedisOn(t, port, keep...)
			})
		})
	}
}

// busy waits until the clients are in the middle of it.
func (w *modelWorld) busy(t *testing.T) {
	count := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.tally[done]
	}
	want := count() + 100
	harness.Eventually(t, "the clients are busy", func() bool { return count() >= want })
}
