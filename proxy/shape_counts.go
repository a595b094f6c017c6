package proxy

import (
	"context"
	"fmt"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/quota"
	"riptide-proxy/upstream"
)

// countManager makes what keeps the tenants' counts in step with the upstream,
// with those that have a quota of something that is counted.
func (s *Server) countManager() *quota.CountManager {
	s.counting = s.target.Client(1)
	m := quota.NewCountManager(s.counting, s.id)
	for _, own := range s.conf().own {
		own.count(m)
	}
	return m
}

// count has the manager count what the tenant's terms limit.
func (x *terms) count(m *quota.CountManager) {
	m.Set(x.tenant.ID, string(x.tenant.Root()), x.counts)
}

// CountUsage is what a tenant has, and may have, of connections and whatever else
// of its is counted over all proxies. What others have is as it was some seconds ago;
// when nobody has asked for a while, the next answer is the better one.
func (s *Server) CountUsage(tenant string) []quota.Usage {
	return s.counts.Usage(tenant)
}

// counted is what a session has of its tenant's counted resources. Sessions of
// tenants without such a quota have none.
type counted struct {
	counts  *quota.Counts
	has     [quota.Counted]int
	granted [quota.Counted]int // for the command that is about to run
	spare   bool               // there may be something in granted
	refused quota.Resource     // that the command is not to have; quota.Counted: none
}

func newCounted(counts *quota.Counts) *counted {
	if counts == nil {
		return nil
	}
	return &counted{counts: counts, refused: quota.Counted}
}

// uses moves what was granted to what the session has. What nobody was asked
// for is counted all the same.
func (c *counted) uses(r quota.Resource, n int) {
	if c == nil {
		return
	}
	from := min(n, c.granted[r])
	c.granted[r] -= from
	if n > from {
		c.counts.Force(r, n-from)
	}
	c.has[r] += n
}

// ends is the opposite of uses.
func (c *counted) ends(r quota.Resource, n int) {
	if c == nil || n == 0 {
		return
	}
	c.has[r] -= n
	c.counts.Give(r, n)
}

// settle gives back what the command that has run did not need.
func (c *counted) settle() {
	if !c.spare {
		return
	}
	c.spare, c.refused = false, quota.Counted
	for r := range c.granted {
		if n := c.granted[r]; n > 0 {
			c.granted[r] = 0
			c.counts.Give(quota.Resource(r), n)
		}
	}
}

// all gives everything back.
func (c *counted) all() {
	if c == nil {
		return
	}
	c.spare = true
	c.settle()
	for r, n := range c.has {
		c.ends(quota.Resource(r), n)
	}
}

// reserve gets the command n of a resource. It returns false when that has to wait
// for the upstream, and with answered when the tenant has all that it may have, and the
// command its answer.
func (s *session) reserve(r quota.Resource, n int, wait bool) (ok, answered bool) {
	c := s.counted
	if c == nil || c.granted[r] >= n {
		return true, false
	}
	more := n - c.granted[r]
	switch {
	case c.refused == r, !wait && !c.counts.Take(r, more):
		c.refused = quota.Counted
		s.stats.refused++
		s.answerError(s.usedUp(r))
		return true, true
	case !wait, c.counts.Take(r, more):
		c.granted[r], c.spare = n, true
		return true, false
	}
	s.await(c.counts.Claim(r, more), func(err error) {
		c.spare = true
		if err != nil {
			c.refused = r
		} else {
			c.granted[r] = n
		}
	})
	return false, false
}

// usedUp is the error for one more of a resource.
func (s *session) usedUp(r quota.Resource) string {
	return overQuota(s.who.Tenant, r.String(), s.counted.counts.Limit(r))
}

func overQuota(t *namespace.Tenant, what string, limit int64) string {
	return fmt.Sprintf("ERR tenant %s is over its quota of %s (%d)", t.ID, what, limit)
}

// await has the session wait until a claim is decided.
func (s *session) await(x *quota.Claim, then func(err error)) {
	s.claim = x
	s.async(func(ctx context.Context) func() {
		select {
		case <-x.Done():
		case <-ctx.Done():
		}
		return func() {
			s.claim = nil
			if !x.Decided() { // the proxy is being shut down
				x.Cancel()
			}
			then(x.Err())
		}
	})
}

