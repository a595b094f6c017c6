package proxy

import (
	"fmt"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/quota"
)

// meter is what keeps a tenant within its rates on one loop. What may be spent has been lent by
// the buckets that all proxies share, so that a command costs a comparison and a subtraction;
// see take.
type meter struct {
	ops, in, out rate
	careful      bool // each command has to be looked at, and not only those that find nothing left
	further      bool // what is written has to be looked at: users have rates, or it is not awake
	awake        bool // in worker.meters; if not, there seems to be nothing left
	asked        bool // a request is under way
	always       bool // careful is never false
	waiting      int  // sessions, in any line
	limits       *quota.RateLimits
	board        *board
	rates        []*rate // those that are limited
	classes      [command.Classes]*rate
	users        map[string]*userRates
}

// rate is one limited rate, with the sessions that wait for it.
type rate struct {
	quota.Lease
	index   int // in board
	line    line
	refusal string // the error, as long as it holds
}

// userRates are those of one of the tenant's users.
type userRates struct{ ops, in, out *rate }

func (m *meter) start(r *rate, at int) {
	if at < 0 {
		r.Lease = *quota.NewLease(nil)
		return
	}
	r.Lease = *quota.NewLease(m.limits.All[at])
	r.index = at
	m.rates = append(m.rates, r)
}

func newMeter(limits *quota.RateLimits, b *board) *meter {
	m := &meter{limits: limits, board: b, users: make(map[string]*userRates)}
	m.start(&m.ops, limits.Own.Ops)
	m.start(&m.in, limits.Own.In)
	m.start(&m.out, limits.Own.Out)
	for class, at := range limits.Classes {
		if at >= 0 {
			m.classes[class] = new(rate)
			m.start(m.classes[class], at)
		}
	}
	m.always = limits.HasClasses || limits.ScriptCost > 0 || len(limits.Users) > 0
	m.careful, m.further = m.always, true
	return m
}

// tight reports whether commands have to be looked at for another reason than that there may be
// no operations left. It is asked once for all that has been received together.
func (m *meter) tight() bool {
	return m != nil && (m.careful || m.in.Left <= 0 || m.out.Left <= 0)
}

// user returns a user's own rates; nil if none is limited.
func (m *meter) user(name string) *userRates {
	at, limited := m.limits.Users[name]
	if !limited {
		return nil
	}
	u := m.users[name]
	if u == nil {
		u = &userRates{new(rate), new(rate), new(rate)}
		m.start(u.ops, at.Ops)
		m.start(u.in, at.In)
		m.start(u.out, at.Out)
		m.users[name] = u
	}
	return u
}

// toll is what a command costs beside what every command does.
type toll struct {
	class *rate
	user  *userRates
	more  float64 // operations
}

// admission is what becomes of a command.
type admission uint8

const (
	admitted admission = iota
	waits              // it is to be tried again when the session is resumed
	refused            // and answered
)

// admit decides on a command that may be over a rate. What it costs beside the usual is left in
// worker.toll.
func (s *session) admit(m *meter, r *namespace.Request, bytes int) admission {
	w := s.w
	w.toll = toll{user: s.rates}
	if s.mode != 0 && s.blocked > 0 {
		return admitted // it is put off by what is before it
	}
	if !m.awake {
		w.rouse(m)
	}
	cmd := find(r)
	if cmd != nil {
		w.toll.class = m.classes[cmd.Class]
		if handlers[cmd.Handler].script {
			w.toll.more = m.limits.ScriptCost
		}
	}
	k := s.over(m)
	if k == nil {
		if s.skips > 0 {
			s.skips--
		}
		return admitted
	}
	paced := cmd != nil && cmd.Paced
	switch {
	case paced && k.Debt() < pacedDebt(k.Limit):
		return admitted
	case k.Shut() && k.Left <= 0:
		return s.refuse(m, k, cmd, bytes)
	case k.Left > 0, m.limits.Delay, paced: // it has to wait for others, or for more
		if k.Scarce() {
			s.countSlowed()
		}
	case k.Dry():
		return s.refuse(m, k, cmd, bytes)
	}
	s.waitFor(m, k)
	return waits
}

