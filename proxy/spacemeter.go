package proxy

import (
	"fmt"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/quota"
)

// spaceMeter is one loop's part of what a tenant's keys may take. A write takes
// from the allowance as much as it may make the keys grow by; where it was measured,
// what was too much is given back. The keeper draws allowances from what all proxies
// share.
type spaceMeter struct {
	keeper *spaceKeeper
	worker *worker
	stats  *tenantStats
	limit  quota.Amounts // 0: none
	left   quota.Amounts // of the allowance
	charge charge        // of the command being handled

	held                           quota.Amounts // what was left at the last report, with its grant
	pending                        quota.Amounts // charged by what is being measured
	spent, settled, freed, guessed quota.Amounts // since the last report
	used                           quota.Amounts // by the whole tenant, as of the last grant
	count                          int64
	exact                          bool // every write is measured
	unsure                         bool // something was written that was not measured
	pressed                        bool // somebody was refused since the last report
	failed                         bool // the upstream did not answer the last report
	reporting                      bool // a report is under way

	needed  quota.Amounts // by those who wait
	waiting []*session
	dry     int64 // loop's clock until when those who need more than there is are refused at once
	tries   int   // of those who wait
	ticks   int
	quiet   int // of them without a write

	// Of the growth that is charged, how much is true is found out by measuring a
	// write whenever so much was charged.
	truth      float64
	sinceProbe int64
}

// charge is what a command is charged with, until it is known to have been sent.
type charge struct {
	on       bool
	measured bool // its group of commands takes care of it
	measure  bool // it is to be measured if it can be
	doubt    bool // if it is not, the keys have to be counted
	need     quota.Amounts
	tx       *transaction // in which it is queued
}

const (
	// spaceTick is how often a loop looks whether there is something to report.
	spaceTick = 100 * time.Millisecond
	// spaceIdle is after how many of them without a write the allowance is given back.
	spaceIdle = 20
	// spaceTries is how often a loop asks for what others have and may not need.
	spaceTries = 4
	// doubtTries is how often it asks for what a count may show to be there.
	doubtTries = 20
	// perArgument is what an argument takes beside its bytes, and perKey what a key
	// does: Redis's structures for a short string and for an entry of its table.
	perArgument, perKey = 24, 96
	// A write is measured for every limit/probeShare bytes that are charged.
	probeShare = 256
	// slackShare of the limit is for what servers let run without memory too.
	slackShare = 200
)

// admit decides whether a command may be handled: it is to wait if not, and has its
// answer if refused.
func (m *spaceMeter) admit(s *session, cmd *command.Command, r *namespace.Request) (run, refused bool) {
	m.charge = charge{}
	script := handlers[cmd.Handler].script
	if !cmd.Has(command.Write) && !(script && !cmd.Has(command.ReadOnly)) {
		return true, false
	}
	looked := int64(0)
	if cmd.Amplifies {
		if s.head != s.tail {
			return false, false
		}
		s.mode |= modeAwait // one at a time: nobody knows how much it writes
		if !s.measurable(cmd, r) {
			if s.looked == nil || s.looked.cmd != cmd {
				s.lookAt(cmd, r)
				return false, false
			}
			looked = s.looked.size
		}
	}
	m.quiet = 0
	c := charge{on: true, measure: m.exact || cmd.Amplifies || cmd.Lumpy, doubt: m.exact || cmd.Amplifies || script}
	if cmd.Grows || script {
		c.need = m.growth(cmd, r)
		if c.need[quota.Bytes] += looked; s.tx != nil {
			if cmd.Amplifies {
				c.need[quota.Bytes] += s.tx.grows // which is what it may find then
			}
			c.tx = s.tx
		}
		m.sinceProbe += c.need[quota.Bytes]
		if m.sinceProbe >= m.limit[quota.Bytes]/probeShare {
			c.measure = true
		}
	}
	for i, limit := range m.limit {
		if limit == 0 || c.need[i] == 0 || c.need[i] <= m.left[i] {
			continue
		}
		if script { // it runs as a user that may not use more
			if m.over() && s.who.Tenant.Scripts == config.TrustedScripts {
				m.refuse(s, cmd, i)
				return true, true
			}
			c.need[i] = max(0, m.left[i])
			m.pressed = m.pressed || m.over()
			m.ask()
			continue
		}
		if now := s.w.loop.Now(); now >= m.dry {
			for j := range m.needed {
				m.needed[j] += c.need[j]
			}
			m.waiting = append(m.waiting, s)
			m.ask()
			return false, false
		}
		if !cmd.Has(command.DenyOOM) && !m.failed && m.used[i] < limit+limit/slackShare {
			continue
		}
		m.refuse(s, cmd, i)
		return true, true
	}
	m.charge = c
	s.looked = nil
	return true, false
}