// enters counts the session as a connection of a tenant's, before it becomes one,
// and then runs done; or answers why not.
func (s *session) enters(who *namespace.Identity, done func()) {
	if s.crowds(who.Tenant) {
		s.w.tenantStats(who.Tenant.ID).refused++
		s.answerError(errCrowded)
		s.finish() // it is one of those that there are too many of
		return
	}
	counts := s.w.srv.counts.Tenant(who.Tenant.ID)
	if counts == nil || s.who != nil && s.who.Tenant == who.Tenant || counts.Take(quota.Connections, 1) {
		done()
		return
	}
	s.await(counts.Claim(quota.Connections, 1), func(err error) {
		if err == nil {
			done()
			return
		}
		s.w.tenantStats(who.Tenant.ID).refused++
		// It begins with the words that clients know.
		s.answerError(fmt.Sprintf("ERR max number of clients reached: tenant %s has its quota of %d connections", who.Tenant.ID, counts.Limit(quota.Connections)))
	})
}

// recounted is for a session that becomes somebody else, who has been admitted:
// of what it had there is nothing left but the connection itself, if that is the
// same tenant's.
func (s *session) recounted(who *namespace.Identity) {
	stays := s.who != nil && who != nil && s.who.Tenant == who.Tenant
	if stays {
		return
	}
	s.counted.all()
	s.counted = nil
	if who == nil {
		return
	}
	if s.counted = newCounted(s.w.srv.counts.Tenant(who.Tenant.ID)); s.counted != nil {
		s.counted.has[quota.Connections] = 1
	}
}

// reserves gets a command what it is going to have beside a connection of its
// own: subscriptions, or the right to wait.
func (s *session) reserves(cmd *command.Command, r *namespace.Request) (ok, answered bool) {
	switch h := &handlers[cmd.Handler]; {
	case h.subscribes > 0:
		return s.reserve(quota.Subscriptions, s.newNames(h.subscribes-1, r), true)
	case cmd.Has(command.Blocking) && s.mayBlock(cmd, r):
		return s.reserve(quota.Blocked, 1, true)
	}
	return true, false
}

func (s *session) mayBlock(cmd *command.Command, r *namespace.Request) bool {
	if cmd.Run == command.Pinned {
		return true
	}
	var verdict command.Verdict
	s.w.indexes, verdict = cmd.Prefixed(s.w.indexes[:0], r)
	return verdict&command.Blocks != 0
}

// newNames is how many names of a SUBSCRIBE the session has not subscribed to.
func (s *session) newNames(kind int, r *namespace.Request) int {
	fresh := make(map[string]struct{}, r.Len()-1)
	for i := 1; i < r.Len(); i++ {
		if s.subs != nil {
			if _, has := s.subs.names[kind][string(r.At(i))]; has {
				continue
			}
		}
		fresh[string(r.At(i))] = struct{}{}
	}
	return len(fresh)
}

// recountSubs takes note of how many subscriptions the session has.
func (s *session) recountSubs() {
	n := s.subs.total()
	more := n - s.listed
	s.listed = n
	s.stats.subscriptions += more
	if more > 0 {
		s.counted.uses(quota.Subscriptions, more)
	} else {
		s.counted.ends(quota.Subscriptions, -more)
	}
}

// nowBlocked takes note of a command that may wait for long, on its way on the
// session's own connection.
func (s *session) nowBlocked() {
	s.blocked++
	s.counted.uses(quota.Blocked, 1)
}

// unblocked is the opposite for n of them.
func (s *session) unblocked(n int) {
	s.blocked -= n
	s.counted.ends(quota.Blocked, n)
}

// pinUp makes a connection the session's own.
func (s *session) pinUp(p *upstream.Pin[slot]) {
	if s.pin = p; p != nil {
		s.stats.pins++
		s.counted.uses(quota.Pinned, 1)
	}
}

// pinDown takes it away.
func (s *session) pinDown() {
	if s.pin != nil {
		s.pin = nil
		s.stats.pins--
		s.counted.ends(quota.Pinned, 1)
	}
}

// takePin gets the session a connection of its own, if the loop and the
// tenant's quota have one left.
func (s *session) takePin() bool {
	if c := s.counted; c != nil && c.granted[quota.Pinned] == 0 {
		if !c.counts.Take(quota.Pinned, 1) {
			return false
		}
		c.granted[quota.Pinned], c.spare = 1, true
	}
	if !s.mayPin() {
		return false
	}
	s.pinUp(s.w.pins.Take(s.proto, s))
	return s.pin != nil
}
