package proxy

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/quota"
	"riptide-proxy/upstream"
)

// board is where loops leave what they know of the use of a tenant's rates, for whoever wants to
// look.
type board struct {
	limits *quota.RateLimits
	loops  [][]atomic.Uint64 // tokens per second, by loop and limit
	fleet  []told            // by limit
}

// told is what all proxies use, and which share of the rate is this one's, as the upstream has told.
type told struct{ used, at, share atomic.Uint64 }

// lending is how the loops borrow.
type lending struct {
	lender *quota.Lender
	close  func() error
}

func newLending(s *Server, cfg *config.Config, target *upstream.Target) *lending {
	quick := *target
	quick.ConnectTimeout, quick.Timeout = quota.DrawTime, quota.DrawTime
	client := quick.Client(lendingConns)
	return &lending{quota.NewLender(client, s.id, cfg.Accounting.Unreachable), client.Close}
}

// newBoard returns what a tenant with limited rates needs; nil if there are none.
func newBoard(limits *quota.RateLimits, loops int) *board {
	if limits == nil {
		return nil
	}
	b := &board{limits: limits, fleet: make([]told, len(limits.All))}
	for range loops {
		b.loops = append(b.loops, make([]atomic.Uint64, len(limits.All)))
	}
	return b
}

// lendingConns is one for calls and one to find out whether there can be any.
const lendingConns = 2

// meterOf is a tenant's on this loop; nil if none of its rates is limited.
func (w *worker) meterOf(id string) *meter {
	own := w.conf.own[id]
	if own == nil || own.board == nil {
		return nil
	}
	return newMeter(own.board.limits, own.board)
}

// meet has something lent before the first command of a session that has just logged in.
func (s *session) meet() {
	m := s.stats.meter
	if m == nil {
		return
	}
	s.rates = m.user(s.who.User)
	s.w.rouse(m)
	s.w.borrow(m)
}

// rouse has the loop look at the meter again and again, until it is idle.
func (w *worker) rouse(m *meter) {
	if m.awake {
		return
	}
	m.awake, m.further = true, len(m.limits.Users) > 0
	for _, k := range m.rates {
		k.Wake(w.loop.Now())
	}
	w.meters = append(w.meters, m)
	if !w.looking {
		w.looking = true
		w.loop.After(quota.LeasePeriod, w.lookAtMeters)
	}
}

// asleep ends that for good.
func (w *worker) asleep(m *meter) {
	if m != nil && m.awake {
		m.awake = false
		w.meters = slices.DeleteFunc(w.meters, func(x *meter) bool { return x == m })
	}
}

// lookAtMeters borrows for those that need it, and lets idle ones sleep.
func (w *worker) lookAtMeters() {
	var requests []*quota.Request
	awake := w.meters[:0]
	for _, m := range w.meters {
		r := w.lookAt(m)
		if r != nil {
			requests = append(requests, r)
		}
		if m.awake {
			awake = append(awake, m)
		}
	}
	clear(w.meters[len(awake):])
	w.meters = awake
	if len(requests) > 0 {
		w.srv.lending.lender.Submit(requests...)
	}
	if w.looking = len(w.meters) > 0; w.looking {
		w.loop.After(quota.LeasePeriod, w.lookAtMeters)
	}
}

func (w *worker) lookAt(m *meter) *quota.Request {
	now := w.loop.Now()
	idle := m.waiting == 0 && !m.asked
	var due []*rate
	for _, k := range m.rates {
		waiting := float64(k.line.n) * k.Limit.Unit
		k.Look(now, waiting)
		k.refusal = ""
		m.board.loops[w.index][k.index].Store(math.Float64bits(k.Used()))
		if !m.asked && k.Due(now, waiting) {
			due = append(due, k)
		}
		idle = idle && k.Idle(now)
	}
	if len(due) > 0 {
		return w.loan(m, due)
	}
	if idle {
		m.awake, m.further = false, true
		for _, k := range m.rates {
			k.Sleep()
			m.board.loops[w.index][k.index].Store(0)
		}
	}
	return nil
}

// hurry asks at once for a lease that has ended, if that may help.
func (w *worker) hurry(m *meter, k *rate) {
	if k.Left <= 0 && !k.Dry() && !m.asked {
		k.Hurry(w.loop.Now())
		w.borrow(m)
	}
}

// borrow asks at once for what is low.
func (w *worker) borrow(m *meter) {
	if m.asked {
		return
	}
	var low []*rate
	for _, k := range m.rates {
		if !k.Dry() && k.Low() {
			low = append(low, k)
		}
	}
	if len(low) > 0 {
		w.srv.lending.lender.Submit(w.loan(m, low))
	}
}

// loan is a request for some of a tenant's rates. There is none under way.
func (w *worker) loan(m *meter, rates []*rate) *quota.Request {
	m.asked = true
	now := w.loop.Now()
	r := &quota.Request{Limits: m.limits, Loop: w.index, Asks: make([]quota.Ask, len(rates))}
	for i, k := range rates {
		r.Asks[i] = k.Ask(now, float64(k.line.n)*k.Limit.Unit)
	}
	r.Done = func(answers []quota.Answer) {
		w.loop.Post(func() { w.lent(m, rates, answers) })
	}
	return r
}

// lent takes what came of a request.
func (w *worker) lent(m *meter, rates []*rate, answers []quota.Answer) {
	m.asked = false
	for i, k := range rates {
		k.Answer(w.loop.Now(), answers[i])
		k.refusal = ""
		if !answers[i].Away {
			f := &m.board.fleet[k.index]
			f.used.Store(math.Float64bits(answers[i].Used))
			f.share.Store(math.Float64bits(answers[i].Share))
			f.at.Store(uint64(time.Since(w.srv.born)))
		}
	}
	for _, k := range rates {
		m.letGo(k)
	}
	for _, k := range m.rates {
		if k.line.n > 0 {
			w.hurry(m, k) // who has come meanwhile
		}
	}
}

// fleetTime is for how long what the upstream has told of all proxies' use counts.
const fleetTime = 2 * time.Second

// RateUsage is how much of each limited rate a tenant uses, by its name in the
// configuration ("ops_per_second", "users.joe.bytes_in_per_second"), in operations or bytes per second: by all proxies, if the upstream has
// told that a moment ago, and else by this one. It may be called from any goroutine.
func (s *Server) RateUsage(tenant string) []quota.Usage {
	own := s.conf().own[tenant]
	if own == nil || own.board == nil {
		return nil
	}
	b := own.board
	all := make([]quota.Usage, len(b.limits.All))
	for i, l := range b.limits.All {
		all[i] = quota.Usage{Resource: l.Key, Limit: l.Rate}
		for _, loop := range b.loops {
			all[i].Used += math.Float64frombits(loop[i].Load())
		}
		f := &b.fleet[i]
		if at := time.Duration(f.at.Load()); at > 0 && time.Since(s.born)-at < fleetTime {
			all[i].Used = max(all[i].Used, math.Float64frombits(f.used.Load()))
		}
	}
	return all
}
