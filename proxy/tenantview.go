package proxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync/atomic"

	"riptide-proxy/namespace"
	"riptide-proxy/netloop"
)

// What makes a tenant's server look like a server of its own lies in two
// places: a tenantView for each loop, which belongs to the loop like its
// counters, and one tenantOwn, which all loops share and which is never touched
// on the way of a command.

// tenantView is what a loop knows of a tenant beside its counters.
type tenantView struct {
	first   *session // the tenant's sessions on this loop
	mode    uint16   // bits that the mode of all of them has
	pause   pause
	watch   watchers
	slow    slowLog
	denials aclLog
	hot     *hotList   // nil: it has named no keys lately, as far as was looked at
	values  *valueView // nil: none of its values are sealed
	spikes  spikes
}

// Bits of session.mode. A session that has any is not on the fast path.
const (
	modeMonitored uint16 = 1 << 15 // somebody watches the tenant's commands
	modePaused    uint16 = 1 << 14 // the tenant has paused its clients
	modeMonitor   uint16 = 1 << 13 // this session is one that watches

	tenantModes = modeMonitored | modePaused | modeValues // those that a session has from its tenant
)

// setMode sets or clears bits for all sessions of the tenant.
func (t *tenantStats) setMode(bits uint16, on bool) {
	if on {
		t.mode |= bits
	} else {
		t.mode &^= bits
	}
	for s := t.first; s != nil; s = s.next {
		s.mode = s.mode&^tenantModes | t.mode
	}
}

// enter makes a session one of the tenant's.
func (t *tenantStats) enter(s *session) {
	t.connected(s.w.loop.Now(), 1)
	if t.connections == 1 && t.id != "" {
		t.turn.of.came()
	}
	s.prev, s.next = nil, t.first
	if t.first != nil {
		t.first.prev = s
	}
	t.first = s
	s.mode = s.mode&^tenantModes | t.mode
}

// takeNumber gives the session a number among the tenant's clients, so that its
// clients can not tell how many others have connected. It keeps the one that it had,
// as a connection's number does not change.
func (s *session) takeNumber() {
	t := s.who.Tenant
	if t == s.numbered {
		return
	}
	if s.numbered != nil {
		if s.numbers == nil {
			s.numbers = make(map[*namespace.Tenant]uint64)
		}
		s.numbers[s.numbered] = s.number
	}
	s.numbered = t
	if n, had := s.numbers[t]; had {
		s.number = n
		return
	}
	s.number = s.own().clients.Add(1)
}

// client returns the tenant's client with that number, if it is on this loop.
func (w *worker) client(t *namespace.Tenant, number int64) *session {
	view := w.stats[t.ID]
	if view == nil {
		return nil
	}
	for s := view.first; s != nil; s = s.next {
		if s.number == uint64(number) && s.who != nil && s.who.Tenant == t {
			return s
		}
	}
	return nil
}

// leave takes a session away from the tenant, with what it was told of it.
func (t *tenantStats) leave(s *session) {
	s.settleAll()
	t.connected(s.w.loop.Now(), -1)
	if t.connections == 0 && t.id != "" {
		defer t.turn.of.went() // when the session is away
	}
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		t.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
	if t.meter != nil {
		s.leaveLine(t.meter)
		s.rates, s.skips, s.slowed = nil, 0, 0
	}
	s.stopMonitor()
	s.mode &^= tenantModes
}

// tenantOwn is what a tenant's server has once for all loops.
type tenantOwn struct {
	*tenantLife
	*terms
}

// tenantLife is what of it outlives a change of the configuration.
type tenantLife struct {
	runID   string
	replID  string
	nodeID  string
	shardID string

	clients  atomic.Uint64 // numbers given to clients
	slowID   atomic.Int64  // of the next entry of the slow log
	denialID atomic.Int64  // likewise of ACL LOG
	peak     atomic.Int64  // of the memory that was measured
	found    spaceCache
	rates    rates
	open     atomic.Int64  // connections
	queue    atomic.Int64  // logins that wait for an argon2id hash to be computed
	logins   chan struct{} // has one in it while that is done
	turns    chan struct{} // bounds its slow operations
}

func newTenantOwn(x *terms) *tenantOwn {
	return &tenantOwn{&tenantLife{
		runID: newID(), replID: newID(), nodeID: newID(), shardID: newID(),
		logins: make(chan struct{}, 1), turns: make(chan struct{}, slowPerTenant),
	}, x}
}

// newID is an identifier such as servers have, that tells nothing.
func newID() string {
	var b [20]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// own is the tenant's, of a session that has logged in.
func (s *session) own() *tenantOwn { return s.mine }

// everywhere runs f on every loop at once and returns what came of it, by loop.
func everywhere[T any](ctx context.Context, srv *Server, f func(w *worker) T) ([]T, error) {
	all := make([]T, len(srv.workers))
	done := make(chan struct{}, len(all))
	for i, w := range srv.workers {
		posted := w.loop.Post(func() {
			defer func() { done <- struct{}{} }()
			all[i] = f(w)
		})
		if !posted {
			return nil, netloop.ErrStopped
		}
	}
	for range all {
		select {
		case <-done:
		case <-ctx.Done():
			return nil, ctx.Err() // all may still be written to, and is given up
		}
	}
	return all, nil
}

// survey answers with what is made of something that every loop knows of the
// session's tenant. ask runs on each loop, make elsewhere.
func survey[T any](s *session, ask func(w *worker, t *tenantStats) T, answer func(all []T) []byte) {
	srv, id := s.w.srv, s.who.Tenant.ID
	s.async(func(ctx context.Context) func() {
		all, err := everywhere(ctx, srv, func(w *worker) T { return ask(w, w.tenantStats(id)) })
		if err != nil {
			return func() { s.answerError(errUnavailable) }
		}
		reply := answer(all)
		return func() { s.reply(reply) }
	})
}

// reply answers with a whole reply, which may be an error.
func (s *session) reply(b []byte) {
	if b[0] == '-' {
		s.stats.countError(b)
		s.stats.row(lastCommand(s)).failed++
	}
	s.answer(b)
}
