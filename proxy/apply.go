package proxy

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/quota"
	"riptide-proxy/quota/ledger"
)

// Apply has the proxy run with another configuration. What it takes is got first: an error means that all is
// as it was. Then every loop changes over between two turns. Connections whose tenant or user is
// gone or suspended, or whose secret is, are closed then, and those of a tenant whose keys are elsewhere or
// whose databases or scripts are others than before. All others notice nothing.
//
// What only a start can change (config.Fixed) is left as it was.
func (s *Server) Apply(ctx context.Context, cfg *config.Config) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	if s.ending.Load() {
		return errStopping
	}
	before := s.conf()
	next, err := s.newRunning(cfg, before)
	if err != nil {
		return err
	}
	next.departed = before.departing(next, time.Now())
	useTokens, err := s.loadTokens(cfg)
	if err != nil {
		return err
	}
	values, err := s.codecs.prepare(ctx, before, next)
	if err != nil {
		return err
	}
	files, err := s.doors.prepare(cfg)
	if err != nil {
		return err
	}
	changes := before.changes(next)
	for _, id := range changes {
		if own := next.own[id]; own != nil {
			own.count(s.counts)
		}
	}
	s.now.Store(next)
	s.audit.SetRetention(retentionOf(&cfg.Audit))
	useTokens()
	s.lending.lender.SetPolicy(cfg.Accounting.Unreachable)
	s.codecs.change(s.ctx, next, values)
	_, err = everywhere(s.ctx, s, func(w *worker) struct{} {
		w.apply(next, changes, values)
		return struct{}{}
	})
	if err != nil {
		return errStopping
	}
	s.doors.use(files)
	s.hotPast.apply(next)
	s.forget(before, next, changes)
	return nil
}

var errStopping = errors.New("the proxy is shutting down")

// changes are the tenants whose loops have something to change.
func (r *running) changes(next *running) (changed []string) {
	for id, own := range next.own {
		was := r.own[id]
		if own == was {
			continue
		}
		if was == nil || own.tenant != was.tenant || own.board != was.board || !reflect.DeepEqual(own.quotas, was.quotas) ||
			!reflect.DeepEqual(next.cfg.Tenants[id].Users, r.cfg.Tenants[id].Users) || !next.directory.AdmitsAlike(r.directory, id) {
			changed = append(changed, id)
		} else {
			next.own[id] = was // loops go on with the one that they have
		}
	}
	for id := range r.own {
		if next.own[id] == nil {
			changed = append(changed, id)
		}
	}
	return changed
}

// forget drops what is kept beside the loops of terms that hold no more.
func (s *Server) forget(before, next *running, changes []string) {
	for _, id := range changes {
		was, is := before.own[id], next.own[id]
		if was == nil {
			continue
		}
		if was.board != nil && (is == nil || is.board != was.board) {
			s.lending.lender.Forget(was.board.limits)
		}
		if is == nil {
			s.counts.Drop(id)
			s.scripts.store.Flush(id)
		}
		if is == nil || is.tenant != was.tenant {
			s.codecs.forget(was.tenant)
		}
	}
}

// departed is a tenant that was taken out of the configuration.
type departed struct {
	ledger.Tenant
	at time.Time
}

// departedTime is for how long what it has used is still reported, and its counters are there.
const departedTime = 10 * time.Minute

// departing are those that have departed lately, with those that the next configuration lacks.
func (r *running) departing(next *running, now time.Time) (all []departed) {
	for _, d := range r.departed {
		if now.Sub(d.at) < departedTime && next.own[d.ID] == nil {
			all = append(all, d)
		}
	}
	for id := range r.own {
		if next.own[id] == nil {
			all = append(all, departed{r.usage(id), now})
		}
	}
	return all
}

func (r *running) usage(id string) ledger.Tenant {
	t := r.cfg.Tenants[id]
	return ledger.Tenant{ID: id, Root: config.KeyPrefix(id, t.HashTag), Plan: t.Plan}
}

// reporting are the tenants whose usage is reported.
func (r *running) reporting() []ledger.Tenant {
	all := make([]ledger.Tenant, 0, len(r.own)+len(r.departed))
	for id := range r.own {
		all = append(all, r.usage(id))
	}
	for _, d := range r.departed {
		all = append(all, d.Tenant)
	}
	return all
}

