package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/namespace"
	"riptide-proxy/quota"
)

// All tenants' keys are counted now and then by one of the proxies, whichever
// comes first, and every proxy reads what was found.

const (
	// scanMark says when all keys were counted last, and what the upstream's own
	// counters were: while they stay as they are, nothing has changed.
	scanMark = "riptide:space"
	scanLock = "riptide:space:lock"
	// readTime is how often a proxy reads the figures of all tenants.
	readTime = 10 * time.Second
	readPage = 500 // tenants at once
	// countShare is how many times as long as counting all keys took it is not done again.
	countShare = 20
)

// spaces are the figures of all tenants, as they were read last.
type spaces struct {
	mu sync.Mutex
	of map[string]quota.Space
}

// note takes newer figures of a tenant's.
func (s *spaces) note(tenant string, used quota.Amounts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = make(map[string]quota.Space)
	}
	space := s.of[tenant]
	space.Used = used
	s.of[tenant] = space
}

// Space is what is known of a tenant's keys; ok is false if that is nothing.
func (s *Server) Space(tenant string) (space quota.Space, ok bool) {
	s.keeper.spaces.mu.Lock()
	defer s.keeper.spaces.mu.Unlock()
	space, ok = s.keeper.spaces.of[tenant]
	return space, ok
}

// SpaceUsage is how much of its memory and keys a tenant uses, over all proxies.
func (s *Server) SpaceUsage(tenant string) (all []quota.Usage) {
	space, ok := s.Space(tenant)
	for i, limit := range s.keeper.limit(tenant) {
		if ok && limit > 0 {
			all = append(all, quota.Usage{Resource: [quota.Resources]string{"memory", "keys"}[i], Used: float64(space.Used[i]), Limit: float64(limit)})
		}
	}
	return all
}

// run reads the figures, and counts when it is this proxy's turn.
func (k *spaceKeeper) run() {
	defer k.srv.background.Done()
	tick := time.NewTicker(readTime)
	defer tick.Stop()
	next := time.Now().Add(k.interval() / 4)
	failed := ""
	for {
		if k.interval() > 0 || k.limits() { // or nobody wants to know
			k.read(k.srv.ctx)
		}
		select {
		case <-tick.C:
		case <-k.srv.ctx.Done():
			return
		}
		if interval := k.interval(); interval > 0 && time.Now().After(next) {
			next = time.Now().Add(interval / 4)
			err := k.countAll(k.srv.ctx, interval)
			switch {
			case err == nil:
				failed = ""
			case k.srv.ctx.Err() == nil && err.Error() != failed: // once, as long as it is the same
				failed = err.Error()
				slog.Warn("the tenants' keys could not be counted", "error", err)
			}
		}
	}
}

// interval is that between two counts; 0: this proxy does not count.
func (k *spaceKeeper) interval() time.Duration {
	return time.Duration(k.srv.conf().cfg.Accounting.Interval)
}

// read reads the figures of all tenants.
func (k *spaceKeeper) read(ctx context.Context) {
	tenants := k.srv.conf().directory.Tenants()
	of := make(map[string]quota.Space, len(tenants))
	for len(tenants) > 0 {
		page := tenants[:min(len(tenants), readPage)]
		tenants = tenants[len(page):]
		roots := make([][]byte, len(page))
		for i, t := range page {
			roots[i] = t.Root()
		}
		found, err := quota.ReadSpaces(ctx, k.client, roots)
		if err != nil {
			return // the last figures are better than none
		}
		for i, t := range page {
			if !found[i].At.IsZero() || found[i].Used != (quota.Amounts{}) {
				of[t.ID] = found[i]
			}
		}
	}
	k.spaces.mu.Lock()
	k.spaces.of = of
	k.spaces.mu.Unlock()
}

