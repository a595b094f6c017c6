package proxy

import (
	"bytes"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/quota"
	"riptide-proxy/resp"
)

// What a write really makes the keys grow by is measured around it, in one
// transaction of the upstream's on the shared connection:
//
//	MULTI | MEMORY USAGE of each key | the command | MEMORY USAGE of each key | EXEC
//
// The client gets the command's own reply, or its error.

// measure is a write that is being measured.
type measure struct {
	meter    *spaceMeter
	need     quota.Amounts
	learns   bool  // it tells what is true of others
	converts bool  // command.Command.Converts
	count    int64 // spaceMeter.count when it was sent
	keys     [][]byte
	replies  int        // that have come
	failed   []byte     // the first that says that a command is not even queued
	own      bool       // that was the client's command
	alone    []byte     // the reply to the client's command where no transaction has begun
	vals     *valueNote // of the command
}

// maxMeasured is how many keys of a command are measured.
const maxMeasured = 1000

// group begins the transaction around a command that is to be measured: what goes
// before it is appended to b. keys are the names that the upstream knows. It returns nil if
// the command is not measured.
func (s *session) group(b []byte, keys [][]byte) (_ []byte, g *measure) {
	m := s.stats.space
	if len(keys) == 0 || len(keys) > maxMeasured || !m.keeper.measures() {
		return b, nil
	}
	m.charge.measured = true
	g = &measure{meter: m, need: m.charge.need, learns: m.charge.learns, converts: m.charge.converts, count: m.count, keys: keys}
	m.reserve(g.need)
	if g.converts {
		m.converting++
	}
	b = append(b, "*1\r\n$5\r\nMULTI\r\n"...)
	return appendUsages(b, keys), g
}

// end appends what goes behind the command. t is its slot.
func (g *measure) end(b []byte, t *slot) []byte {
	g.vals = t.vals
	t.vals = &valueNote{measure: g}
	return append(appendUsages(b, g.keys), "*1\r\n$4\r\nEXEC\r\n"...)
}

func appendUsages(b []byte, keys [][]byte) []byte {
	for _, key := range keys {
		b = append(b, "*3\r\n$6\r\nMEMORY\r\n$5\r\nUSAGE\r\n"...)
		b = resp.AppendBulk(b, key)
	}
	return b
}

// stored are the names of a command's keys as the upstream knows them.
func stored(r *namespace.Request, indexes []int32, prefix []byte) [][]byte {
	if len(indexes) > maxMeasured {
		return nil
	}
	keys := make([][]byte, len(indexes))
	for n, i := range indexes {
		keys[n] = join(prefix, r.At(int(i)))
	}
	return keys
}

// measured takes the replies to a group. It returns the client's with the last one.
func (w *worker) measured(t *slot, reply []byte) (own []byte, more bool) {
	g := t.vals.measure
	if g.replies++; g.replies < 2*len(g.keys)+3 {
		isOwn := g.replies == len(g.keys)+2
		switch {
		case reply[0] == '-' && g.replies == 1: // so each of the others is run by itself
			g.alone = bytes.Clone(reply)
		case isOwn && g.alone != nil:
			g.alone = bytes.Clone(reply)
		case reply[0] == '-' && g.failed == nil:
			g.failed, g.own = bytes.Clone(reply), isOwn
		}
		return nil, true
	}
	t.vals = g.vals
	switch {
	case g.alone != nil:
		g.lost()
		return g.alone, false
	case g.failed != nil:
		g.meter.settle(g.need, quota.Amounts{}, quota.Amounts{}) // nothing has run
		g.ended()
		if !g.own && forbids(g.failed) {
			g.meter.keeper.refused(g.failed)
			return resp.AppendError(nil, errUnavailable), false
		}
		return g.failed, false // or what holds for any command at the time, such as BUSY
	}
	fields, ok := resp.Fields(w.fields[:0], reply)
	w.fields = fields[:0]
	if !ok || len(fields) != 2*len(g.keys)+1 {
		g.lost()
		if reply[0] == '-' {
			return reply, false
		}
		return resp.AppendError(nil, errBadReply.Error()), false
	}
	var grown, freed quota.Amounts
	for i := range g.keys {
		before, after := usage(fields[i]), usage(fields[len(g.keys)+1+i])
		grown[quota.Bytes] += max(0, after-before)
		freed[quota.Bytes] += max(0, before-after)
		switch {
		case before == 0 && after > 0:
			grown[quota.Keys]++
		case before > 0 && after == 0:
			freed[quota.Keys]++
		}
	}
	if g.count != g.meter.count {
		freed = quota.Amounts{} // the count may have seen it
	}
	if g.learns {
		g.meter.learn(g.need, grown)
	}
	if g.converts {
		g.meter.learnConversion(grown[quota.Bytes] - g.need[quota.Bytes])
	}
	g.meter.settle(g.need, grown, freed)
	g.ended()
	return fields[len(g.keys)], false
}

