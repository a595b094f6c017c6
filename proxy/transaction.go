package proxy

import (
	"bytes"
	"context"
	"errors"
	"unsafe"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/script"
)

// Transactions run on the session's own upstream connection, so that Redis
// itself queues, executes and gives the errors. Commands that the proxy answers
// itself take their place in the queue as a PING, whose reply is replaced at
// EXEC.

// transaction is what was queued since MULTI.
type transaction struct {
	queue []queuedCommand
	db    int  // the session's database at MULTI
	moved bool // a SELECT is queued
	// aborted: the proxy refused a command, of which the upstream does not know
	aborted bool
	lost    bool                // the upstream connection broke
	held    int                 // bytes that queue takes
	scripts map[string]struct{} // by their SHA
}

// queuedCommand is one of them.
type queuedCommand struct {
	cmd *command.Command
	// raw and args are the request of a command that the proxy runs at EXEC;
	// reply is what it answered already.
	raw   []byte
	args  []resp.Arg
	reply []byte
	// before and after are how many commands of the proxy's own are queued
	// around it, each of which is answered with OK.
	before, after int
	script        *script.Script // which the reply is of
}

// maxHeld bounds what the proxy remembers of a transaction. Most of its commands
// it passes on, and only counts.
const maxHeld = 64 << 20

const (
	// maxKept bounds the bytes that the proxy answers the commands with which it runs itself:
	// short commands have long answers.
	maxKept = 32 << 20
	// maxLater bounds the commands whose answers have to be gathered, and are all held until
	// the last one is there.
	maxLater = 100
)

func (tx *transaction) add(q queuedCommand) {
	tx.queue = append(tx.queue, q)
	tx.held += int(unsafe.Sizeof(q)) + len(q.raw) + len(q.args)*int(unsafe.Sizeof(resp.Arg{})) + len(q.reply)
	if q.script != nil {
		if tx.scripts == nil {
			tx.scripts = make(map[string]struct{})
		}
		tx.scripts[q.script.SHA] = struct{}{}
	}
}

const (
	queued       = "+QUEUED\r\n"
	errExecAbort = "EXECABORT Transaction discarded because of previous errors."
	errExecLost  = "UNKNOWN connection to the upstream was lost, the transaction was discarded"
	errNotInTx   = "ERR Command not allowed inside a transaction"
)

func nullArray(proto int) []byte { return resp.AppendNullArray(nil, proto) }

// reject answers with an error before a command is queued or run, which aborts the
// transaction it is in.
func (s *session) reject(cmd *command.Command, text string) {
	if cmd != nil {
		s.stats.row(cmd).rejected++
	}
	if cmd != nil && cmd.Handler == command.HandleExec {
		// It is the end of the transaction all the same.
		text = "EXECABORT Transaction discarded because of: " + string(bytes.TrimPrefix([]byte(text), []byte("ERR ")))
		switch {
		case s.tx != nil:
			s.discardTx()
		case s.watching && s.pin != nil:
			// It fails there as well, and nothing is watched any more. UNWATCH
			// would be refused to a subscriber.
			s.pin.End(resp.AppendRequest(s.pin.Begin(32), "EXEC", "wrong"), s.unasked(cmd))
			s.watching = false
		}
		s.watchLost = false
	}
	if s.tx != nil {
		s.tx.aborted = true
	}
	s.answerError(text)
}

// multi is MULTI.
func multi(s *session, cmd *command.Command, r *namespace.Request) {
	if s.tx != nil {
		if s.tx.lost {
			s.answerError(errUnavailable)
			return
		}
		s.toPin(cmd, r, noteNone) // which has an error for it
		return
	}
	s.tx = &transaction{db: s.db}
	s.mode |= modeTx
	s.toPin(cmd, r, noteMulti)
}

// endTx is for a transaction that ends, or never began.
func (s *session) endTx() *transaction {
	tx := s.tx
	if tx == nil {
		return nil
	}
	s.tx = nil
	s.mode &^= modeTx
	if tx.moved {
		s.use(tx.db)
		s.mode |= modeAwait // until it is known where it ends up
	}
	return tx
}

