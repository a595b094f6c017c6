package proxy

import (
	"bytes"
	"context"
	"errors"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/script"
)

// executed brings the reply of EXEC.
func (s *session) executed(seq uint32, cmd *command.Command, tx *transaction, reply []byte) {
	n, body, ok := resp.ArrayElements(reply)
	defer tx.space.settle(ok || bytes.HasPrefix(reply, []byte("-UNKNOWN")))
	if !ok {
		s.complete(seq, s.restore(cmd, reply), false)
		return
	}
	x := execution{s: s, n: n, body: body, out: make([][]byte, 0, len(tx.queue))}
	err := x.restore(tx)
	if err != nil {
		// Whose the replies behind it are, nobody knows: a login that fails may
		// leave the array without one of its elements.
		s.complete(seq, s.garbled(cmd, err), false)
		if s.pin != nil {
			s.pin.Break(err)
		}
		return
	}
	if len(x.later) == 0 {
		s.complete(seq, x.join(), false)
		return
	}
	s.async(func(ctx context.Context) func() {
		dones := make([]func(), len(x.later))
		for i, l := range x.later {
			dones[i] = guarded(ctx, l.work, func() { s.answerError(errInternalText) })
		}
		return func() {
			for i, l := range x.later {
				x.out[l.at] = x.bounded(l.opens, s.capture(dones[i]))
			}
			s.complete(seq, x.join(), false)
		}
	})
}

// execution makes the reply of EXEC from the upstream's.
type execution struct {
	s      *session
	n      int    // elements to come
	body   []byte // which they are in
	out    [][]byte
	later  []laterReply
	own    int   // bytes that the proxy has answered itself
	opened int   // bytes of replies whose values were opened beside the loop
	here   int64 // bytes of values that were opened on it
}

// laterReply is one that takes time, since the proxy has to ask other loops or the
// upstream.
type laterReply struct {
	at    int  // in out
	opens bool // it is the upstream's, whose values are opened
	work  func(ctx context.Context) (done func())
}

func (x *execution) join() []byte {
	size := 16
	for _, b := range x.out {
		size += len(b)
	}
	reply := resp.AppendArray(make([]byte, 0, size), len(x.out))
	for _, b := range x.out {
		reply = append(reply, b...)
	}
	return reply
}

// next returns the next element, nil if there is none.
func (x *execution) next() []byte {
	size, err := resp.ValueSize(x.body)
	if err != nil || len(x.body) == 0 {
		return nil
	}
	element := x.body[:size]
	x.body = x.body[size:]
	x.n--
	return element
}

func (x *execution) restore(tx *transaction) error {
	for range tx.front {
		if !isFine(x.next()) {
			return errNotPlain
		}
	}
	for i := range tx.queue {
		q := &tx.queue[i]
		before := x.usedMemory(q)
		if !x.logins(q.before) {
			return errShortExec
		}
		element := x.next()
		if element == nil {
			return errShortExec
		}
		x.one(q, element)
		if !x.logins(q.after) {
			return errShortExec
		}
		tx.space.wrote(x.usedMemory(q) - before - int64(len(element)))
	}
	for range tx.back {
		x.next()
	}
	if rest := x.next(); rest != nil || x.n != 0 || len(x.body) > 0 {
		return errShortExec
	}
	return nil
}

// logins takes the replies of the logins around a script.
func (x *execution) logins(n int) bool {
	for range n {
		if string(x.next()) != okReply {
			x.s.w.scriptUser(x.s.wall()).ready = false
			return false
		}
	}
	return true
}

// one restores the reply of one command.
func (x *execution) one(q *queuedCommand, element []byte) {
	s := x.s
	switch {
	case q.reply != nil:
		x.out = append(x.out, q.reply)
	case q.args != nil:
		r := &namespace.Request{Raw: q.raw, Args: q.args}
		h := &handlers[q.cmd.Handler]
		if (x.own > maxKept || len(x.later) == maxLater) && q.cmd.Handler != command.HandleSelect {
			x.out = append(x.out, errTooMuch)
			break
		}
		if a := s.w.audit; a != nil {
			a.cmd = q.cmd
		}
		reply := s.capture(func() {
			if h.slow != nil {
				s.runSlow(q.cmd, r, h.slow)
			} else {
				h.run(s, q.cmd, r)
			}
		})
		if a := s.w.audit; a != nil {
			a.cmd = nil
		}
		if s.deferred != nil {
			x.later = append(x.later, laterReply{at: len(x.out), work: s.deferred})
			s.deferred = nil
		}
		x.out = append(x.out, x.bounded(false, reply))
	case q.script != nil || handlers[q.cmd.Handler].script:
		if _, sealed := script.SealedKeys(element); sealed {
			element = errSealedInTx
		}
		switch {
		case q.script == nil:
		case script.CompileError(element):
			x.later = append(x.later, laterReply{at: len(x.out), work: s.diagnosis(q.script)})
		case !script.Rejected(element):
			q.script.Take()
		}
		x.out = append(x.out, bytes.Clone(s.restoreScript(q.script, element, q.full)))
	default:
		s.stats.countFound(q.cmd, element)
		x.values(q, s.restore(q.cmd, element))
	}
}

// values takes the reply of a command whose values are to be opened, if there are any.
func (x *execution) values(q *queuedCommand, reply []byte) {
	s := x.s
	if s.mode&modeValues == 0 || replyOf(q.cmd).None() || reply[0] == '-' {
		x.out = append(x.out, bytes.Clone(reply))
		return
	}
	out, changed, err := s.openHere(q.cmd, q.vals, reply, asideValue-x.here)
	x.here += s.w.opening.total
	switch {
	case beside(err):
		work := s.openWork(q.cmd, q.vals, bytes.Clone(reply))
		x.later = append(x.later, laterReply{at: len(x.out), opens: true, work: func(ctx context.Context) func() {
			opened, n := work(ctx)
			return func() {
				s.stats.addValues(n)
				s.answer(opened)
			}
		}})
		x.out = append(x.out, nil)
	case err != nil:
		x.out = append(x.out, resp.AppendError(nil, openError(err)))
	case changed:
		x.out = append(x.out, bytes.Clone(out))
	default:
		x.out = append(x.out, bytes.Clone(reply))
	}
}

// isFine reports whether the reply to a command that makes a value plain is no error.
func isFine(reply []byte) bool { return len(reply) > 0 && reply[0] != '-' }

var errNotPlain = errors.New("a value could not be made plain")

// bounded counts an answer of the proxy's own, or one that it has opened, and puts an
// error in place of those that are too much.
func (x *execution) bounded(opens bool, reply []byte) []byte {
	n, most := &x.own, maxKept
	if opens {
		n, most = &x.opened, maxReply
	}
	if *n += len(reply); *n > most {
		return errTooMuch
	}
	return reply
}

var errTooMuch = resp.AppendError(nil, errOversized.Error())

var errSealedInTx = resp.AppendError(nil, "ERR the script comes upon a value that is stored sealed, and whose key it has not declared in KEYS")

var errShortExec = errors.New("EXEC has not as many replies as commands were queued")
