package proxy

import (
	"context"
	"errors"
	"sync/atomic"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/upstream"
	"riptide-proxy/value"
)

// Values of some tenants are stored sealed: compressed, encrypted or both. Their
// sessions have modeValues; nobody else's commands and replies are looked at.

// tenantValues is what all loops share of such a tenant.
type tenantValues struct {
	codec *value.Codec
	// turns bounds what is sealed, opened and rewritten beside the loops.
	turns chan struct{}
	// encrypted: it has encrypted values, or had.
	encrypted atomic.Bool
}

const valueTurns = 4

// binds reports whether there may be values that are bound to their keys' names.
func (v *tenantValues) binds() bool { return v.codec.Encrypts() || v.encrypted.Load() }

func newTenantValues(c *value.Codec) *tenantValues {
	return &tenantValues{codec: c, turns: make(chan struct{}, valueTurns)}
}

// valueView is a loop's part of it.
type valueView struct {
	*tenantValues
	counters value.Counters
}

// asideValue is the length from which a command's or a reply's values, together, are sealed and
// opened beside the loop, for which all its clients would have to wait.
const asideValue = 64 << 10

// setValues has a loop look at a tenant's values.
func (t *tenantStats) setValues(v *tenantValues) {
	if t.values == nil {
		t.values = new(valueView)
	}
	t.values.tenantValues = v
	t.setMode(modeValues, true)
}

// valueNote is what is remembered of a request to open the values in its reply.
type valueNote struct {
	spec command.ReplySpec
	keys [][]byte // as the tenant calls them; nil where nothing is encrypted, nor was
	// plain tells, for each of the request's keys, whether its value is not sealed, whatever it
	// begins with; nil: all may be.
	plain []bool
	// measure is set for a command that is being measured, and is then all there is.
	measure *measure
	script  *scriptMeasure // likewise for a script
	full    bool           // it is a script that runs as the user that writes nothing
}

// noteOf returns what to remember of a request; nil when its row says it all.
func (s *session) noteOf(cmd *command.Command, r *namespace.Request, prefixed []int32) *valueNote {
	if cmd.ReplyValues == command.NoValues && cmd.StreamReply == command.NoValues {
		return nil
	}
	spec := replyOf(cmd)
	if cmd.ReplyValues != command.NoValues {
		spec = cmd.ReplyValuesOf(r)
	}
	binds := s.stats.values.binds()
	if !binds && spec == replyOf(cmd) {
		return nil
	}
	n := &valueNote{spec: spec}
	if binds && !spec.None() {
		for _, i := range prefixed {
			n.keys = append(n.keys, append([]byte(nil), r.At(int(i))...))
		}
	}
	return n
}

// replyOf is where in a command's replies values are, as far as its row tells.
func replyOf(cmd *command.Command) command.ReplySpec {
	if cmd.ReplyValues != command.NoValues {
		return command.ReplySpec{Kind: cmd.ReplyValues}
	}
	return command.ReplySpec{Kind: cmd.StreamReply}
}

// carries reports whether a command's arguments or replies hold values.
func carries(cmd *command.Command) bool {
	return cmd.ReplyValues != command.NoValues || !cmd.Values.None() || cmd.StreamReply != command.NoValues || !cmd.StreamValues.None()
}

// valuesOf returns which arguments are values that may be sealed.
func (w *worker) valuesOf(cmd *command.Command, r *namespace.Request, v *valueView) []int32 {
	w.values = cmd.Values.Positions(w.values[:0], r)
	if !cmd.StreamValues.None() {
		// Where they are not to be sealed, those are that begin like sealed ones.
		w.values = cmd.StreamValues.Positions(w.values, r)
	}
	return w.values
}

// sealing is the request whose values are being sealed.
type sealing struct {
	marks    *marks
	codec    *value.Codec
	counters *value.Counters
	cmd      *command.Command
	r        *namespace.Request
	prefix   []byte
	prefixed []int32
	stored   bool // names have the prefix already
	maxBulk  int  // the longest argument that the upstream takes
	tooLong  bool
	stays    func(i int32) bool // whether a value is not to be sealed; nil: none
}

// seal implements what namespace.Request.AppendSealed asks for.
func (x *sealing) seal(dst []byte, i int32) ([]byte, bool) {
	if x.stays != nil && x.stays(i) {
		return dst, false
	}
	plain := x.r.At(int(i))
	if inStream(x.cmd) && !x.codec.Streams() && !value.IsSealed(plain) {
		return dst, false
	}
	name := value.Name{Prefix: x.prefix, Key: x.r.At(int(x.cmd.KeyOfValue(x.prefixed, i))), Stream: inStream(x.cmd)}
	if x.stored {
		name.Key = name.Key[len(x.prefix):]
	}
	if !x.codec.Encrypts() && !value.IsSealed(plain) && x.marks.has(name) {
		return dst, false
	}
	before := len(dst)
	dst, sealed := x.codec.Seal(x.counters, dst, plain, name)
	x.tooLong = x.tooLong || len(dst)-before > x.maxBulk
	return dst, sealed
}

