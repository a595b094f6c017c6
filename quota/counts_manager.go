package quota

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// countSilence is after how long the upstream drops what a proxy had that has
	// not been heard of.
	countSilence = 10 * time.Second
	// countSign is how often a proxy is heard of.
	countSign = 3 * time.Second
	// countPeriod is how long allowance that nobody uses is kept, at least; at most
	// it is twice that.
	countPeriod = 250 * time.Millisecond
	// countWait is for how long others may be waited for to let go of allowance
	// that they do not use.
	countWait = 900 * time.Millisecond
	// countAgain is how long after an answer it is asked again for claims that
	// could not be granted.
	countAgain = 50 * time.Millisecond
	// countSoon is that for claims that have come since.
	countSoon = 10 * time.Millisecond
	// countLook is for how long the usage is kept up to date of a tenant who has
	// nothing here, after somebody wanted to know it, and countLookAgain how often.
	countLook      = time.Minute
	countLookAgain = 10 * time.Second
	// countTimeout bounds the waiting for one answer of the upstream.
	countTimeout = 400 * time.Millisecond
	// countExtra is how much is asked for in advance.
	countExtra = 8
	// countsBatch is how many tenants are asked for at once.
	countsBatch = 128
)

// CountManager keeps the counts of all tenants in step with the upstream, from
// one goroutine of the process.
type CountManager struct {
	id  string
	ask func(ctx context.Context, asks []countAsk) ([]countAnswer, error)
	now func() time.Time

	wake chan struct{}

	mu      sync.Mutex
	tenants map[string]*Counts
	closed  bool
	down    bool // the last request failed
	told    bool // of that, in the log
	rotated time.Time
}

// NewCountManager makes one for a process, told from others by id. client must
// not retry, and is for the manager alone.
func NewCountManager(client redis.UniversalClient, id string) *CountManager {
	m := &CountManager{id: id, now: time.Now, wake: make(chan struct{}, 1), tenants: make(map[string]*Counts)}
	m.ask = func(ctx context.Context, asks []countAsk) ([]countAnswer, error) {
		return runCounts(ctx, client, id, asks)
	}
	return m
}

// Set says what a tenant is limited to. root is what its keys in the upstream begin with. A tenant without limits is
// not counted, unless it had some before.
func (m *CountManager) Set(id, root string, limits CountLimits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.tenants[id]
	if c == nil && limits == (CountLimits{}) {
		return
	}
	if c == nil || c.key != root+"counts" {
		// The upstream may know this process from before.
		c = &Counts{manager: m, key: root + "counts", proxies: 1, sequence: uint64(m.now().UnixMilli())}
		m.tenants[id] = c
	}
	for r := range limits {
		if c.limits[r].Store(limits[r]); limits[r] == 0 {
			c.purses[r].hold(0) // it would be out of date should there be a limit again
		}
	}
	c.stale = true
	m.poke()
}

// Drop forgets a tenant that there is no more.
func (m *CountManager) Drop(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.tenants[id]; c != nil {
		for _, x := range c.waiting {
			x.end(ErrFull)
		}
		c.waiting = nil
		delete(m.tenants, id)
	}
}

// Tenant is one whose limits were set; nil: there are none.
func (m *CountManager) Tenant(id string) *Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tenants[id]
}

// Usage is what a tenant has of its limited resources, over all proxies as far as
// the upstream has told lately.
func (m *CountManager) Usage(id string) (all []Usage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.tenants[id]
	if c == nil {
		return nil
	}
	c.looked = m.now()
	m.poke()
	for r := range Counted {
		if limit := c.Limit(r); limit > 0 {
			all = append(all, Usage{Resource: r.String(), Used: float64(c.others[r]) + float64(c.Used(r)), Limit: float64(limit)})
		}
	}
	return all
}

func (m *CountManager) poke() {
	select {
	case m.wake <- struct{}{}:
	default: // it is going to look
	}
}

// Run works until ctx ends, and then gives everything back.
func (m *CountManager) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		pause := m.round(ctx)
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			m.leave()
			return
		case <-m.wake:
		case <-timer.C:
		}
	}
}

