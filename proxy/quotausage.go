package proxy

import (
	"context"
	"slices"
	"strings"
	"time"

	"riptide-proxy/quota"
)

// Usage is how much of something a tenant uses, and may: in the quota's own unit, of all proxies if a
// provider knows that. A Limit of 0 is none. Resource is the quota's name in the configuration, such as
// ops_per_second; there are few of them, since they become labels of metrics.
type Usage = quota.Usage

// usageProvider tells what it knows of a tenant's use of its quotas. It is asked for
// every tenant at every scrape, so it answers from memory.
type usageProvider func(s *Server, tenant string) []Usage

// usageProviders are asked in this order. Where several know a resource the first
// one has the say; what this proxy alone has counted comes after all of them.
var usageProviders = []usageProvider{(*Server).SpaceUsage, (*Server).RateUsage, (*Server).CountUsage}

// QuotaUsage is what a tenant uses of its quotas, sorted by resource; nil for a tenant that
// there is none of. It asks the loops: for all tenants at once there is Stats.
func (s *Server) QuotaUsage(ctx context.Context, tenant string) []Usage {
	own := s.conf().own[tenant]
	if own == nil {
		return nil
	}
	sum, err := s.totals(ctx, tenant)
	if err != nil {
		return nil
	}
	return s.quotaUsage(ctx, own, sum.flow(), time.Now())
}

// flow are the counters that a tenant's rates follow from, and its connections.
type flow struct {
	calls, in, out uint64
	connections    int64
}

func (t *totals) flow() flow { return flow{t.calls, t.in, t.out, t.clients} }

func (t *TenantStats) flow() flow {
	f := flow{in: t.In, out: t.Out, connections: t.Connections}
	for _, n := range t.Commands {
		f.calls += n
	}
	return f
}

func (s *Server) quotaUsage(ctx context.Context, own *tenantOwn, f flow, now time.Time) []Usage {
	var all []Usage
	add := func(more []Usage) {
		for _, u := range more {
			if !slices.ContainsFunc(all, func(known Usage) bool { return known.Resource == u.Resource }) {
				all = append(all, u)
			}
		}
	}
	for _, provide := range usageProviders {
		add(provide(s, own.tenant.ID))
	}
	add(s.ownUsage(own, f, now))
	slices.SortFunc(all, func(a, b Usage) int { return strings.Compare(a.Resource, b.Resource) })
	return all
}

// ownUsage is what this proxy knows without asking anybody: the rates and connections that it has
// seen itself, and the last count of keys, if anybody has wanted one.
func (s *Server) ownUsage(own *tenantOwn, f flow, now time.Time) []Usage {
	q := &own.quotas
	ops, in, out := own.rates.update(now, f)
	all := []Usage{
		{Resource: "ops_per_second", Used: ops, Limit: float64(q.OpsPerSecond)},
		{Resource: "bytes_in_per_second", Used: in, Limit: float64(q.BytesInPerSecond)},
		{Resource: "bytes_out_per_second", Used: out, Limit: float64(q.BytesOutPerSecond)},
		{Resource: "connections", Used: float64(f.connections), Limit: float64(q.Connections)},
	}
	memory, keys, known := 0.0, 0.0, false
	if found := own.found.known(); found != nil { // somebody has asked for INFO
		memory, keys, known = float64(found.memory), float64(found.keys), true
	} else if found, counted := s.Space(own.tenant.ID); counted {
		memory, keys, known = float64(found.Used[quota.Bytes]), float64(found.Used[quota.Keys]), true
	}
	if known {
		all = append(all, Usage{Resource: "memory", Used: memory, Limit: float64(q.Memory)}, Usage{Resource: "keys", Used: keys, Limit: float64(q.Keys)})
	}
	return all
}

// known is the last result, however old; nil if there is none.
func (c *spaceCache) known() *space {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}
