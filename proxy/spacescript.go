package proxy

import (
	"bytes"
	"math/rand/v2"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/quota"
	"riptide-proxy/resp"
	"riptide-proxy/script"
)

// What a script writes, and where, nothing in its call tells. It is measured by what
// the whole server takes before and after it, in one transaction on a connection that is the
// session's own as long:
//
//	MULTI | INFO memory keyspace | AUTH | the script | AUTH | INFO memory keyspace | EXEC
//
// That is near enough: the next count corrects it. Near the limit every script is measured, below
// it some are, and the others are charged with what those have written.

// scriptSpace is what is known of how much a tenant's scripts write.
type scriptSpace struct {
	likely quota.Amounts // what one writes, on average
	skip   int           // so many more are not measured
}

const (
	// scriptShare of the limit is what a script has to write so that the next one is
	// measured as well.
	scriptShare = 1024
	// scriptSkip is how many scripts that write little are not measured between two that
	// are, on average.
	scriptSkip = 8
)

// scriptCharge completes the charge of a script.
func (m *spaceMeter) scriptCharge(s *session, c *charge, cmd *command.Command, r *namespace.Request) {
	c.need = m.growth(cmd, r)
	for i, limit := range m.limit {
		c.need[i] = max(c.need[i], m.scripts.likely[i])
		if m.exact {
			c.need[i] = max(c.need[i], limit/scriptShare)
		}
	}
	c.script = cmd.Handler == command.HandleEval || cmd.Handler == command.HandleEvalSHA
	if !c.script || s.tx != nil || s.pin != nil || !m.keeper.measures() {
		c.hasty, c.script = true, false
		return
	}
	if c.measure = m.exact || m.scripts.skip <= 0; !c.measure {
		m.scripts.skip--
	}
}

// scriptsWait reports whether a script has to wait for one that is being measured.
func (s *session) scriptsWait() bool {
	return s.pin != nil && s.tx == nil && s.head != s.tail && !s.watching && !s.tracking && s.subs == nil && !s.redirected
}

// learnScript takes note of how much a script has written.
func (m *spaceMeter) learnScript(grown quota.Amounts) {
	m.scripts.skip = rand.IntN(2 * scriptSkip)
	for i, n := range grown {
		m.scripts.likely[i] += (n - m.scripts.likely[i] + 3) / 4
		if limit := m.limit[i]; limit > 0 && n > max(1, limit/scriptShare) {
			m.scripts.skip = 0
		}
	}
}

// measuresScript reports whether the script being handled is to be measured.
func (s *session) measuresScript() bool {
	m := s.stats.space
	return m != nil && m.charge.on && m.charge.script && m.charge.measure
}

// scriptMeasure is a script that is being measured.
type scriptMeasure struct {
	space    txSpace
	isolated bool // it has a login around it
}

// groupScript begins the measuring of a script. It returns nil if it is not measured. One that runs
// again, since it has come upon sealed values, has its slot's already.
func (s *session) groupScript(t *slot, isolated bool) *scriptMeasure {
	if t.vals != nil && t.vals.script != nil {
		return t.vals.script
	}
	if !s.measuresScript() {
		return nil
	}
	m := s.stats.space
	m.charge.measured = true
	g := &scriptMeasure{isolated: isolated}
	g.space.reserve(m, m.charge.need)
	s.charged(&g.space)
	t.vals = &valueNote{script: g}
	return g
}

// sendMeasuredScript sends a script on the session's own connection, to be measured.
func (s *session) sendMeasuredScript(g *scriptMeasure, b []byte, t slot) {
	own := s.unasked(t.cmd)
	ask := func(args ...string) { s.pin.End(resp.AppendRequest(s.pin.Begin(64), args...), own) }
	ask("MULTI")
	ask("INFO", "memory", "keyspace")
	if g.isolated {
		auth, full := s.w.scriptUser(s.wall()).login(s)
		t.vals.full = full
		s.pin.End(auth, own)
	}
	s.pin.End(b, own)
	if g.isolated {
		s.pin.End(s.w.srv.target.AppendLogin(nil), own)
	}
	ask("INFO", "memory", "keyspace")
	s.pin.End(resp.AppendRequest(s.pin.Begin(32), "EXEC"), t)
}

// measuredScript takes the script's own reply out of its group's. ok is false if there is
// none, and the client has its answer.
func (s *session) measuredScript(t *slot, reply []byte) (own []byte, ok bool) {
	g := t.vals.script
	n, want := 0, 3
	if g.isolated {
		want = 5
	}
	var fields [5][]byte
	count, body, isArray := resp.ArrayElements(reply)
	for isArray && count == want && n < want {
		size, err := resp.ValueSize(body)
		if err != nil || size == 0 {
			break
		}
		fields[n], body = body[:size], body[size:]
		n++
	}
	script := want / 2
	if n < want || g.isolated && (string(fields[script-1]) != okReply || string(fields[script+1]) != okReply) {
		if k := s.w.srv.keeper; !isArray && reply[0] == '-' && !k.seeing.Load() {
			k.refused(reply) // or somebody's script holds the server, which will pass
		}
		s.called = s.called[1:]
		s.endPinnedCall()
		g.space.settle(isArray)
		s.pin.Break(errScriptProtocol) // whose login it has is not known any more
		s.completeError(t.seq, errScriptsStall.Error())
		return nil, false
	}
	s.w.srv.keeper.seeing.Store(true)
	own = fields[script]
	if s.sealedKeys(own) {
		return own, true // nothing has run, and it will again
	}
	t.vals = &valueNote{full: t.vals.full}
	grown := quota.Amounts{
		quota.Bytes: max(0, serverTakes(fields[want-1], usedMemory)-serverTakes(fields[0], usedMemory)-int64(len(own))),
		quota.Keys:  max(0, serverTakes(fields[want-1], usedKeys)-serverTakes(fields[0], usedKeys)),
	}
	if m := g.space.meter; m != nil {
		m.learnScript(grown)
	}
	g.space.found(grown)
	return own, true
}

// sealedKeys reports whether a script has come upon sealed values.
func (s *session) sealedKeys(reply []byte) bool {
	if s.mode&modeValues == 0 {
		return false
	}
	_, sealed := script.SealedKeys(reply)
	return sealed
}

// What INFO tells of a server: its memory in bytes, and its keys.
var usedMemory, usedKeys = []byte("used_memory:"), []byte("db0:keys=")

// serverTakes reads one of these from a reply of INFO.
func serverTakes(info, what []byte) int64 {
	_, rest, _ := bytes.Cut(info, what)
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	n, _ := resp.ParseInt(rest[:end])
	return n
}

// giveUsedMemory asks what the server takes, in a transaction with a script that has to be
// measured.
func (s *session) giveUsedMemory(cmd *command.Command) bool {
	m := s.stats.space
	if m == nil || !m.keeper.measures() {
		return false
	}
	s.giveUnasked(cmd, resp.AppendRequest(nil, "INFO", "memory"))
	return true
}

// usedMemory takes the answer to that out of EXEC's.
func (x *execution) usedMemory(q *queuedCommand) int64 {
	if !q.measured {
		return 0
	}
	return serverTakes(x.next(), usedMemory)
}
