package proxy

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/quota"
)

// spaceKeeper draws the loops' allowances of memory and keys from what all proxies
// share, and counts tenants' keys when it is this proxy's turn.
type spaceKeeper struct {
	srv    *Server
	client *redis.Client
	blind  atomic.Bool // it does not let the proxy measure
	seeing atomic.Bool // it has let it measure a script

	mu        sync.Mutex
	meters    map[*namespace.Tenant][]*spaceMeter  // of all loops
	reports   map[*namespace.Tenant][]*spaceReport // to be taken to the upstream
	busy      map[*namespace.Tenant]bool           // being taken there
	said      atomic.Bool                          // that limits can not be kept
	uncounted atomic.Bool                          // it is said that keys are not

	spaces spaces
	turns  chan struct{} // bounds how many are being taken there at once
	counts chan struct{} // and how many tenants are being counted
}

// spaceReport is a loop's.
type spaceReport struct {
	quota.Report
	meter *spaceMeter
}

const (
	drawTurns = 8
	// drawTime bounds how long a report may take.
	drawTime = 500 * time.Millisecond
	// countTime bounds how long counting may take.
	countTime  = 30 * time.Minute
	countTurns = 2
)

func newSpaceKeeper(srv *Server) *spaceKeeper {
	k := &spaceKeeper{
		srv: srv, meters: make(map[*namespace.Tenant][]*spaceMeter),
		reports: make(map[*namespace.Tenant][]*spaceReport), busy: make(map[*namespace.Tenant]bool),
		turns: make(chan struct{}, drawTurns), counts: make(chan struct{}, countTurns),
	}
	k.client = srv.target.Client(drawTurns + countTurns)
	return k
}

func (k *spaceKeeper) close() { k.client.Close() }

// limit is that of a tenant; zero: it has none.
func (k *spaceKeeper) limit(tenant string) (limit quota.Amounts) {
	if own := k.srv.conf().own[tenant]; own != nil {
		limit = own.space
	}
	return limit
}

// limits reports whether any tenant that this proxy has met has a limit.
func (k *spaceKeeper) limits() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.meters) > 0
}

// limited reports whether a tenant has a limit.
func (k *spaceKeeper) limited(tenant string) bool { return k.limit(tenant) != quota.Amounts{} }

// open reports whether nothing is limited while the upstream does not answer.
func (k *spaceKeeper) open() bool { return k.srv.conf().cfg.Accounting.Unreachable == config.Open }

// measures reports whether the upstream tells what keys take.
func (k *spaceKeeper) measures() bool { return !k.blind.Load() }

// refused takes note that it does not.
func (k *spaceKeeper) refused(reply []byte) {
	if !k.blind.Swap(true) {
		slog.Error("what writes make keys grow by is not measured: the upstream does not tell", "error", strings.TrimSpace(string(reply)))
	}
}

// meter returns a loop's meter of a tenant; nil if it has no limit.
func (k *spaceKeeper) meter(w *worker, t *tenantStats) *spaceMeter {
	own := w.conf.own[t.id]
	if own == nil || own.space == (quota.Amounts{}) {
		return nil
	}
	m := newSpaceMeter(k, w, t, own.space)
	m.tenant = own.tenant
	k.mu.Lock()
	k.meters[m.tenant] = append(k.meters[m.tenant], m)
	k.mu.Unlock()
	if w.spaces = append(w.spaces, m); !w.ticking {
		w.ticking = true
		w.loop.After(spaceTick, w.tickSpace)
	}
	return m
}

// retire is for a meter whose tenant has no limit any more, or is no more.
func (k *spaceKeeper) retire(m *spaceMeter) {
	k.mu.Lock()
	if k.meters[m.tenant] = without(k.meters[m.tenant], m); len(k.meters[m.tenant]) == 0 {
		delete(k.meters, m.tenant)
	}
	k.mu.Unlock()
	m.worker.spaces = without(m.worker.spaces, m)
	m.resume()
}

// without is a copy of all but one.
func without(all []*spaceMeter, m *spaceMeter) []*spaceMeter {
	return slices.DeleteFunc(slices.Clone(all), func(x *spaceMeter) bool { return x == m })
}

// tickSpace runs every spaceTick, as long as there is something to look at.
func (w *worker) tickSpace() {
	if w.ticking = len(w.spaces) > 0; w.ticking {
		w.loop.After(spaceTick, w.tickSpace) // first, so that a panic does not end the series
	}
	for _, m := range w.spaces {
		m.tick()
	}
}

// take takes a loop's report to the upstream. There is at most one of each loop.
func (k *spaceKeeper) take(r spaceReport) {
	t := r.meter.tenant
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reports[t] = append(k.reports[t], &r)
	if !k.busy[t] {
		k.busy[t] = true
		k.srv.slow.Add(1)
		go k.draw(t)
	}
}

// draw takes the reports of a tenant to the upstream until there are none.
func (k *spaceKeeper) draw(t *namespace.Tenant) {
	defer k.srv.slow.Done()
	for {
		select {
		case k.turns <- struct{}{}:
		case <-k.srv.ctx.Done():
		}
		k.mu.Lock()
		reports := k.reports[t]
		delete(k.reports, t)
		if len(reports) == 0 || k.srv.ctx.Err() != nil {
			delete(k.busy, t)
			k.mu.Unlock()
			if k.srv.ctx.Err() == nil {
				<-k.turns
			}
			return
		}
		meters := k.meters[t]
		k.mu.Unlock()
		g, err := k.drawOnce(t, meters, reports)
		<-k.turns
		k.deal(reports, g)
		if err != nil {
			k.failed(err)
		} else if g.Recount {
			k.srv.slow.Add(1)
			go k.recount(t)
		}
	}
}

