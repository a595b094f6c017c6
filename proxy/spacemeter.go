package proxy

import (
	"fmt"
	"math/rand/v2"
	"time"

	"riptide-proxy/namespace"
	"riptide-proxy/quota"
)

// spaceMeter is one loop's part of what a tenant's keys may take. A write takes
// from the allowance as much as it may make the keys grow by; where it was measured,
// what was too much is given back. The keeper draws allowances from what all proxies
// share.
type spaceMeter struct {
	keeper *spaceKeeper
	tenant *namespace.Tenant
	worker *worker
	stats  *tenantStats
	limit  quota.Amounts // 0: none
	left   quota.Amounts // of the allowance; below 0: what was taken beyond it, and is not reported yet
	charge charge        // of the command being handled
	easy   easySpace

	held                           quota.Amounts // what was left after the last grant
	pending                        quota.Amounts // charged by what is being measured, or waits for its EXEC
	spent, settled, freed, guessed quota.Amounts // since the last report
	used                           quota.Amounts // by the whole tenant, as of the last grant
	count                          int64         // of all keys that the last grant knows of
	exact                          bool          // every write is measured
	unsure, hasty                  bool          // something was written that was not measured; of which nothing is known
	pressed                        bool          // somebody was refused since the last report
	failed                         bool          // the upstream did not answer the last report
	reporting                      bool          // a report is under way
	lent                           quota.Amounts // for the keeper alone: what the upstream takes the loop to have

	needed  quota.Amounts // by those who wait, or by the first of them if it is scarce
	waiting []*session
	scarce  bool          // the last grant was less than needed
	since   int64         // loop's clock when it was so for the first time
	dry     int64         // and until when those who need more than most are refused at once
	most    quota.Amounts // that can be had
	failing int           // reports in a row
	ticks   int
	quiet   int // of them without a write

	// Of the growth that is charged, how much is true is found out by measuring a
	// write whenever about so much was charged, which nobody can foretell.
	truth      [quota.Resources]float64
	bound      quota.Amounts // of what is spent, that truth is to be applied to
	sinceProbe int64
	probeAt    int64
	scripts    scriptSpace
	conversions
}

const (
	// spaceTick is how often a loop looks whether there is something to report.
	spaceTick = 100 * time.Millisecond
	// spaceIdle is after how many of them without a write the allowance is given back.
	spaceIdle = 20
	// spaceAlive is after how many of them what is pending is reported again, so that
	// the proxy is not taken for dead.
	spaceAlive = 50
	// spacePatience is for how long a command waits for what others have and may not need,
	// and doubtPatience for what a count may show to be there.
	spacePatience, doubtPatience = 400 * time.Millisecond, 2 * time.Second
	// spaceTries is how many reports may fail before nothing is granted any more.
	spaceTries = 4
	// A write is measured for every limit/probeShare bytes that are charged, on average.
	probeShare = 256
	// maxTruth bounds what one write that grew by much more than it said is taken for.
	maxTruth = 16
)

func newSpaceMeter(k *spaceKeeper, w *worker, t *tenantStats, limit quota.Amounts) *spaceMeter {
	m := &spaceMeter{keeper: k, worker: w, stats: t, limit: limit, truth: [quota.Resources]float64{1, 1}, quiet: spaceIdle}
	m.nextProbe()
	return m
}

// relimit changes the limits.
func (m *spaceMeter) relimit(limit quota.Amounts) {
	if limit == m.limit {
		return
	}
	m.hardly()
	for i := range limit {
		if m.limit[i] > 0 && limit[i] == 0 {
			m.left[i] = min(m.left[i], 0) // what is not limited takes no allowance
		}
	}
	m.limit, m.dry, m.scarce = limit, 0, false
	m.nextProbe()
	m.ask()
	m.resume() // there may be room now
}

// nextProbe decides when the next write is measured.
func (m *spaceMeter) nextProbe() {
	m.sinceProbe = 0
	limit := m.limit[quota.Bytes]
	if limit == 0 {
		limit = m.limit[quota.Keys] * perKey
	}
	m.probeAt = rand.Int64N(2*limit/probeShare + 1)
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
func (m *spaceMeter) over() bool { return m.overBy() >= 0 }

// overBy returns the resource of which nothing is left; -1: there is none.
func (m *spaceMeter) overBy() int {
	for i, limit := range m.limit {
		if limit > 0 && m.left[i] <= 0 && (m.used[i] >= limit || m.worker.loop.Now() < m.dry) {
			return i
		}
	}
	return -1
}

// spend books what has been taken of the allowance, of which so much is taken to be there.
func (m *spaceMeter) spend(resource int, n, there int64) {
	m.left[resource] -= n
	m.spent[resource] += n
	m.settled[resource] += there
}

// guess books what has been taken of the allowance, of which only some is taken to be there.
func (m *spaceMeter) guess(resource int, n int64) {
	m.left[resource] -= n
	m.spent[resource] += n
	m.bound[resource] += n
}

// estimate settles what was guessed.
func (m *spaceMeter) estimate() {
	for i, n := range m.bound {
		there := int64(float64(n) * m.truth[i])
		m.settled[i] += there
		m.guessed[i] += there
	}
	m.bound = quota.Amounts{}
}

// reserve takes a charge out of the allowance until it is settled.
func (m *spaceMeter) reserve(need quota.Amounts) {
	for i, n := range need {
		m.left[i] -= n
		m.pending[i] += n
	}
}

// settle books what a command that was measured has really done, and had reserved
// need for. grown is what keys have grown by, freed what others have shrunk by.
func (m *spaceMeter) settle(need, grown, freed quota.Amounts) {
	for i := range need {
		m.pending[i] -= need[i]
		m.left[i] += need[i]
		m.spend(i, grown[i], grown[i])
		m.freed[i] += freed[i]
	}
	m.quiet = 0
}

// learn takes note of how much of a charge was true.
func (m *spaceMeter) learn(need, grown quota.Amounts) {
	m.nextProbe()
	m.estimate()
	for i := range need {
		if need[i] > 0 {
			m.truth[i] += (min(float64(grown[i])/float64(need[i]), maxTruth) - m.truth[i]) / 4
		}
	}
}

// tick runs every spaceTick.
func (m *spaceMeter) tick() {
	none := quota.Amounts{}
	m.hardly()
	defer m.easily()
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
	case m.unsure, m.hasty, m.pressed, low, m.freed != none, len(m.waiting) > 0,
		m.exact && (m.spent != none || m.held != m.left),
		m.quiet == spaceIdle && (m.left != none || m.spent != none),
		m.spent != none && m.ticks%10 == 0,
		m.pending != none && m.ticks%spaceAlive == 0:
		m.ask()
	}
}