// discardTx ends a transaction at the upstream without an answer to the client.
func (s *session) discardTx() {
	tx := s.endTx()
	s.watching = false
	if !tx.lost {
		s.pin.End(resp.AppendRequest(s.pin.Begin(32), "DISCARD"), s.unasked(discardRow))
	}
	s.watchLost = false
}

var discardRow = command.Lookup([]byte("discard"))

// discard is DISCARD.
func discard(s *session, cmd *command.Command, r *namespace.Request) {
	tx := s.endTx()
	switch {
	case tx == nil:
		s.answerError("ERR DISCARD without MULTI")
		return
	case tx.lost:
		s.answer(ok)
	default:
		s.toPin(cmd, r, noteNone)
	}
	s.watching, s.watchLost = false, false
}

// exec is EXEC.
func exec(s *session, cmd *command.Command, r *namespace.Request) {
	tx := s.endTx()
	if tx == nil {
		s.answerError("ERR EXEC without MULTI")
		return
	}
	stale := s.watchLost
	s.watching, s.watchLost = false, false
	note := noteExec
	switch {
	case tx.lost:
		s.answerError(errExecLost)
		return
	case tx.aborted:
		note = noteAborted
	case stale:
		note = noteStale // what was watched may have changed meanwhile
	}
	if note != noteExec {
		s.pin.End(resp.AppendRequest(s.pin.Begin(32), "DISCARD"), s.noted(cmd, note))
		return
	}
	s.sent = append(s.sent, tx)
	s.toPin(cmd, r, noteExec)
}

// watch is WATCH key [key ...].
func watch(s *session, cmd *command.Command, r *namespace.Request) {
	if s.tx != nil && s.tx.lost {
		s.answerError("ERR WATCH inside MULTI is not allowed")
		return
	}
	s.watching = true
	s.toPin(cmd, r, noteNone)
}

// unwatch is UNWATCH. Without anything watched it needs no connection.
func unwatch(s *session, cmd *command.Command, r *namespace.Request) {
	s.watchLost = false
	if s.pin == nil {
		s.answer(ok)
		return
	}
	s.watching = false
	s.toPin(cmd, r, noteNone)
}

// enqueue takes a command between MULTI and EXEC.
func (s *session) enqueue(cmd *command.Command, r *namespace.Request) {
	tx := s.tx
	h := &handlers[cmd.Handler]
	switch {
	case tx.lost:
		s.answerError(errUnavailable)
	case !usable(cmd):
		s.reject(cmd, refusal(cmd))
	case cmd.Has(command.NoMulti):
		s.reject(cmd, errNotInTx)
	case tx.held+len(r.Raw) > maxHeld && (tx.held > maxHeld || cmd.Run == command.Local || cmd.Run == command.Slow):
		s.reject(cmd, "ERR the transaction is too long")
	case h.tx != nil:
		h.tx(s, cmd, r)
	case h.alone || cmd.Run == command.Pinned && h.run != nil:
		s.reject(cmd, "NOPERM '"+cmd.Name+"' is not available inside a transaction")
	case cmd.Run == command.Local || cmd.Run == command.Slow:
		s.stand(queuedCommand{cmd: cmd, raw: bytes.Clone(r.Raw), args: append([]resp.Arg(nil), r.Args...)})
	case h.run != nil:
		flight := s.pin.Flight()
		reply := s.capture(func() { h.run(s, cmd, r) })
		if s.pin.Flight() == flight {
			s.stand(queuedCommand{cmd: cmd, reply: reply})
			break
		}
		tx.add(queuedCommand{cmd: cmd})
	default:
		s.queue(cmd, r)
	}
}

// queue has the upstream queue a command.
func (s *session) queue(cmd *command.Command, r *namespace.Request) {
	flight := s.pin.Flight()
	s.toPin(cmd, r, noteNone)
	if s.pin.Flight() == flight { // it was refused
		s.tx.aborted = true
		return
	}
	s.tx.add(queuedCommand{cmd: cmd})
}