// drawOnce takes reports to the upstream. What loops hold that have not reported is held as well.
func (k *spaceKeeper) drawOnce(t *namespace.Tenant, meters []*spaceMeter, reports []*spaceReport) (*quota.Grant, error) {
	sum := quota.Report{Proxy: k.srv.id, Limit: reports[len(reports)-1].Limit, Count: reports[0].Count}
	for _, r := range reports {
		r.meter.lent = r.Held
	}
	for _, m := range meters {
		for i, n := range m.lent {
			sum.Held[i] += n
		}
	}
	for _, r := range reports {
		for i := range sum.Spent {
			sum.Freed[i] += r.Freed[i]
			sum.Guessed[i] += r.Guessed[i]
			sum.Spent[i] += r.Spent[i]
			sum.Settled[i] += r.Settled[i]
			sum.Needed[i] += r.Needed[i]
			sum.Wanted[i] += r.Wanted[i]
		}
		sum.Pressed = sum.Pressed || r.Pressed
		sum.Unsure = sum.Unsure || r.Unsure
		sum.Hasty = sum.Hasty || r.Hasty
		sum.Count = min(sum.Count, r.Count)
	}
	ctx, cancel := context.WithTimeout(k.srv.ctx, drawTime)
	defer cancel()
	g, err := sum.Draw(ctx, k.client, t.Root())
	if err == nil {
		there := g.Used
		for i := range there {
			there[i] = max(0, there[i]-sum.Held[i]-g.Granted[i]-g.Lent[i])
		}
		k.spaces.note(t.ID, there)
	}
	return g, err
}

// deal gives each loop its part of a grant: first what is needed, then of what is left
// in proportion to what was wanted.
func (k *spaceKeeper) deal(reports []*spaceReport, g *quota.Grant) {
	parts := make([]*quota.Grant, len(reports))
	if g != nil {
		var rest, wanted quota.Amounts
		for i := range rest {
			rest[i] = g.Granted[i]
			for _, r := range reports {
				wanted[i] += r.Wanted[i] - r.Needed[i]
			}
		}
		for n, r := range reports {
			part := *g
			for i := range rest {
				part.Granted[i] = min(r.Needed[i], rest[i])
				rest[i] -= part.Granted[i]
			}
			parts[n] = &part
		}
		for i, spare := range rest {
			if wanted[i] == 0 {
				continue
			}
			for n, r := range reports {
				more := int64(float64(spare) * float64(r.Wanted[i]-r.Needed[i]) / float64(wanted[i]))
				more = min(more, rest[i])
				parts[n].Granted[i] += more
				rest[i] -= more
			}
		}
	}
	for n, r := range reports {
		if parts[n] != nil {
			for i, more := range parts[n].Granted {
				r.meter.lent[i] += more
			}
		}
		w := r.meter.worker
		w.loop.Post(func() { r.meter.granted(r, parts[n]) })
	}
}

func (k *spaceKeeper) failed(err error) {
	var said redis.Error
	if errors.As(err, &said) && !k.said.Swap(true) {
		slog.Error("quotas of memory and keys can not be kept: the upstream refuses the proxy's script", "error", err)
	}
}

// notCounted tells that keys could not be counted; only once if it is for what the upstream does not let the
// proxy do.
func (k *spaceKeeper) notCounted(ctx context.Context, tenant string, err error) {
	var said redis.Error
	switch {
	case ctx.Err() != nil:
	case !errors.As(err, &said):
		slog.Warn("keys could not be counted", "tenant", tenant, "error", err)
	case !k.uncounted.Swap(true):
		slog.Error("keys are not counted: the upstream refuses what it takes", "tenant", tenant, "error", err)
	}
}

// recount counts a tenant's keys.
func (k *spaceKeeper) recount(t *namespace.Tenant) {
	defer k.srv.slow.Done()
	select {
	case k.counts <- struct{}{}:
		defer func() { <-k.counts }()
	case <-k.srv.ctx.Done():
		return
	}
	ctx, cancel := context.WithTimeout(k.srv.ctx, countTime)
	defer cancel()
	if err := k.countOne(ctx, t); err != nil {
		k.notCounted(ctx, t.ID, err)
		return
	}
	for _, w := range k.srv.workers {
		w.loop.Post(func() {
			if s := w.stats[t.ID]; s != nil && s.space != nil && (len(s.space.waiting) > 0 || s.space.dry > w.loop.Now()) {
				s.space.ask()
			}
		})
	}
}

// countOne counts a tenant's keys, and says now and then that it is still at it.
func (k *spaceKeeper) countOne(ctx context.Context, t *namespace.Tenant) error {
	counts, err := quota.BeginCounts(ctx, k.client, [][]byte{t.Root()})
	if err != nil {
		return err
	}
	found := make([]quota.Amounts, 1)
	pace := &quota.Pace{PerSecond: k.srv.conf().cfg.Accounting.CommandsPerSecond, Beat: func() { quota.StillCounting(ctx, k.client, t.Root()) }}
	err = quota.Count(ctx, k.client, pace, namespace.EscapeGlob(t.Root())+"[0-9]*", func(key string) int {
		if _, _, own := t.Split([]byte(key)); own {
			return 0
		}
		return -1
	}, found)
	if err != nil {
		return err
	}
	return counts[0].End(ctx, k.client, t.Root(), found[0])
}