// over returns the rate that a command has to wait for, if it has to.
func (s *session) over(m *meter) *rate {
	t := &s.w.toll
	for _, k := range [...]*rate{&m.ops, &m.in, &m.out, t.class} {
		if k != nil && s.blocks(k) {
			return k
		}
	}
	if t.user != nil {
		for _, k := range [...]*rate{t.user.ops, t.user.in, t.user.out} {
			if s.blocks(k) {
				return k
			}
		}
	}
	return nil
}

// blocks reports whether nothing is left, or others wait for it already.
func (s *session) blocks(k *rate) bool { return k.Left <= 0 || k.line.n > 0 && s.skips == 0 }

// pacedDebt is how far commands that are not refused may get a tenant into debt before they
// have to wait.
func pacedDebt(l *quota.Limit) float64 { return 8 * l.Unit }

// pay is for what a careful meter's command costs beside what every command does.
func (t *toll) pay(m *meter) {
	m.ops.Left -= t.more
	if t.class != nil {
		t.class.Left -= 1 + t.more
	}
	if t.user != nil {
		t.user.ops.Left -= 1 + t.more
	}
}

// read counts bytes from the client.
func (s *session) read(n int) {
	s.stats.in += uint64(n)
	if m := s.stats.meter; m != nil {
		n -= s.w.unpaid
		m.in.Left -= float64(n)
		if s.rates != nil {
			s.rates.in.Left -= float64(n)
		}
	}
	s.w.unpaid = 0
}

// wrote counts bytes to the client.
func (s *session) wrote(n int) {
	s.stats.out += uint64(n)
	if m := s.stats.meter; m != nil {
		m.out.Left -= float64(n)
		if m.further {
			s.wroteFurther(m, n)
		}
	}
}

func (s *session) wroteFurther(m *meter, n int) {
	owes := m.out.Left < 0
	if s.rates != nil {
		s.rates.out.Left -= float64(n)
		owes = owes || s.rates.out.Left < 0
	}
	if owes {
		s.w.rouse(m)
	}
}

// forFree writes what costs the tenant nothing: it would never get out of debt if it had to pay for
// being told of it.
func (s *session) forFree(write func()) {
	m, before := s.stats.meter, s.stats.out
	write()
	if m == nil || m != s.stats.meter {
		return
	}
	n := float64(s.stats.out - before)
	m.out.Left += n
	if s.rates != nil {
		s.rates.out.Left += n
	}
}

// typicalReply is how long the reply to a command is taken to be that was refused.
const typicalReply = 1 << 10

// refuse answers a command that is over a rate.
func (s *session) refuse(m *meter, k *rate, cmd *command.Command, bytes int) admission {
	switch t := &s.w.toll; {
	case k == &m.in || t.user != nil && k == t.user.in:
		k.Missed += float64(bytes)
	case k == &m.out || t.user != nil && k == t.user.out:
		k.Missed += typicalReply
	default:
		k.Missed += 1 + t.more
	}
	if k.refusal == "" {
		k.refusal = m.refusalOf(k)
	}
	s.stats.throttled++
	s.w.unpaid += bytes
	s.forFree(func() {
		s.w.refusing = true
		s.reject(cmd, k.refusal)
		s.w.refusing = false
	})
	return refused
}

func (m *meter) refusalOf(k *rate) string {
	if k.Shut() {
		return "THROTTLED tenant " + m.limits.Tenant + " is shut out: its use of " + k.Limit.What + " can not be looked up, retry in 1000 ms"
	}
	return fmt.Sprintf("THROTTLED tenant %s is over %s (%.0f/s), retry in %d ms", m.limits.Tenant, k.Limit.What, k.Limit.Rate, max(1, k.Retry().Round(time.Millisecond).Milliseconds()))
}

// find looks a request's row up; nil if there is none.
func find(r *namespace.Request) *command.Command {
	cmd := command.Lookup(r.At(0))
	if cmd != nil && cmd.Subs != nil && len(r.Args) > 1 {
		return cmd.Sub(r.At(1))
	}
	return cmd
}