// stand has a PING stand for a command that the proxy answers.
func (s *session) stand(q queuedCommand) {
	s.tx.add(q)
	s.pin.End(resp.AppendRequest(s.pin.Begin(32), "PING"), s.slot(q.cmd))
}

// capture returns what f answers, instead of sending it.
func (s *session) capture(f func()) []byte {
	s.capturing = true
	s.captured = nil
	defer func() { s.capturing = false }() // also when f panics
	f()
	return s.captured
}

// selectInTx is SELECT between MULTI and EXEC: what follows goes to the other
// database, if it exists; EXEC does it again.
func selectInTx(s *session, cmd *command.Command, r *namespace.Request) {
	if db, err := s.database(r.At(1)); err == nil {
		s.use(db)
		s.tx.moved = true
	}
	s.stand(queuedCommand{cmd: cmd, raw: bytes.Clone(r.Raw), args: append([]resp.Arg(nil), r.Args...)})
}

// executed brings the reply of EXEC.
func (s *session) executed(t *slot, reply []byte) {
	tx := s.sent[0]
	s.sent = s.sent[1:]
	n, body, ok := resp.ArrayElements(reply)
	if !ok {
		s.complete(t.seq, s.restore(t.cmd, reply), false)
		return
	}
	x := execution{s: s, n: n, body: body, out: make([][]byte, 0, len(tx.queue))}
	err := x.restore(tx)
	if err != nil {
		// Whose the replies behind it are, nobody knows: a login that fails may
		// leave the array without one of its elements.
		s.complete(t.seq, s.garbled(t.cmd, err), false)
		s.pin.Break(err)
		return
	}
	if len(x.later) == 0 {
		s.complete(t.seq, x.join(), false)
		return
	}
	s.async(func(ctx context.Context) func() {
		dones := make([]func(), len(x.later))
		for i, l := range x.later {
			dones[i] = s.guarded(ctx, l.work)
		}
		return func() {
			for i, l := range x.later {
				x.out[l.at] = x.bounded(s.capture(dones[i]))
			}
			s.complete(t.seq, x.join(), false)
		}
	})
}

// execution makes the reply of EXEC from the upstream's.
type execution struct {
	s     *session
	n     int    // elements to come
	body  []byte // which they are in
	out   [][]byte
	later []laterReply
	own   int // bytes that the proxy has answered itself
}

// laterReply is one that takes time, since the proxy has to ask other loops or the
// upstream.
type laterReply struct {
	at   int // in out
	work func(ctx context.Context) (done func())
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
	for i := range tx.queue {
		q := &tx.queue[i]
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
			x.s.w.scriptUser(x.s.who.Tenant).ready = false
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
		reply := s.capture(func() {
			if h.slow != nil {
				s.runSlow(q.cmd, r, h.slow)
			} else {
				h.run(s, q.cmd, r)
			}
		})
		if s.deferred != nil {
			x.later = append(x.later, laterReply{len(x.out), s.deferred})
			s.deferred = nil
		}
		x.out = append(x.out, x.bounded(reply))
	case q.script != nil || handlers[q.cmd.Handler].script:
		switch {
		case q.script == nil:
		case script.CompileError(element):
			x.later = append(x.later, laterReply{len(x.out), s.diagnosis(q.script)})
		case !script.Rejected(element):
			q.script.Take()
		}
		x.out = append(x.out, bytes.Clone(s.restoreScript(q.script, element)))
	default:
		x.out = append(x.out, bytes.Clone(s.restore(q.cmd, element)))
	}
}

// bounded counts an answer of the proxy's own, and puts an error in place of
// those that are too much.
func (x *execution) bounded(reply []byte) []byte {
	if x.own += len(reply); x.own > maxKept {
		return errTooMuch
	}
	return reply
}

var errTooMuch = resp.AppendError(nil, errOversized.Error())

var errShortExec = errors.New("EXEC has not as many replies as commands were queued")