// forbids reports whether an error says that a command is not to be had, and not only now.
func forbids(reply []byte) bool {
	return bytes.HasPrefix(reply, []byte("-NOPERM")) || bytes.HasPrefix(reply, []byte("-ERR unknown"))
}

// usage reads a reply of MEMORY USAGE; a key that is not there takes nothing.
func usage(reply []byte) int64 {
	if len(reply) < 4 || reply[0] != ':' {
		return 0
	}
	n, _ := resp.ParseInt(reply[1 : len(reply)-2])
	return max(0, n)
}

// lost is for a group that may have run or not.
func (g *measure) lost() {
	g.meter.settle(g.need, g.need, quota.Amounts{})
	g.meter.unsure = true
	g.ended()
}

// ended makes room for the next one.
func (g *measure) ended() {
	if g.converts {
		g.meter.converted()
	}
}

// unmeasured ends the measuring of a command that gets no reply.
func (t *slot) unmeasured() {
	if t.vals != nil && t.vals.measure != nil {
		g := t.vals.measure
		t.vals = g.vals
		g.lost()
	}
}

// measuring reports whether the command being handled is to be measured.
func (s *session) measuring() bool {
	m := s.stats.space
	return m != nil && m.charge.on && m.charge.measure
}

// forwardMeasured is forward for a command that is to be measured. It returns false if it is
// not, and nothing was done. The indexes of its keys are in w.indexes.
func (s *session) forwardMeasured(cmd *command.Command, r *namespace.Request, prefix []byte, large bool) bool {
	w := s.w
	keys := stored(r, w.indexes, prefix)
	if guard := s.copyGuard(); guard != nil {
		return s.sendMeasured(cmd, guard.around(r, w.indexes, prefix), keys, nil)
	}
	head, g := s.group(nil, keys)
	if g == nil {
		return false
	}
	t := s.slot(cmd)
	if large {
		tail := g.end(nil, &t)
		w.parts, w.scratch = r.Parts(append(w.parts[:0], head), w.scratch, w.indexes, prefix)
		w.parts = append(w.parts, tail)
		s.link.EndLarge(t, w.parts...)
		clear(w.parts)
		return true
	}
	b := s.link.Begin(len(r.Raw) + len(w.indexes)*(len(prefix)+24) + 2*len(head) + 32)
	b = g.end(r.AppendAllPrefixed(append(b, head...), w.indexes, prefix), &t)
	s.link.End(b, t)
	return true
}

// sendMeasured is the same for a command that is there already, in whole.
func (s *session) sendMeasured(cmd *command.Command, b []byte, keys [][]byte, vals *valueNote) bool {
	head, g := s.group(nil, keys)
	if g == nil {
		return false
	}
	t := s.slot(cmd)
	t.vals = vals
	all := append(append(s.link.Begin(len(b)+2*len(head)+32), head...), b...)
	s.link.End(g.end(all, &t), t)
	return true
}