func (m *spaceMeter) refuse(s *session, cmd *command.Command, resource int) {
	m.pressed = true
	s.looked = nil
	s.stats.refused++
	if m.failed {
		s.reject(cmd, errUnavailable)
		return
	}
	s.reject(cmd, m.overText(resource))
}

// overText is the error for what is over a limit.
func (m *spaceMeter) overText(resource int) string {
	used, limit := m.used[resource], m.limit[resource]
	// A write gets bytes and a key together or neither, so bytes are missing too when there are no keys left.
	keys := used < limit && m.limit[quota.Keys] > 0 && m.used[quota.Keys] >= m.limit[quota.Keys]
	if resource == quota.Keys || limit == 0 || keys {
		return fmt.Sprintf("OOM tenant %s is over its quota of keys (used %d of %d)", m.stats.id, m.used[quota.Keys], m.limit[quota.Keys])
	}
	return fmt.Sprintf("OOM tenant %s is over its memory quota (used %d of %d bytes)", m.stats.id, used, limit)
}

// over reports whether nothing is left, as far as is known.
func (m *spaceMeter) over() bool {
	for i, limit := range m.limit {
		if limit > 0 && (m.used[i] >= limit || m.left[i] <= 0 && m.worker.loop.Now() < m.dry) {
			return true
		}
	}
	return false
}

// growth is how much a command can make the keys grow by, as far as it tells.
func (m *spaceMeter) growth(cmd *command.Command, r *namespace.Request) (need quota.Amounts) {
	w := m.worker
	need[quota.Bytes] = int64(len(r.Raw)+perArgument*r.Len()) + perKey
	if cmd.Extent != nil {
		need[quota.Bytes] += cmd.Extent(r)
	}
	need[quota.Keys] = 1
	if cmd.Shape.Kind != command.ShapeOne && cmd.Has(command.DenyOOM) && !cmd.Amplifies {
		w.indexes, _ = cmd.Prefixed(w.indexes[:0], r)
		need[quota.Keys] = int64(max(1, len(w.indexes)))
		need[quota.Bytes] += perKey * (need[quota.Keys] - 1)
	}
	return need
}

// sent books the charge of a command that was handled.
func (m *spaceMeter) sent() {
	c := &m.charge
	if !c.on || c.measured {
		return
	}
	c.on = false
	if c.tx != nil {
		c.tx.grows += c.need[quota.Bytes]
	}
	for i, n := range c.need {
		m.left[i] -= n
		m.spent[i] += n
		if !m.exact && i == quota.Bytes {
			n = int64(float64(n) * m.truth)
		}
		m.settled[i] += n
		m.guessed[i] += n
	}
	m.unsure = m.unsure || c.doubt
}

// settle books what a command that was measured has really done. grown is what
// keys have grown by, freed what others have shrunk by.
func (m *spaceMeter) settle(need, grown, freed quota.Amounts) {
	for i := range need {
		m.pending[i] -= need[i]
		m.left[i] += need[i] - grown[i]
		m.spent[i] += grown[i]
		m.settled[i] += grown[i]
		m.freed[i] += freed[i]
	}
	if n := need[quota.Bytes]; n > 0 {
		m.sinceProbe = 0
		m.truth += (min(float64(grown[quota.Bytes])/float64(n), maxTruth) - m.truth) / 4
	}
	m.quiet = 0
}

