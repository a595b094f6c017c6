package proxy

import (
	"context"
	"errors"
	"log/slog"

	"riptide-proxy/namespace"
)

// What tenants share and have no quota of is not for one of them alone. Mostly it
// is that nobody may have more than there is left: so there is always something left for
// others, and the more of them there are the less each can have. Where there is but one
// tenant, all is its.

// alone reports whether there is one tenant only.
func (s *Server) alone() bool { return len(s.conf().own) < 2 }

// mayPin reports whether the tenant may have one more of the loop's connections
// for sessions.
func (s *session) mayPin() bool {
	w := s.w
	return w.srv.alone() || s.stats.pins < w.pins.Limit-w.pins.InUse()
}

// mayListen is mayPin for subscribers, who have fewer connections among them.
// Those who may not share one.
func (s *session) mayListen() bool {
	left := s.w.ownListeners() - s.w.listeners
	return left > 0 && (s.w.srv.alone() || s.stats.listeners < left)
}

// crowds reports whether one more client of a tenant's is too many: once only a
// tenth of limits.clients is left, that is for tenants who have fewer than that.
func (s *session) crowds(t *namespace.Tenant) bool {
	srv, own := s.w.srv, s.w.conf.own[t.ID]
	clients := int64(s.w.conf.cfg.Limits.Clients)
	left := clients - srv.clients.Load()
	return clients >= fewClients && left < clients/10 && !srv.alone() && own != nil && own.open.Load() > left && (s.who == nil || s.who.Tenant != t)
}

const (
	// fewClients is how many there may be at most for nothing to be kept back.
	fewClients = 100

	errCrowded = "ERR max number of clients reached"

	// maxSubscriptions is how many subscriptions a tenant may have on one loop if
	// it has no quota.
	maxSubscriptions = 1 << 18
)

// slowTurn waits for a turn of a tenant's to compute an argon2id hash: one at a time,
// so that others need not wait for all of them.
func (s *Server) slowTurn(ctx context.Context, own *tenantOwn) (done func(), ok bool) {
	for i, turns := range []chan struct{}{own.logins, s.logins} {
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			if i > 0 {
				<-own.logins
			}
			return nil, false
		}
	}
	return func() { <-s.logins; <-own.logins }, true
}

// mayQueue counts a login that is to wait for such a turn, unless its tenant has
// more of them waiting than there may still be.
func (s *Server) mayQueue(own *tenantOwn) (leave func(), ok bool) {
	n, mine := s.queue.Add(1), own.queue.Add(1)
	leave = func() { s.queue.Add(-1); own.queue.Add(-1) }
	if n > maxLogins || !s.alone() && mine > 1+maxLogins-n {
		leave()
		return nil, false
	}
	return leave, true
}

var errUnfinished = errors.New("the tenant has too many unfinished requests")

// boundUnfinished closes the clients with the longest unfinished requests of a
// tenant that has more of them than one request may be long.
func (w *worker) boundUnfinished(t *tenantStats, sum int) {
	for sum > w.limits.Request {
		var longest *session
		for s := t.first; s != nil; s = s.next {
			if !s.conn.IsClosed() && (longest == nil || s.conn.Unread() > longest.conn.Unread()) {
				longest = s
			}
		}
		if longest == nil {
			return
		}
		slog.Warn("client closed: its tenant has too many unfinished requests", "client", longest.conn.Peer().String(), "tenant", t.id, "bytes", sum)
		t.refused++
		sum -= longest.conn.Unread()
		longest.conn.Close(errUnfinished)
	}
}

// smallRequest is how much of a request may be there without being looked at.
const smallRequest = 64 << 10