// countAll counts all tenants' keys, unless that was done within interval, or nothing
// has changed since.
func (k *spaceKeeper) countAll(ctx context.Context, interval time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	mark, err := k.client.HGetAll(ctx, scanMark).Result()
	if err != nil {
		return err
	}
	now, err := k.client.Time(ctx).Result()
	if err != nil {
		return err
	}
	took, _ := time.ParseDuration(mark["took"])
	if at, err := time.Parse(time.RFC3339, mark["at"]); err == nil && now.Sub(at) < max(interval, countShare*took) {
		return nil
	}
	if state, err := k.changes(ctx); err != nil || state == mark["state"] {
		return err
	}
	locked, err := k.client.SetNX(ctx, scanLock, k.srv.id, countTime).Result()
	if err != nil || !locked {
		return err
	}
	defer func() {
		// Also when the proxy ends, so that the others need not wait for the lock to.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drawTime)
		defer cancel()
		quota.Release(ctx, k.client, scanLock, k.srv.id)
	}()
	begun := time.Now()
	same, err := k.countTenants(ctx)
	if err != nil {
		return err
	}
	state := ""
	if same { // what was written since the last count, if anything, has changed nothing
		if state, err = k.changes(ctx); err != nil {
			return err
		}
	}
	return k.client.HSet(ctx, scanMark, "at", now.UTC().Format(time.RFC3339), "took", time.Since(begun).String(), "state", state).Err()
}

// countTenants counts, and reports whether all is as it was.
func (k *spaceKeeper) countTenants(ctx context.Context) (same bool, err error) {
	tenants := k.srv.conf().directory.Tenants()
	index := make(map[string]int, len(tenants))
	found := make([]quota.Amounts, len(tenants))
	roots := make([][]byte, len(tenants))
	for i, t := range tenants {
		roots[i], index[string(t.Root())] = t.Root(), i
	}
	counts, err := quota.BeginCounts(ctx, k.client, roots)
	if err != nil {
		return false, err
	}
	pace := &quota.Pace{PerSecond: k.srv.conf().cfg.Accounting.CommandsPerSecond}
	err = quota.Count(ctx, k.client, pace, "t:*", func(key string) int { return ownerOf(key, index, tenants) }, found)
	if err != nil {
		return false, err
	}
	same = true
	for i, t := range tenants {
		before, _ := k.srv.Space(t.ID)
		if before.Counted == found[i] {
			if !k.limited(t.ID) {
				continue
			}
		} else {
			same = false
		}
		if err := counts[i].End(ctx, k.client, t.Root(), found[i]); err != nil {
			return false, err
		}
	}
	return same, nil
}

// ownerOf finds the tenant whose key it is: "t:<id>:<db>:...".
func ownerOf(key string, index map[string]int, tenants []*namespace.Tenant) int {
	rest, ok := strings.CutPrefix(key, "t:")
	if !ok {
		return -1
	}
	end := strings.IndexByte(rest, ':')
	if end < 0 {
		return -1
	}
	i, ok := index[key[:2+end+1]]
	if !ok {
		return -1
	}
	if _, _, own := tenants[i].Split([]byte(key)); !own {
		return -1
	}
	return i
}

// changes are the upstream's counters of what changes keys.
func (k *spaceKeeper) changes(ctx context.Context) (string, error) {
	info, err := k.client.Info(ctx).Result()
	if err != nil {
		var said redis.Error
		if errors.As(err, &said) {
			return fmt.Sprint(time.Now().UnixNano()), nil // it does not tell, so all is counted
		}
		return "", err
	}
	var b strings.Builder
	for line := range strings.Lines(info) {
		for _, name := range []string{"run_id:", "rdb_changes_since_last_save:", "rdb_last_save_time:", "expired_keys:", "evicted_keys:", "db0:"} {
			if strings.HasPrefix(line, name) {
				if name == "db0:" {
					line, _, _ = strings.Cut(line, ",")
				}
				b.WriteString(strings.TrimSpace(line) + " ")
			}
		}
	}
	return b.String(), nil
}