// maxTruth bounds what one write that grew by much more than it said is taken for.
const maxTruth = 16

// tick runs every spaceTick.
func (m *spaceMeter) tick() {
	m.ticks++
	if m.quiet < spaceIdle {
		m.quiet++
	}
	if m.exact && len(m.waiting) == 0 { // there is little left, which others may wait for
		for i, n := range m.spent {
			m.left[i] = min(m.left[i], 2*n)
		}
	}
	low := false
	for i, limit := range m.limit {
		low = low || limit > 0 && m.left[i] < m.spent[i]
	}
	switch {
	case m.unsure || m.pressed || low || m.freed != quota.Amounts{} || m.exact && (m.spent != quota.Amounts{} || m.held != m.left) || len(m.waiting) > 0:
		m.ask()
	case m.quiet == spaceIdle && (m.left != quota.Amounts{} || m.spent != quota.Amounts{}),
		m.spent != quota.Amounts{} && m.ticks%10 == 0:
		m.ask()
	}
}

// ask reports to the keeper, unless that is being done.
func (m *spaceMeter) ask() {
	if m.reporting {
		return
	}
	m.reporting = true
	r := spaceReport{
		meter: m,
		Report: quota.Report{
			Count: m.count, Limit: m.limit, Spent: m.spent, Settled: m.settled, Freed: m.freed, Guessed: m.guessed,
			Pressed: m.pressed, Unsure: m.unsure,
		},
	}
	for i, limit := range m.limit {
		if limit == 0 {
			continue
		}
		if m.quiet == spaceIdle && m.needed[i] == 0 {
			m.left[i] = min(m.left[i], 0) // given back, as it is not held any more
		}
		r.Held[i] = max(0, m.left[i]) + m.pending[i]
		if m.quiet == spaceIdle && m.needed[i] == 0 {
			continue
		}
		r.Needed[i] = max(0, m.needed[i]-m.left[i])
		r.Wanted[i] = max(r.Needed[i], 4*m.spent[i]-m.left[i], m.share(i, limit)-m.left[i], 0)
	}
	m.spent, m.settled, m.freed, m.guessed = quota.Amounts{}, quota.Amounts{}, quota.Amounts{}, quota.Amounts{}
	m.pressed, m.unsure = false, false
	m.keeper.take(r)
}

// share is what a loop would like to have at hand.
func (m *spaceMeter) share(resource int, limit int64) int64 {
	if m.exact {
		return 0
	}
	return limit / 128
}

// granted brings the answer; nil: there is none.
func (m *spaceMeter) granted(r *spaceReport, g *quota.Grant) {
	m.reporting = false
	m.failed = g == nil && m.tries >= spaceTries
	now := m.worker.loop.Now()
	short, lent := false, false
	if g == nil {
		// What was done is reported again, even if it has arrived: rather too much than
		// too little.
		for i := range m.spent {
			m.spent[i] += r.Spent[i]
			m.settled[i] += r.Settled[i]
			m.guessed[i] += r.Settled[i]
		}
		m.unsure = true // instead of what was freed, which may have been reported
		if m.tries < spaceTries {
			m.tries++
			return
		}
		m.dry = now + int64(spaceTick)
	} else {
		m.used, m.count, m.exact = g.Used, g.Count, g.Exact
		for i := range m.left {
			m.left[i] += g.Granted[i]
			short = short || g.Granted[i] < r.Needed[i]
			lent = lent || g.Lent[i] > 0
		}
		m.held = m.left
		switch {
		case !short:
			m.tries = 0
		case lent && m.tries < spaceTries, g.Doubt && m.tries < doubtTries:
			m.tries++ // others may give back what they do not use; until then those who wait go on waiting
			return
		default:
			m.dry = now + int64(spaceTick)
		}
	}
	waiting := m.waiting
	m.waiting = nil
	m.needed = quota.Amounts{}
	for _, s := range waiting {
		s.tryResume()
	}
}
