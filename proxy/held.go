package proxy

import (
	"bytes"
	"context"
	"slices"
	"unsafe"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

// Transactions of tenants whose values are sealed are held by the proxy until
// EXEC: only then is it known whether one of the commands looks inside a value, and so has to
// find it plain, be it one that is there already or one that the transaction itself writes.

// heldCommand is a command as the upstream is to get it, but for its values, which
// are as the client gave them.
type heldCommand struct {
	cmd      *command.Command
	raw      []byte
	args     []resp.Arg
	prefix   []byte
	prefixed []int32
	values   []int32
	own      bool // the proxy's own: a login around a script
	guard    *copyGuard
}

// parseRequest finds the arguments of a request in canonical form.
func parseRequest(raw []byte, limits *resp.Limits) ([]resp.Arg, error) {
	var scan resp.Request
	n, err := scan.Scan(raw, limits)
	if err == nil && n != len(raw) {
		err = errBadReply
	}
	return scan.Args, err
}

// sent is the command as the upstream is to get it, but for its values.
func (h *heldCommand) sent() []byte {
	r := h.request()
	switch {
	case h.guard != nil:
		return h.guard.around(r, h.prefixed, nil)
	case !h.cmd.Restores:
		return h.raw
	}
	args := [][]byte{[]byte("EVAL"), []byte(restoreScript), []byte("1")}
	for i := 1; i < r.Len(); i++ {
		args = append(args, r.At(i))
	}
	return resp.AppendRequest(make([]byte, 0, len(h.raw)+len(restoreScript)+64), args...)
}

func (h *heldCommand) request() *namespace.Request {
	return &namespace.Request{Raw: h.raw, Args: h.args}
}

// name returns the name that argument i is, as the upstream knows it.
func (h *heldCommand) name(i int32) []byte { return h.request().At(int(i)) }

func (h *heldCommand) size() int {
	return int(unsafe.Sizeof(*h)) + len(h.raw) + len(h.args)*int(unsafe.Sizeof(resp.Arg{})) + 4*(len(h.prefixed)+len(h.values))
}

// hold takes a command in, as it would be sent.
func (s *session) hold(cmd *command.Command, raw []byte, own bool) {
	h := &heldCommand{cmd: cmd, raw: bytes.Clone(raw), prefix: s.prefixOf(cmd), own: own}
	args, err := parseRequest(h.raw, &s.w.srv.internal)
	if err != nil {
		s.tx.aborted = true // it can not be: the proxy has written it
		return
	}
	h.args = args
	if !own {
		h.guard = s.copyGuard()
		if h.prefixed, _ = cmd.Prefixed(nil, h.request()); cmd.Moves {
			h.prefixed = []int32{1, 2} // whatever it is called, it goes out as from and to
		}
		h.values = slices.Clone(s.w.valuesOf(cmd, h.request(), s.stats.values))
	}
	s.tx.waiting = append(s.tx.waiting, h)
	s.tx.heldBytes += h.size()
}

// give sends a command on the session's own connection, with a slot of its
// own, or has the transaction hold it.
func (s *session) give(cmd *command.Command, b []byte) {
	if s.holds() {
		s.hold(cmd, b, false)
		return
	}
	s.pin.End(b, s.slot(cmd))
}

// giveUnasked is give for what the client did not ask for.
func (s *session) giveUnasked(cmd *command.Command, b []byte) {
	if s.holds() {
		s.hold(cmd, b, true)
		return
	}
	s.pin.End(b, s.unasked(cmd))
}

// room returns a buffer to append a command for give to.
func (s *session) room(n int) []byte {
	if s.holds() {
		return make([]byte, 0, n)
	}
	return s.pin.Begin(n)
}

// given counts what give was given.
func (s *session) given() int {
	if s.holds() {
		return len(s.tx.waiting)
	}
	return s.pin.Flight()
}

func (s *session) holds() bool { return s.tx != nil && s.tx.holds }

// execHeld is EXEC of a transaction that was held. watched tells that keys are
// watched on the session's connection.
func (s *session) execHeld(cmd *command.Command, tx *transaction, watched bool) {
	p := s.plan(tx, watched)
	t := s.slot(cmd)
	if !p.looksInside && !p.large {
		s.sendHeld(t, p, p.requests(nil, true))
		return
	}
	s.delays = p.looksInside
	s.runPlan(p, func(ctx context.Context) func() {
		if !p.looksInside {
			requests := p.requests(nil, true)
			return func() { s.sendHeld(t, p, requests) }
		}
		reply, err := p.run(ctx, s.talkOnPin)
		return func() {
			if err != nil {
				reply = planFailure(err)
			}
			if took := s.w.answered(&t, reply); took >= slowCommand {
				s.w.slowReply(&t, took, nil)
			}
			s.executed(t.seq, cmd, tx, reply)
			s.tellDelayed()
		}
	}, func(text string) {
		tx.space.settle(true)
		s.completeError(t.seq, text)
		s.tellDelayed()
	})
}

// runPlan runs work beside the loop when it is the plan's turn, and then, on the loop, what
// it returns. Until then the session keeps its connection. failed is called instead if
// nothing comes of it.
func (s *session) runPlan(p *plan, work func(ctx context.Context) (done func()), failed func(text string)) {
	s.planning++
	s.async(func(ctx context.Context) func() {
		done := guarded(ctx, func(ctx context.Context) func() {
			release, ok := p.turn(ctx)
			if !ok {
				return func() { failed(errUnavailable) }
			}
			defer release()
			return work(ctx)
		}, func() {
			if s.pin != nil {
				s.pin.Spoil() // something may be watched there
			}
			failed(errInternalText)
		})
		return func() {
			s.planning--
			p.done(s)
			done()
			s.unpin()
		}
	})
}

// sendHeld sends a transaction's commands all at once. t is the slot of EXEC.
func (s *session) sendHeld(t slot, p *plan, requests [][]byte) {
	p.done(s)
	switch {
	case s.pin == nil:
		p.tx.space.settle(false)
		s.completeError(t.seq, errExecLost.Error())
		return
	case p.tooLong:
		p.tx.space.settle(false)
		s.endHeld(p.tx, p.watched)
		s.completeError(t.seq, errSealedTooLong.Error())
		return
	}
	s.pin.End(resp.AppendRequest(s.pin.Begin(32), "MULTI"), s.unasked(multiRow))
	for i, b := range requests {
		s.pin.End(b, s.unasked(p.tx.waiting[i].cmd))
	}
	p.tx.waiting = nil
	s.sent = append(s.sent, p.tx)
	t.note = noteExec
	s.pin.End(resp.AppendRequest(s.pin.Begin(32), "EXEC"), t)
}

var multiRow = command.Lookup([]byte("multi"))
