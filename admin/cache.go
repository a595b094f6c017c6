package admin

import (
	"context"
	"net/http"

	"riptide-proxy/config"
	"riptide-proxy/proxy"
)

// CacheStats is /admin/cache/stats: what this proxy has counted since it started.
type CacheStats struct {
	Hits    uint64        `json:"hits"`
	Misses  uint64        `json:"misses"`
	HitRate float64       `json:"hit_rate"` // 0 to 1
	Tenants []TenantCache `json:"tenants"`  // in the order of their ids
}

// TenantCache is one tenant's part.
type TenantCache struct {
	Tenant  string  `json:"tenant"`
	Hits    uint64  `json:"hits"`
	Misses  uint64  `json:"misses"`
	HitRate float64 `json:"hit_rate"`
	Memory  float64 `json:"memory_bytes"` // as far as it is known, over all proxies
	Keys    float64 `json:"keys"`         // likewise
}

func cacheStats(a *api, w http.ResponseWriter, c *call) error {
	wanted, err := c.wanted()
	if err != nil {
		return err
	}
	s, err := a.stats(c)
	if err != nil {
		return err
	}
	out := CacheStats{Tenants: []TenantCache{}}
	for _, id := range sortedIDs(c.cfg) {
		if wanted != "" && id != wanted {
			continue
		}
		t := TenantCache{Tenant: id}
		if n := s.Tenants[id]; n != nil {
			t.Hits, t.Misses, t.HitRate = n.Hits, n.Misses, hitRate(n.Hits, n.Misses)
		}
		for _, u := range s.Usage[id] {
			switch u.Resource {
			case "memory":
				t.Memory = u.Used
			case "keys":
				t.Keys = u.Used
			}
		}
		out.Hits += t.Hits
		out.Misses += t.Misses
		out.Tenants = append(out.Tenants, t)
	}
	out.HitRate = hitRate(out.Hits, out.Misses)
	return writeJSON(w, http.StatusOK, out)
}

func hitRate(hits, misses uint64) float64 {
	if hits+misses == 0 {
		return 0
	}
	return float64(hits) / float64(hits+misses)
}

// wanted is the one tenant that is asked about; empty: all. A token for one tenant can ask for no other.
func (c *call) wanted() (string, error) {
	id := c.URL.Query().Get("tenant")
	if c.who.Tenant == "" {
		return id, nil
	}
	if id != "" && id != c.who.Tenant {
		return "", problem("forbidden", "it is a token for one tenant")
	}
	return c.who.Tenant, nil
}

// Keys says which of a tenant's keys are to be deleted.
type Keys struct {
	Tenant   string `json:"tenant"`   // absent: that of the token
	Database *int   `json:"database"` // absent: 0, or with clear all
	Pattern  string `json:"pattern"`  // as KEYS takes it
}

// longestPattern bounds what the upstream has to compare every key with, in bytes.
const longestPattern = 1024

// aboutKeys reads which keys are meant.
func (c *call) aboutKeys() (k Keys, err error) {
	if err := c.decode(&k, true); err != nil {
		return k, err
	}
	if k.Tenant == "" {
		k.Tenant = c.who.Tenant
	}
	if config.ValidTenantID(k.Tenant) {
		c.tenant = k.Tenant
	}
	switch t := c.cfg.Tenants[k.Tenant]; {
	case c.who.Tenant != "" && k.Tenant != c.who.Tenant:
		return k, problem("forbidden", "it is a token for one tenant")
	case t == nil:
		return k, noTenant()
	case k.Database != nil && (*k.Database < 0 || *k.Database >= t.Databases):
		return k, problem("bad-request", "the tenant has no such database")
	case len(k.Pattern) > longestPattern:
		return k, problem("bad-request", "the pattern is too long")
	}
	return k, nil
}

func invalidateCache(a *api, w http.ResponseWriter, c *call) error {
	k, err := c.aboutKeys()
	if err != nil {
		return err
	}
	if k.Pattern == "" {
		return problem("bad-request", "there is no pattern")
	}
	if k.Database == nil {
		k.Database = new(int)
	}
	return a.sweep(w, c, "invalidate", k, proxy.Sweep{Tenant: k.Tenant, Database: *k.Database, Pattern: k.Pattern})
}

func clearCache(a *api, w http.ResponseWriter, c *call) error {
	k, err := c.aboutKeys()
	if err != nil {
		return err
	}
	if k.Pattern != "" {
		return problem("bad-request", "clear takes no pattern; that is invalidate")
	}
	sweep := proxy.Sweep{Tenant: k.Tenant, Database: -1, Pattern: "*"}
	if k.Database != nil {
		sweep.Database = *k.Database
	}
	return a.sweep(w, c, "clear", k, sweep)
}

func (a *api) sweep(w http.ResponseWriter, c *call, kind string, k Keys, sweep proxy.Sweep) error {
	if full := a.jobs.full(k.Tenant); full != nil {
		return full
	}
	job := Job{Kind: kind, Tenant: k.Tenant, Database: k.Database, Pattern: k.Pattern, By: c.who.Name}
	return answerJob(w, a.jobs.start(job, func(ctx context.Context, progress func(proxy.Swept)) error {
		return a.o.Proxy.Sweep(ctx, sweep, progress)
	}))
}
