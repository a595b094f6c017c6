package proxy

import (
	"context"
	"sync"
	"time"

	"riptide-proxy/netloop"
)

// totals are a tenant's counters over all loops, for INFO.
type totals struct {
	commands        []uint64
	rows            map[int]*commandStats
	errors          map[string]uint64
	calls, failures uint64
	in, out         uint64
	hits, misses    uint64
	logins          uint64
	clients         int64
	blocked         int64
	tracking        int64
	pubsub          int64
	watching        int64 // that have keys watched
}

// totals adds a tenant's counters up.
func (s *Server) totals(ctx context.Context, tenant string) (*totals, error) {
	all, err := everywhere(ctx, s, func(w *worker) *totals { return w.tenantStats(tenant).totals() })
	if err != nil {
		return nil, err
	}
	sum := &totals{rows: make(map[int]*commandStats), errors: make(map[string]uint64)}
	for _, t := range all {
		if t == nil {
			continue // a panic, which has been logged
		}
		if sum.commands == nil {
			sum.commands = make([]uint64, len(t.commands))
		}
		for i, n := range t.commands {
			sum.commands[i] += n
			sum.calls += n
		}
		for i, c := range t.rows {
			k := sum.rows[i]
			if k == nil {
				k = new(commandStats)
				sum.rows[i] = k
			}
			addHistogram(&k.latency, &c.latency)
			k.failed += c.failed
			k.rejected += c.rejected
		}
		for code, n := range t.errors {
			sum.errors[code] += n
		}
		sum.failures += t.failures
		sum.in += t.in
		sum.hits += t.hits
		sum.misses += t.misses
		sum.out += t.out
		sum.logins += t.logins
		sum.clients += t.clients
		sum.blocked += t.blocked
		sum.tracking += t.tracking
		sum.pubsub += t.pubsub
		sum.watching += t.watching
	}
	return sum, nil
}

// totals copies what one loop has counted.
func (t *tenantStats) totals() *totals {
	c := &totals{
		commands: append([]uint64(nil), t.commands...), rows: make(map[int]*commandStats), errors: make(map[string]uint64),
		failures: t.failures, in: t.in, out: t.out, hits: t.hits, misses: t.misses, logins: t.logins, clients: t.connections,
	}
	for i, row := range t.rows {
		if row != nil {
			copied := *row
			c.rows[i] = &copied
		}
	}
	for code, n := range t.errors {
		c.errors[code] = *n
	}
	t.countClients(c)
	return c
}

// countClients counts the sessions that are in a state of their own.
func (t *tenantStats) countClients(c *totals) {
	for s := t.first; s != nil; s = s.next {
		for _, state := range []struct {
			on bool
			n  *int64
		}{{s.waits(), &c.blocked}, {s.tracking, &c.tracking}, {s.subs != nil, &c.pubsub}, {s.watching, &c.watching}} {
			if state.on {
				*state.n++
			}
		}
	}
}

// rates turn counters into numbers per second: on average between the last two
// times that somebody asked, at least rateTime apart.
type rates struct {
	mu           sync.Mutex
	at           time.Time
	last         flow
	ops, in, out float64 // commands and bytes per second
}

const rateTime = time.Second

// update takes the counters as they are now and returns the rates.
func (r *rates) update(now time.Time, f flow) (ops, in, out float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := now.Sub(r.at).Seconds(); d >= rateTime.Seconds() {
		if !r.at.IsZero() {
			r.ops = float64(f.calls-min(f.calls, r.last.calls)) / d
			r.in = float64(f.in-min(f.in, r.last.in)) / d
			r.out = float64(f.out-min(f.out, r.last.out)) / d
		}
		r.at, r.last = now, f
	}
	return r.ops, r.in, r.out
}

// quantile is the time that a share of the calls did not exceed: the upper end
// of the bucket it lies in.
func quantile(h *netloop.Histogram, share float64) time.Duration {
	total := uint64(0)
	for _, n := range h.Buckets {
		total += n
	}
	sum := uint64(0)
	for i, n := range h.Buckets {
		if total == 0 {
			break
		}
		sum += n
		if float64(sum) >= share*float64(total) {
			return time.Microsecond << i
		}
	}
	return 0
}
