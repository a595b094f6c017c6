package proxy

import (
	"reflect"

	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/quota"
	"riptide-proxy/resp"
)

// running is the configuration that the proxy runs with, and what follows from it. It never
// changes: Apply makes a new one.
type running struct {
	cfg       *config.Config
	directory *namespace.Directory
	own       map[string]*tenantOwn // by tenant
	departed  []departed            // lately
}

// conf is what the proxy runs with now. Any goroutine may ask; one that asks twice may get two
// answers.
func (s *Server) conf() *running { return s.now.Load() }

// newRunning makes what follows from a configuration. What tenants have kept from before stays theirs.
func (s *Server) newRunning(cfg *config.Config, before *running) (*running, error) {
	var known *namespace.Directory
	if before != nil {
		known = before.directory
	}
	dir, err := namespace.NextDirectory(cfg, known)
	if err != nil {
		return nil, err
	}
	r := &running{cfg: cfg, directory: dir, own: make(map[string]*tenantOwn, len(cfg.Tenants))}
	plansAlike := before != nil && reflect.DeepEqual(cfg.Plans, before.cfg.Plans)
	for _, t := range dir.Tenants() {
		var own *tenantOwn
		if before != nil {
			own = before.own[t.ID]
		}
		if own != nil && plansAlike && own.tenant == t && before.cfg.Tenants[t.ID] == cfg.Tenants[t.ID] {
			r.own[t.ID] = own // as most are, since a configuration shares what has not changed with the one before
			continue
		}
		r.own[t.ID] = s.nextOwn(cfg, t, own)
	}
	return r, nil
}

// take has the loop go by a configuration, as far as it is no tenant's.
func (w *worker) take(r *running) {
	w.conf = r
	l := &r.cfg.Limits
	w.limits = resp.DefaultLimits()
	w.limits.Bulk, w.limits.Request = int(l.Bulk), int(l.Request)
	w.output = int(l.OutputBuffer)
	w.turns.off = !l.Fair
	w.hot.apply(r.cfg, w.srv.loops)
}

// terms are what a tenant's configuration grants it. They never change.
type terms struct {
	tenant    *namespace.Tenant
	quotas    config.Quotas
	maxMemory int64         // its quota; 0: none
	maxConns  int64         // likewise
	shape     *shape        // what its requests and replies may be like; nil: anything
	space     quota.Amounts // what its keys may take; 0: anything
	counts    quota.CountLimits
	board     *board // of its rates; nil: none is limited
}

// nextOwn is a tenant's own with the terms of a configuration. Terms that are as they were stay the same ones.
func (s *Server) nextOwn(cfg *config.Config, t *namespace.Tenant, before *tenantOwn) *tenantOwn {
	x := &terms{tenant: t, quotas: cfg.QuotasOf(t.ID)}
	q := &x.quotas
	x.shape = newShape(t, q)
	x.maxMemory, x.maxConns = int64(q.Memory), q.Connections
	x.space = quota.Amounts{quota.Bytes: int64(q.Memory), quota.Keys: q.Keys}
	x.counts = quota.CountLimits{
		quota.Connections: q.Connections, quota.Pinned: q.Pinned,
		quota.Subscriptions: q.Subscriptions, quota.Blocked: q.Blocked,
	}
	x.board = newBoard(quota.NewRateLimits(cfg, t.ID, string(t.Root())), s.loops)
	if before == nil {
		return newTenantOwn(x)
	}
	if was := before.terms; was.board != nil && x.board != nil && was.board.limits.Equal(x.board.limits) {
		x.board = was.board
	}
	return &tenantOwn{tenantLife: before.tenantLife, terms: x}
}
