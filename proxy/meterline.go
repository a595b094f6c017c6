package proxy

// Sessions that wait for a rate stand in its line: their connections hold their input, and the
// command that they wait with is tried again when it is their turn.

// line is a queue of sessions. A session is in one line at most.
type line struct {
	first, last *session
	n           int
}

// waitFor puts the session at the end of a line, and has more borrowed if that may help.
func (s *session) waitFor(m *meter, k *rate) {
	s.awaits, s.skips = k, 0
	s.behind, s.ahead = nil, k.line.last
	if k.line.last != nil {
		k.line.last.behind = s
	} else {
		k.line.first = s
	}
	k.line.last = s
	k.line.n++
	m.waiting++
	m.careful = true
	s.w.hurry(m, k)
}

// leaveLine ends the session's waiting.
func (s *session) leaveLine(m *meter) {
	k := s.awaits
	if k == nil {
		return
	}
	if s.ahead != nil {
		s.ahead.behind = s.behind
	} else {
		k.line.first = s.behind
	}
	if s.behind != nil {
		s.behind.ahead = s.ahead
	} else {
		k.line.last = s.ahead
	}
	s.awaits, s.ahead, s.behind = nil, nil, nil
	k.line.n--
	m.waiting--
	m.careful = m.always || m.waiting > 0
}

// countSlowed counts the command that waits, once.
func (s *session) countSlowed() {
	if s.slowed != s.tail+1 {
		s.slowed = s.tail + 1
		s.stats.throttled++
	}
}

// letGo resumes sessions of a line, now that it is known what there is.
func (m *meter) letGo(k *rate) {
	if !m.limits.Delay || k.Shut() {
		for n := k.line.n; n > 0 && k.line.first != nil; n-- {
			m.resume(k.line.first, 1) // to run, or to be refused
		}
		return
	}
	if k.Scarce() {
		for s := k.line.first; s != nil; s = s.behind {
			s.countSlowed()
		}
	}
	if k.Left <= 0 || k.line.n == 0 {
		return
	}
	commands := max(1, int(k.Left/k.Limit.Unit))
	turn := max(1, commands/k.line.n)
	for ; commands > 0 && k.line.first != nil; commands -= turn {
		m.resume(k.line.first, turn)
	}
}

func (m *meter) resume(s *session, turn int) {
	s.leaveLine(m)
	s.skips = turn
	s.tryResume()
}