// round asks for what there is to ask for, and returns when to look again.
func (m *CountManager) round(ctx context.Context) (pause time.Duration) {
	var err error
	for asks := m.gather(); len(asks) > 0; {
		some := asks[:min(len(asks), countsBatch)]
		asks = asks[len(some):]
		var answers []countAnswer
		if err == nil { // or it would only take until the next one fails
			answers, err = m.ask(ctx, some)
		}
		if ctx.Err() != nil {
			return 0
		}
		m.settle(some, answers, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	pause = time.Hour
	now := m.now()
	for _, c := range m.tenants {
		pause = min(pause, c.wait(now, m.down))
		if c.active() {
			pause = min(pause, countPeriod)
		}
	}
	return pause
}

// active reports whether there may be something to give back.
func (c *Counts) active() bool {
	for r := range c.purses {
		if c.Limit(Resource(r)) > 0 && c.purses[r].word.Load() != 0 {
			return true
		}
	}
	return false
}

// wait is how long it is until the upstream is to be asked.
func (c *Counts) wait(now time.Time, down bool) time.Duration {
	asked := 0
	for _, x := range c.waiting {
		if x.asked {
			asked++
		}
	}
	var after time.Duration
	switch {
	case down && (c.stale || len(c.waiting) > 0):
		after = countPeriod
	case c.stale || len(c.waiting) > 0 && asked == 0:
		return 0
	case len(c.waiting) > asked:
		after = countSoon
	case asked > 0:
		after = countAgain
	case c.known:
		after = countSign
	case now.Sub(c.looked) < countLook:
		after = countLookAgain
	default:
		return time.Hour
	}
	return max(0, after-now.Sub(c.asked))
}

// gather makes the requests that are due.
func (m *CountManager) gather() (asks []countAsk) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	rotate := now.Sub(m.rotated) >= countPeriod
	if rotate {
		m.rotated = now
	}
	for _, c := range m.tenants {
		if rotate {
			for r := range c.purses {
				if c.purses[r].shrink() {
					c.stale = true
				}
			}
		}
		if c.wait(now, m.down) > 0 {
			continue
		}
		c.sequence++
		a := countAsk{c: c, sequence: c.sequence}
		var claimed [Counted]uint32
		for _, x := range c.waiting {
			claimed[x.r] += uint32(x.n)
			x.asked = true
		}
		for r := range c.purses {
			held, used := c.purses[r].get()
			a.need[r] = max(held, used+claimed[r])
			if claimed[r] > 0 {
				a.extra[r] = countExtra
			}
		}
		c.asked, c.stale = now, false
		asks = append(asks, a)
	}
	return asks
}

// settle takes note of the answers, and decides claims.
func (m *CountManager) settle(asks []countAsk, answers []countAnswer, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note(err)
	now := m.now()
	for i, a := range asks {
		c := a.c
		if err == nil && !answers[i].old {
			x := &answers[i]
			c.proxies, c.others, c.known = x.proxies, x.others, false
			for r := range c.purses {
				if c.Limit(Resource(r)) > 0 {
					c.purses[r].hold(x.granted[r])
					c.known = c.known || x.granted[r] > 0
				}
			}
		}
		if err != nil {
			c.stale = true // whatever has become of it
			c.share()
		}
		c.decide(now, err != nil)
	}
}

// share is what holds while the upstream can not be asked: a process has its
// part of the limit, by the number of proxies that there were, if that is more than
// it has got.
func (c *Counts) share() {
	for r := range c.purses {
		part := uint32(min(c.Limit(Resource(r))/max(1, c.proxies), 1<<31))
		if held, _ := c.purses[r].get(); held < part {
			c.purses[r].hold(part)
		}
	}
}

// decide ends the claims that can be granted, and of those that the upstream was
// asked for the ones for which nothing is to be hoped for.
func (c *Counts) decide(now time.Time, down bool) {
	left := c.waiting[:0]
	for _, x := range c.waiting {
		switch {
		case c.Take(x.r, x.n):
			x.end(nil)
		case down, x.asked && (c.others[x.r] == 0 || now.Sub(x.since) >= countWait):
			x.end(ErrFull)
		default:
			left = append(left, x)
		}
	}
	clear(c.waiting[len(left):])
	c.waiting = left
}

// note logs, once, that the counts are not fleet-wide or are so again.
func (m *CountManager) note(err error) {
	m.down = err != nil
	switch {
	case err != nil && !m.told:
		slog.Warn("quotas of connections, subscriptions and the like hold for this proxy's share only: the upstream does not keep count", "error", err)
	case err == nil && m.told:
		slog.Info("quotas of connections, subscriptions and the like hold for all proxies together again")
	}
	m.told = err != nil
}

// leave gives back all that the upstream knows of, when the process ends.
func (m *CountManager) leave() {
	m.mu.Lock()
	m.closed = true
	var asks []countAsk
	for _, c := range m.tenants {
		for _, x := range c.waiting {
			x.end(ErrFull)
		}
		c.waiting = nil
		if c.known {
			c.sequence++
			asks = append(asks, countAsk{c: c, sequence: c.sequence})
		}
	}
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	for len(asks) > 0 && ctx.Err() == nil {
		some := asks[:min(len(asks), countsBatch)]
		asks = asks[len(some):]
		if _, err := m.ask(ctx, some); err != nil {
			return // it is dropped when this proxy is silent
		}
	}
}