// appendValues is AppendAllPrefixed with the values sealed.
func (s *session) appendValues(b []byte, cmd *command.Command, r *namespace.Request, prefixed, values []int32) []byte {
	w := s.w
	v := s.stats.values
	w.sealing = sealing{marks: w.srv.marks, codec: v.codec, counters: &v.counters, cmd: cmd, r: r, prefix: s.prefixOf(cmd), prefixed: prefixed, maxBulk: w.maxBulk}
	b = r.AppendSealed(b, prefixed, w.sealing.prefix, values, w.seal)
	w.sealing.r = nil
	return b
}

// valuesSize is how many bytes the values of a request have.
func valuesSize(r *namespace.Request, values []int32) (n int) {
	for _, i := range values {
		n += len(r.At(int(i)))
	}
	return n
}

// sendValues sends a command whose arguments or reply hold values, on the
// session's own connection or on the shared one. It returns false for one that would wait
// on the latter.
func (s *session) sendValues(cmd *command.Command, r *namespace.Request, note uint8) bool {
	w := s.w
	if len(r.Raw) > w.maxBulk-maxPrefix && s.tooLong(cmd, r) {
		s.answerError(errTooLong)
		return true
	}
	var verdict command.Verdict
	w.indexes, verdict = cmd.Prefixed(w.indexes[:0], r)
	if s.pin == nil && verdict&command.Blocks != 0 {
		return false
	}
	if s.pin == nil && s.link.Down() {
		s.unavailable(cmd)
		return true
	}
	values := w.valuesOf(cmd, r, s.stats.values)
	if valuesSize(r, values) >= asideValue {
		s.sealAside(cmd, r, note)
		return true
	}
	if s.pin != nil && s.tx == nil && cmd.Has(command.Blocking) && (cmd.Run == command.Pinned || verdict&command.Blocks != 0) {
		note = noteBlocks
		s.nowBlocked()
	}
	prefix := s.prefixOf(cmd)
	size := len(r.Raw) + len(w.indexes)*(len(prefix)+24) + len(values)*valueRoom
	vals := s.noteOf(cmd, r, w.indexes)
	if s.pin != nil {
		b := s.appendValues(s.pin.Begin(size), cmd, r, w.indexes, values)
		t := s.noted(cmd, note)
		t.vals = vals
		s.pin.End(b, t)
		return true
	}
	if s.measuring() && s.sendMeasured(cmd, s.appendValues(make([]byte, 0, size), cmd, r, w.indexes, values), stored(r, w.indexes, prefix), vals) {
		return true
	}
	b := s.appendValues(s.link.Begin(size), cmd, r, w.indexes, values)
	t := s.slot(cmd)
	t.vals = vals
	s.link.End(b, t)
	return true
}

// valueRoom is how much longer than a value its sealed form may be.
const valueRoom = 128

var errSealedTooLong = errors.New("ERR the value is longer than the upstream takes once it is sealed")

// sealAside seals the values of a command beside the loop and then sends it. The
// session takes no command meanwhile.
func (s *session) sealAside(cmd *command.Command, r *namespace.Request, note uint8) {
	own := cloneRequest(r)
	w, v, prefix, maxBulk := s.w, s.stats.values, s.prefixOf(cmd), s.w.maxBulk
	prefixed := append([]int32(nil), w.indexes...)
	values := append([]int32(nil), w.values...)
	t := s.noted(cmd, note)
	t.vals = s.noteOf(cmd, r, prefixed)
	s.asyncFor(t.seq, func(ctx context.Context) func() {
		select {
		case v.turns <- struct{}{}:
			defer func() { <-v.turns }()
		case <-ctx.Done():
			return func() { s.failed(&t, upstream.ErrUnavailable) }
		}
		var n value.Counters
		x := sealing{marks: w.srv.marks, codec: v.codec, counters: &n, cmd: cmd, r: own, prefix: prefix, prefixed: prefixed, maxBulk: maxBulk}
		b := own.AppendSealed(make([]byte, 0, len(own.Raw)/2+4096), prefixed, prefix, values, x.seal)
		return func() {
			v.counters.Add(&n)
			switch {
			case x.tooLong:
				s.completeError(t.seq, errSealedTooLong.Error())
				s.unpin()
			case s.pin != nil:
				s.pin.End(b, t)
			case s.link.Down():
				s.failed(&t, upstream.ErrUnavailable)
			default:
				s.link.End(append(s.link.Begin(len(b)), b...), t)
			}
		}
	})
}