// ask reports to the keeper, unless that is being done.
func (m *spaceMeter) ask() {
	if m.reporting {
		return
	}
	m.reporting = true
	m.hardly()
	m.estimate()
	r := spaceReport{
		meter: m,
		Report: quota.Report{
			Count: m.count, Limit: m.limit, Spent: m.spent, Settled: m.settled, Freed: m.freed, Guessed: m.guessed,
			Pressed: m.pressed, Unsure: m.unsure, Hasty: m.hasty,
		},
	}
	for i, limit := range m.limit {
		idle := m.quiet == spaceIdle && m.needed[i] == 0
		if limit == 0 || idle {
			m.left[i] = min(m.left[i], 0) // given back, as it is not held any more
		}
		if beyond := -m.left[i] - m.pending[i]; beyond > 0 { // it is in what was spent
			m.used[i] += beyond
			m.left[i] += beyond
		}
		r.Held[i] = m.left[i] + m.pending[i]
		if limit == 0 || idle {
			continue
		}
		r.Needed[i] = max(0, m.needed[i]-m.left[i])
		r.Wanted[i] = max(r.Needed[i], 4*m.spent[i]-m.left[i], m.share(limit)-m.left[i], 0)
	}
	m.spent, m.settled, m.freed, m.guessed = quota.Amounts{}, quota.Amounts{}, quota.Amounts{}, quota.Amounts{}
	m.pressed, m.unsure, m.hasty = false, false, false
	m.keeper.take(r)
}

// share is what a loop would like to have at hand.
func (m *spaceMeter) share(limit int64) int64 {
	if m.exact {
		return 0
	}
	return limit / 128
}

// granted brings the answer; nil: there is none.
func (m *spaceMeter) granted(r *spaceReport, g *quota.Grant) {
	m.reporting = false
	now := m.worker.loop.Now()
	if g == nil {
		m.takeBack(r)
		m.failing++
		if m.failed = m.failing > spaceTries; m.failed {
			m.dry, m.most = now+int64(spaceTick), quota.Amounts{}
			m.resume()
		}
		return
	}
	m.failed, m.failing = false, 0
	m.hardly()
	if g.Count != m.count {
		m.freed = quota.Amounts{} // the count may have seen it
	}
	m.used, m.count, m.exact = g.Used, g.Count, g.Exact
	short, lent := false, true
	for i := range m.left {
		m.left[i] += g.Granted[i]
		m.most[i] = max(0, m.left[i]) + g.Rest[i]
		missing := r.Needed[i] - g.Granted[i] - g.Rest[i]
		short = short || g.Granted[i] < r.Needed[i]
		lent = lent && missing <= g.Lent[i]
	}
	m.held = m.left
	if !short {
		m.scarce = false
		m.resume()
		return
	}
	if !m.scarce {
		m.scarce, m.since = true, now
	}
	waited := time.Duration(now - m.since)
	if lent && waited < spacePatience && g.Lent != (quota.Amounts{}) || g.Doubt && waited < doubtPatience {
		return // until the next tick those who wait go on waiting
	}
	m.dry = now + int64(spaceTick)
	m.resume()
}

// takeBack has what was reported in vain reported again, even if it has arrived: rather
// too much than too little.
func (m *spaceMeter) takeBack(r *spaceReport) {
	for i := range m.spent {
		m.spent[i] += r.Spent[i]
		m.settled[i] += r.Settled[i]
		m.guessed[i] += r.Settled[i]
	}
	m.hasty = m.hasty || r.Hasty
	m.unsure = true // instead of what was freed, which may have been reported
}

// resume has those go on who wait.
func (m *spaceMeter) resume() {
	waiting := m.waiting
	m.waiting = nil
	m.needed = quota.Amounts{}
	for _, s := range waiting {
		s.tryResume()
	}
}
