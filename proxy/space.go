package proxy

import (
	"bytes"
	"context"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/namespace"
)

// How many keys a tenant has, and how much memory they take, is found out by a
// scan of the upstream. The result serves all the tenant's sessions for a while,
// so that a dashboard that asks every second costs little.

const (
	// spaceLasts is how long a result is good, at least; one that took long to
	// get is good for spaceShare times as long as that.
	spaceLasts = 2 * time.Second
	spaceShare = 20
	// spaceWait is how long INFO waits for a result. Where getting one takes
	// long it makes do with the last one.
	spaceWait = 2 * time.Second
	// spaceLimit ends a scan; what it has counted by then is what there is.
	spaceLimit = 2 * time.Minute
	// spaceSample is of how many keys the time to live and the memory are asked
	// for. Those of all are estimated from them.
	spaceSample = 1000
	spaceBatch  = 100 // at once
)

// space is what was found out about a tenant's keys.
type space struct {
	dbs     []dbSpace // by database
	keys    int64
	memory  int64 // of all keys, estimated from the sample
	sampled int64
	bytes   int64 // of the sample
}

// dbSpace is one database's.
type dbSpace struct {
	keys    int64
	sampled int64
	expires int64 // of the sample
	ttl     int64 // sum of theirs, in milliseconds
}

// expiring estimates how many keys have a time to live.
func (d *dbSpace) expiring() int64 {
	if d.sampled == 0 {
		return 0
	}
	return (d.expires*d.keys + d.sampled/2) / d.sampled
}

// avgTTL is in milliseconds.
func (d *dbSpace) avgTTL() int64 {
	if d.expires == 0 {
		return 0
	}
	return d.ttl / d.expires
}

// spaceCache holds the last result, and the scan for the next one.
type spaceCache struct {
	mu      sync.Mutex
	last    *space
	took    time.Duration // to get it
	until   time.Time     // until when it is good
	running chan struct{} // closed when the scan under way ends; nil when there is none
}

// space returns what is known of a tenant's keys. It is never nil.
func (s *Server) space(ctx context.Context, own *tenantOwn) *space {
	c := &own.found
	c.mu.Lock()
	if c.last != nil && time.Now().Before(c.until) {
		defer c.mu.Unlock()
		return c.last
	}
	if c.running == nil {
		c.running = make(chan struct{})
		s.slow.Add(1) // whoever asks is a slow operation as well, so this is in time
		go s.measure(own)
	}
	running, patient := c.running, c.last == nil || c.took < spaceWait/4
	c.mu.Unlock()
	if patient {
		select {
		case <-running:
		case <-time.After(spaceWait):
		case <-ctx.Done():
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		return &space{dbs: make([]dbSpace, own.tenant.Databases)}
	}
	return c.last
}

// measure scans for a tenant's keys.
func (s *Server) measure(own *tenantOwn) {
	defer s.slow.Done()
	ctx, cancel := context.WithTimeout(s.ctx, spaceLimit)
	defer cancel()
	found := &space{dbs: make([]dbSpace, own.tenant.Databases)}
	start := time.Now()
	good := false
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic in counting keys", "tenant", own.tenant.ID, "panic", p, "stack", string(debug.Stack()))
		}
		c := &own.found
		c.mu.Lock()
		defer c.mu.Unlock()
		if good {
			found.estimate()
			own.peak.Store(max(own.peak.Load(), found.memory))
			c.last = found
		}
		c.took = time.Since(start)
		c.until = time.Now().Add(max(spaceLasts, spaceShare*c.took))
		close(c.running)
		c.running = nil
	}()
	turns := own.turns
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
	case <-ctx.Done():
		return
	}
	op := &slowOp{client: s.client, tenant: own.tenant}
	err := op.each(ctx, own.tenant.Root(), "*", func(keys []string) error {
		s.count(ctx, found, own.tenant, keys)
		return nil
	})
	good = err == nil || ctx.Err() != nil && s.ctx.Err() == nil && found.keys > 0
}

// count takes note of a page of keys.
func (s *Server) count(ctx context.Context, found *space, tenant *namespace.Tenant, keys []string) {
	root := string(tenant.Root())
	var sample []string
	var dbs []int
	for _, k := range keys {
		number, _, isKey := strings.Cut(strings.TrimPrefix(k, root), ":")
		db, err := strconv.Atoi(number)
		if !isKey || err != nil || db < 0 || db >= len(found.dbs) || !bytes.HasPrefix([]byte(k), tenant.Prefix(db)) {
			continue // of a database that the tenant had when it had more of them
		}
		found.dbs[db].keys++
		found.keys++
		if found.sampled+int64(len(sample)) < spaceSample {
			sample, dbs = append(sample, k), append(dbs, db)
		}
	}
	for len(sample) > 0 {
		n := min(len(sample), spaceBatch)
		s.weigh(ctx, found, sample[:n], dbs[:n])
		sample, dbs = sample[n:], dbs[n:]
	}
}

// weigh asks for the time to live and the memory of some keys.
func (s *Server) weigh(ctx context.Context, found *space, keys []string, dbs []int) {
	pipe := s.client.Pipeline()
	ttls, sizes := make([]*redis.DurationCmd, len(keys)), make([]*redis.IntCmd, len(keys))
	for i, k := range keys {
		ttls[i], sizes[i] = pipe.PTTL(ctx, k), pipe.MemoryUsage(ctx, k)
	}
	pipe.Exec(ctx) // the error of each is looked at below
	for i := range keys {
		ttl, err := ttls[i].Result()
		if err != nil || ttl == -2 { // gone meanwhile
			continue
		}
		d := &found.dbs[dbs[i]]
		d.sampled++
		if ttl >= 0 {
			d.expires++
			d.ttl += ttl.Milliseconds()
		}
		found.sampled++
		found.bytes += sizes[i].Val() // 0 where the upstream does not tell
	}
}

func (f *space) estimate() {
	if f.sampled > 0 {
		f.memory = int64(float64(f.bytes) / float64(f.sampled) * float64(f.keys))
	}
}
