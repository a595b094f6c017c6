package proxy

import (
	"math"

	"riptide-proxy/config"
)

// When several tenants are connected to a loop, what they have on its links to the
// upstream is bounded: a command waits behind all that was sent before it, in the
// loop, in the kernel and in the server, whoever sent it. Beyond a window sessions
// wait, each in its tenant's line, and the tenants take turns (deficit round robin):
// in a round each may have bytes sent and received in proportion to its weight. One
// that has not used its round's share, as those that want little, does not
// wait for those that have.
//
// With one tenant nothing is bounded but by the limits of each connection.

const (
	// The window is what the upstream may have of this loop's before tenants wait
	// for each other, in bytes of requests and of the replies that are expected. The
	// smallest keeps an upstream busy that is near, and not much longer than the loop
	// takes to turn. For one that is farther away it is what turnSpeed bytes per
	// nanosecond are in the time there and back.
	minTurnWindow = 64 << 10
	maxTurnWindow = 4 << 20
	turnSpeed     = 0.5
	// turnSpare is how many windows tenants may have sent together that are within
	// their shares.
	turnSpare = 4
	// turnShare is what a tenant of weight 100 may use in a round. A session whose turn it
	// is gets as much at once: what is read from it in one go.
	turnShare = 32 << 10
	// turnCommand is what a command counts beside its bytes.
	turnCommand = 128
)

// turns decides whose commands a loop takes. It belongs to the loop.
type turns struct {
	w       *worker
	off     bool // by configuration
	tenants int  // that are connected
	shared  bool // there are several
	window  int
	round   int64
	granted int     // what sessions may take in this turn that have waited
	line    tenants // that wait
	later   tenants // likewise, for the next round
}

// turn is a tenant's part in a loop's turns. credit is what it may still use in round.
type turn struct {
	of      *turns
	share   int // a round's
	credit  int
	round   int64
	first   *session // of those that wait
	last    *session
	next    *turn // that waits
	waiting bool  // it is in the line of tenants
}

// tenants is a line of tenants.
type tenants struct{ first, last *turn }

func (l *tenants) push(t *turn) {
	if l.last == nil {
		l.first = t
	} else {
		l.last.next = t
	}
	l.last, t.next, t.waiting = t, nil, true
}

func (l *tenants) pop() *turn {
	t := l.first
	if l.first = t.next; l.first == nil {
		l.last = nil
	}
	t.next, t.waiting = nil, false
	return t
}

// place is a session's place in its tenant's line.
type place struct {
	ahead, behind *session
	inLine        bool
	pass          int   // what it may take, having waited
	expect        int32 // bytes of a reply, as they were lately
}

func (t *turn) push(s *session) {
	s.turn.ahead, s.turn.behind, s.turn.inLine = t.last, nil, true
	if t.last == nil {
		t.first = s
	} else {
		t.last.turn.behind = s
	}
	t.last = s
}

func (t *turn) remove(s *session) {
	if !s.turn.inLine {
		return
	}
	if s.turn.ahead == nil {
		t.first = s.turn.behind
	} else {
		s.turn.ahead.turn.behind = s.turn.behind
	}
	if s.turn.behind == nil {
		t.last = s.turn.ahead
	} else {
		s.turn.behind.turn.ahead = s.turn.ahead
	}
	s.turn.ahead, s.turn.behind, s.turn.inLine = nil, nil, false
}

// shareOf is what a tenant may use in a round.
func (f *turns) shareOf(id string) int {
	return int(f.w.conf.cfg.QuotasOf(id).Weight) * turnShare / config.DefaultWeight
}

// came and went keep count of the tenants that are there.
func (f *turns) came() {
	f.tenants++
	f.refair()
}

func (f *turns) went() {
	f.tenants--
	f.refair()
}

// refair is for when fairness may have been switched on or off.
func (f *turns) refair() {
	if f.shared = f.tenants > 1 && !f.off; !f.shared {
		f.release()
	}
}

// release lets everybody go on.
func (f *turns) release() {
	for _, l := range []*tenants{&f.line, &f.later} {
		for l.first != nil {
			t := l.pop()
			for t.first != nil {
				s := t.first
				t.remove(s)
				s.tryResume()
			}
		}
	}
}

