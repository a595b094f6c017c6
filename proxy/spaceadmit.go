package proxy

import (
	"slices"

	"riptide-proxy/command"
	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/quota"
)

// charge is what a command is charged with, until it is known to have been sent.
type charge struct {
	on       bool          // a command is being handled
	measured bool          // its group of commands takes care of it
	measure  bool          // it is to be measured if it can be
	doubt    bool          // if it is not, the keys have to be counted
	whole    bool          // all of it is taken to be there, whatever is true of others
	need     quota.Amounts // how much more the keys may take
	script   bool          // it is a script that can be measured
	converts bool          // command.Command.Converts, and it is measured
	hasty    bool          // the keys have to be counted soon
	learns   bool          // it tells what is true of others
	allowed  int64         // bytes that a command which copies may find at its keys; 0: it does not copy
	tx       *txSpace      // of the transaction that it is queued in
}

const (
	// perArgument is what an argument takes beside its bytes, and perKey what a key
	// does: Redis's structures for a short string and for an entry of its table.
	perArgument, perKey = 24, 96
	// roundShare of a length is what servers round it up by at most.
	roundShare = 4
	// slackShare of the limit is for what servers let run without memory too, and
	// overdraftShare for what of that a loop has not reported yet.
	slackShare, overdraftShare = 200, 2000
	// copySlack is by how many bytes, beside an eighth, what is copied may have grown since
	// it was looked at.
	copySlack = 1 << 10
)

// admit decides whether a command may be handled: it is to wait if not, and has its
// answer if refused.
func (m *spaceMeter) admit(s *session, cmd *command.Command, r *namespace.Request) (run, refused bool) {
	if cmd.Adds && s.mode == 0 && m.easy.admit(r) {
		return true, false
	}
	script := handlers[cmd.Handler].script && !cmd.Has(command.ReadOnly)
	if !cmd.Has(command.Write) && !script {
		return true, false
	}
	m.hardly()
	copies := cmd.Copies != nil && cmd.Copies(r)
	alone := copies || cmd.Hidden != nil
	if alone {
		if s.head != s.tail {
			return false, false
		}
		s.mode |= modeAwait // one at a time: nobody knows how much it writes
	}
	delivers := cmd.Delivers != nil && cmd.Delivers(r)
	if (copies || delivers) && (s.looked == nil || s.looked.cmd != cmd) {
		s.lookAt(cmd, r)
		return false, false
	}
	if script {
		if s.unpin(); s.scriptsWait() {
			return false, false
		}
	}
	m.quiet = 0
	c := charge{
		on: true, measure: m.exact || alone || cmd.Lumpy, learns: cmd.Grows && !alone && !cmd.Lumpy,
		doubt: m.exact || alone || script, whole: script || s.tx != nil || s.pin != nil || s.mode&modeValues != 0 && len(r.Raw) >= asideValue,
	}
	switch {
	case script:
		m.scriptCharge(s, &c, cmd, r)
	case cmd.Grows:
		c.need = m.growth(cmd, r)
		switch {
		case copies && s.looked.size >= 0:
			c.allowed = s.looked.size + s.looked.size/8 + copySlack
		case delivers:
			c.need[quota.Bytes] += max(0, s.looked.size)
		}
		if c.whole {
			c.need[quota.Bytes] += c.need[quota.Bytes] / roundShare
		}
		if s.tx != nil {
			s.tx.space.add(&c, cmd, r)
		}
		if cmd.Converts && !m.convert(s, &c) {
			return false, false
		}
		c.need[quota.Bytes] += c.allowed
		if m.sinceProbe += c.need[quota.Bytes]; m.sinceProbe >= m.probeAt {
			c.measure = true
		}
	}
	if s.tx != nil {
		c.tx = &s.tx.space
	}
	if short := m.short(&c); short >= 0 {
		if s.w.loop.Now() >= m.dry || c.need[short] <= m.most[short] {
			m.wait(s, c.need)
			return false, false
		}
		switch {
		case script && s.who.Tenant.Scripts == config.IsolatedScripts:
			m.pressed = true // it may use what is left, and then runs as a user that writes nothing
		case m.failed && m.keeper.open():
		case !cmd.Has(command.DenyOOM) && !script && !m.failed && m.slack(short, c.need[short]):
		default:
			m.refuse(s, cmd, short)
			return true, true
		}
	}
	m.charge = c
	s.looked = nil
	return true, false
}

// short returns the resource of which less is left than a charge needs; -1: there is none.
func (m *spaceMeter) short(c *charge) int {
	for i, limit := range m.limit {
		if limit > 0 && c.need[i] > 0 && c.need[i] > m.left[i] {
			return i
		}
	}
	return -1
}

// wait has a session wait for the next grant. Where it is scarce, the first one has its turn.
func (m *spaceMeter) wait(s *session, need quota.Amounts) {
	if !slices.Contains(m.waiting, s) {
		m.waiting = append(m.waiting, s)
		for i := range m.needed {
			if !m.scarce || len(m.waiting) == 1 {
				m.needed[i] += need[i]
			}
		}
	}
	if len(m.waiting) == 1 {
		m.ask()
	}
}

// slack reports whether there is room for what servers let run without memory too, such as
// RENAME.
func (m *spaceMeter) slack(resource int, need int64) bool {
	limit, taken := m.limit[resource], max(0, -m.left[resource])+need
	return taken <= limit/overdraftShare && m.used[resource]+taken < limit+limit/slackShare
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

// growth is how much a command can make the keys grow by, as far as it tells.
func (m *spaceMeter) growth(cmd *command.Command, r *namespace.Request) (need quota.Amounts) {
	w := m.worker
	need[quota.Bytes] = int64(len(r.Raw)+perArgument*r.Len()) + perKey
	if cmd.Extent != nil {
		need[quota.Bytes] += cmd.Extent(r)
	}
	need[quota.Keys] = 1
	if cmd.Shape.Kind != command.ShapeOne && cmd.Has(command.DenyOOM) && cmd.Copies == nil {
		w.indexes, _ = cmd.Prefixed(w.indexes[:0], r)
		need[quota.Keys] = int64(max(1, len(w.indexes)))
		need[quota.Bytes] += perKey * (need[quota.Keys] - 1)
	}
	return need
}

// handled books the charge of a command that was handled. done is false for one that has
// to wait: it will come again.
func (m *spaceMeter) handled(done bool) {
	if m.easy.need != 0 {
		m.easy.book(done)
		return
	}
	if !m.charge.on {
		return
	}
	defer m.easily()
	c := m.charge
	m.charge = charge{}
	if c.measured || !done {
		return
	}
	m.unsure, m.hasty = m.unsure || c.doubt, m.hasty || c.hasty
	if c.tx != nil {
		c.tx.reserve(m, c.need)
		return
	}
	for i, n := range c.need {
		if m.exact || c.whole {
			m.spend(i, n, n)
			m.guessed[i] += n
		} else {
			m.guess(i, n)
		}
	}
}