// apply has the loop go by a configuration.
func (w *worker) apply(next *running, changes []string, values *valueChange) {
	before := w.conf
	certifies := before.directory.CertifiesAlike(next.directory)
	w.take(next)
	w.audit.apply(&next.cfg.Audit)
	if !certifies {
		w.certifyAgain()
	}
	w.turns.refair()
	if f := w.srv.facts.Load(); f != nil {
		w.pins.Limit = w.srv.pinLimit(f.MaxClients)
	}
	for id, v := range values.values {
		w.setValues(id, v)
	}
	for _, id := range changes {
		if t := w.stats[id]; t != nil {
			w.change(t, next.own[id])
		}
		w.part(id, before.own[id], next.own[id])
	}
	now := time.Now()
	for _, s := range w.sessions {
		s.checkToken(now)
	}
	w.tidy(next)
}

// tidy drops the counters of tenants that have departed long ago.
func (w *worker) tidy(next *running) {
	lately := make(map[string]bool, len(next.departed))
	for _, d := range next.departed {
		lately[d.ID] = true
	}
	for id, t := range w.stats {
		if id != "" && next.own[id] == nil && !lately[id] && t.first == nil {
			delete(w.stats, id)
		}
	}
}

// part has the loop forget what it knows of a tenant that is another one now, or no more: whoever gets
// its name later must find nothing of it. Counters are kept for a while, see departedTime.
func (w *worker) part(id string, was, is *tenantOwn) {
	if was != nil && (is == nil || is.tenant != was.tenant) {
		delete(w.scriptUsers, was.tenant)
	}
	if is != nil {
		return
	}
	delete(w.valued, id)
	if t := w.stats[id]; t != nil {
		w.unpause(t)
		t.setMode(modeValues, false)
		t.values, t.slow, t.spikes, t.denials, t.hot = nil, slowLog{}, spikes{}, nil, nil
		w.hot.has = slices.DeleteFunc(w.hot.has, func(o *tenantStats) bool { return o == t })
	}
}

// errRevoked ends a connection.
var errRevoked = errors.New("the configuration does not let the client in any more")

// change has the sessions of a tenant go by its new terms; own is nil if it is no more.
func (w *worker) change(t *tenantStats, own *tenantOwn) {
	var waiting []waiter
	for s := t.first; s != nil; s = s.next {
		who := w.still(s.who, s.credential)
		if who == nil || who.Tenant != s.who.Tenant || w.conf.directory.Admits(who, s.source()) != nil {
			w.audit.revoked(s)
			s.conn.Close(errRevoked)
			continue
		}
		s.who, s.mine, s.shape = who, own, own.shape
		if s.reruled(who.Rules) {
			waiting = append(waiting, waiter{s, s.tail})
		}
	}
	w.release(waiting)
	if own != nil {
		w.scriptUsers[own.tenant].reruled()
	}
	t.turn.share = w.turns.shareOf(t.id)
	w.remeter(t)
	w.recount(t)
	w.respace(t, own)
}

// remeter puts the tenant's rates in the place of those that it had.
func (w *worker) remeter(t *tenantStats) {
	was, own := t.meter, w.conf.own[t.id]
	if own != nil && own.board != nil && was != nil && was.board == own.board || was == nil && (own == nil || own.board == nil) {
		return
	}
	var waiting []*session
	for s := t.first; s != nil; s = s.next {
		if s.awaits != nil {
			s.leaveLine(was)
			waiting = append(waiting, s)
		}
		s.rates, s.skips, s.slowed = nil, 0, 0
	}
	w.asleep(was)
	t.meter = w.meterOf(t.id)
	for s := t.first; s != nil; s = s.next {
		s.meet()
	}
	for _, s := range waiting {
		s.tryResume()
	}
}

// recount has what the tenant's sessions have counted, if that has become necessary. Once counted it stays so.
func (w *worker) recount(t *tenantStats) {
	counts := w.srv.counts.Tenant(t.id)
	if counts == nil {
		return
	}
	for s := t.first; s != nil; s = s.next {
		if s.counted != nil {
			continue
		}
		s.counted = newCounted(counts)
		s.counted.uses(quota.Connections, 1)
		s.counted.uses(quota.Subscriptions, s.listed)
		s.counted.uses(quota.Blocked, s.blocked)
		if s.pin != nil {
			s.counted.uses(quota.Pinned, 1)
		}
	}
}

// respace has the tenant's keys go by the limits of its terms.
func (w *worker) respace(t *tenantStats, own *tenantOwn) {
	m := t.space
	var limit quota.Amounts
	if own != nil {
		limit = own.space
	}
	none := limit == quota.Amounts{}
	switch {
	case m != nil && !none && m.tenant == own.tenant:
		m.relimit(limit)
		return
	case m == nil && none:
		return
	case m != nil:
		t.space = nil
		m.keeper.retire(m)
	}
	if own == nil {
		return
	}
	t.space = w.srv.keeper.meter(w, t)
	w.scriptUsers[own.tenant].lost() // scripts of those with a limit have another user besides
}