// refill gives the tenant its shares of the rounds that have come since it was
// looked at. What it did not use is not kept; what it used too much it still owes.
func (t *turn) refill() {
	if n := t.of.round - t.round; n > 0 {
		t.round = t.of.round
		t.credit = int(min(int64(t.credit)+n*int64(t.share), int64(t.share)))
	}
}

// mayTurn reports whether the session may take a command now. If not, it waits for its turn.
func (s *session) mayTurn() bool {
	f, t := &s.w.turns, &s.stats.turn
	if s.turn.pass > 0 {
		return true
	}
	if !s.turn.inLine {
		load := f.load()
		if load < f.window && f.line.first == nil && f.later.first == nil {
			return true
		}
		if t.refill(); t.first == nil && t.credit > 0 && load < turnSpare*f.window {
			return true
		}
		t.push(s)
		if !t.waiting {
			f.line.push(t)
		}
	}
	return false
}

// charge accounts for n bytes of a request that was handled.
func (s *session) charge(n int) {
	n += turnCommand
	s.stats.turn.credit -= n
	if s.turn.pass > 0 {
		s.spend(n + int(s.turn.expect))
	}
}

// spend takes n from what the session may take in its turn.
func (s *session) spend(n int) {
	n = min(n, s.turn.pass)
	s.turn.pass -= n
	s.w.turns.granted -= n
	s.stats.turn.credit += n
}

// endTurn takes back what the session has not used of its turn.
func (s *session) endTurn() {
	if s.turn.pass > 0 {
		s.spend(s.turn.pass)
	}
}

// received accounts for a reply of n bytes.
func (s *session) received(n int) {
	s.stats.turn.credit -= n
	s.turn.expect += (int32(min(n, 1<<30)) - s.turn.expect) >> 3
}

// adapt fits the window to the way to the upstream.
func (f *turns) adapt() {
	f.window = minTurnWindow
	for _, k := range f.w.links {
		if k != nil {
			f.window = min(max(f.window, int(turnSpeed*float64(k.Trip()))), maxTurnWindow)
		}
	}
}

// pinLoad is what the session's own connection has to work on. It is bounded for each one: the
// server takes a little from every connection in turn.
func (s *session) pinLoad() int { return s.pin.Load() + s.pin.Flight()*int(s.turn.expect) }

// load is what the upstream has not answered yet.
func (f *turns) load() int {
	n := f.granted
	for _, k := range f.w.links {
		if k != nil {
			n += k.Load()
		}
	}
	for _, k := range f.w.scriptLinks {
		if k != nil {
			n += k.Load()
		}
	}
	return n
}

// serve has sessions go on for whom there is room.
func (f *turns) serve() {
	for f.load() < f.window {
		t, s := f.next()
		if s == nil {
			return
		}
		s.turn.pass = min(t.credit, turnShare)
		f.granted += s.turn.pass
		t.credit -= s.turn.pass // until it is known what is used
		if s.tryResume(); s.held || s.conn.Unread() == 0 {
			s.endTurn() // it has to wait for something else, or has nothing to be taken
		}
	}
}

// next takes the session from its line whose turn it is; nil if none waits. The tenants are
// asked as long as their shares last, then the next round begins.
func (f *turns) next() (*turn, *session) {
	for {
		t := f.line.first
		if t == nil {
			if f.later.first == nil {
				return nil, nil
			}
			f.nextRound()
			continue
		}
		t.refill()
		switch s := t.first; {
		case s == nil:
			f.line.pop()
		case t.credit <= 0:
			f.later.push(f.line.pop())
		default:
			t.remove(s)
			return t, s
		}
	}
}

// nextRound begins the first one in which one of those that wait has something to use.
func (f *turns) nextRound() {
	f.line, f.later = f.later, tenants{}
	rounds := int64(math.MaxInt64)
	for t := f.line.first; t != nil; t = t.next {
		rounds = min(rounds, int64(-t.credit)/int64(t.share)+1)
	}
	f.round += rounds
}
