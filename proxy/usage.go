package proxy

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Usage is how much of something limited a tenant uses, and how much it may.
type Usage struct {
	// Resource is the name of the quota in the configuration, such as
	// ops_per_second; that of a class has it in front: read_ops_per_second. There are
	// few of them, since they become labels of metrics.
	Resource string
	Used     float64 // in the quota's own unit: bytes, keys, operations per second
	Limit    float64 // likewise; 0: unlimited
}

// Ratio is the part of the limit that is used; 0 where there is none.
func (u *Usage) Ratio() float64 {
	if u.Limit <= 0 {
		return 0
	}
	return u.Used / u.Limit
}

// usageProvider tells what it knows of a tenant's use of its quotas. It is asked for
// every tenant at every scrape, so it answers from memory.
type usageProvider func(s *Server, ctx context.Context, tenant string) []Usage

// usageProviders are asked in this order. Where several know a resource the first
// one has the say; what this proxy alone has counted comes after all of them.
var usageProviders []usageProvider

// QuotaUsage is what a tenant uses of its quotas, sorted by resource; nil for a tenant that
// there is none of. It asks the loops: for all tenants at once there is Stats.
func (s *Server) QuotaUsage(ctx context.Context, tenant string) []Usage {
	own := s.own[tenant]
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
		add(provide(s, ctx, own.tenant.ID))
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
		{"ops_per_second", ops, float64(q.OpsPerSecond)},
		{"bytes_in_per_second", in, float64(q.BytesInPerSecond)},
		{"bytes_out_per_second", out, float64(q.BytesOutPerSecond)},
		{"connections", float64(f.connections), float64(q.Connections)},
	}
	if found := own.space.known(); found != nil {
		all = append(all, Usage{"memory", float64(found.memory), float64(q.Memory)}, Usage{"keys", float64(found.keys), float64(q.Keys)})
	}
	return all
}

// known is the last result, however old; nil if there is none.
func (c *spaceCache) known() *space {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}
