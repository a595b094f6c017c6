package proxy

import (
	"bytes"
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
	lost    bool // the upstream connection broke
	held    int  // bytes that queue takes
	space   txSpace
	scripts map[string]struct{} // by their SHA

	// holds: nothing is sent before EXEC. front and back are how many replies of EXEC are to
	// commands of the proxy's own.
	holds       bool
	waiting     []*heldCommand
	heldBytes   int
	front, back int
	caching     string // what CLIENT CACHING has said of it
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
	full          bool           // it runs as the user that writes nothing
	measured      bool           // what the server takes is asked before and after it
	vals          *valueNote     // for opening the values in the reply
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
	errNotInTx   = "ERR Command not allowed inside a transaction"
)

var errExecLost = errors.New("UNKNOWN connection to the upstream was lost, the transaction was discarded")

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
			s.unavailable(cmd)
			return
		}
		if s.tx.holds {
			s.answerError("ERR MULTI calls can not be nested")
			return
		}
		s.toPin(cmd, r, noteNone) // which has an error for it
		return
	}
	s.tx = &transaction{db: s.db, holds: s.mode&modeValues != 0, caching: s.caching}
	s.mode |= modeTx
	if s.tx.holds {
		s.answer(ok)
		return
	}
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
	tx, watching := s.endTx(), s.watching
	tx.space.settle(false)
	s.watching = false
	s.endHeld(tx, watching)
	if !tx.lost && !tx.holds {
		s.pin.End(resp.AppendRequest(s.pin.Begin(32), "DISCARD"), s.unasked(discardRow))
	}
	s.watchLost = false
}

// endHeld ends a transaction of which the upstream knows at most what is watched.
func (s *session) endHeld(tx *transaction, watching bool) {
	if tx.holds && watching && s.pin != nil {
		s.pin.End(resp.AppendRequest(s.pin.Begin(32), "UNWATCH"), s.unasked(unwatchRow))
	}
}

var unwatchRow = command.Lookup([]byte("unwatch"))

var discardRow = command.Lookup([]byte("discard"))

// discard is DISCARD.
func discard(s *session, cmd *command.Command, r *namespace.Request) {
	tx := s.endTx()
	if tx != nil {
		tx.space.settle(false)
	}
	switch {
	case tx == nil:
		s.answerError("ERR DISCARD without MULTI")
		return
	case tx.lost:
		s.answer(ok)
	case tx.holds:
		s.endHeld(tx, s.watching)
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
	stale, watching := s.watchLost, s.watching
	s.watching, s.watchLost = false, false
	note := noteExec
	if tx.lost || tx.aborted || stale {
		tx.space.settle(false)
	} else {
		s.charged(&tx.space)
	}
	switch {
	case tx.lost:
		s.answerError(errExecLost.Error())
		return
	case tx.holds && tx.aborted:
		s.endHeld(tx, watching)
		s.answerError(errExecAbort)
		return
	case tx.holds && stale:
		s.endHeld(tx, watching)
		s.answer(nullArray(s.proto))
		return
	case tx.holds:
		s.execHeld(cmd, tx, watching)
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
	if s.tx != nil && (s.tx.lost || s.tx.holds) {
		s.answerError("ERR WATCH inside MULTI is not allowed")
		return
	}
	flight := s.pin.Flight()
	s.toPin(cmd, r, noteNone)
	s.watching = s.watching || s.pin.Flight() > flight // it may be too long
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
		s.unavailable(cmd)
	case !usable(cmd):
		s.reject(cmd, refusal(cmd))
	case cmd.Has(command.NoMulti):
		s.reject(cmd, errNotInTx)
	case tx.held+len(r.Raw) > maxHeld && (tx.held > maxHeld || cmd.Run == command.Local || cmd.Run == command.Slow):
		s.reject(cmd, "ERR the transaction is too long")
	case tx.heldBytes+len(r.Raw) > s.w.limits.Request:
		s.reject(cmd, "ERR the transaction is too long")
	case h.tx != nil:
		h.tx(s, cmd, r)
	case h.alone || cmd.Run == command.Pinned && h.run != nil:
		s.reject(cmd, "NOPERM '"+cmd.Name+"' is not available inside a transaction")
	case cmd.Run == command.Local || cmd.Run == command.Slow:
		s.stand(queuedCommand{cmd: cmd, raw: bytes.Clone(r.Raw), args: append([]resp.Arg(nil), r.Args...)})
	case h.run != nil:
		flight := s.given()
		reply := s.capture(func() { h.run(s, cmd, r) })
		if s.given() == flight {
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
	given := s.given()
	s.toPin(cmd, r, noteNone)
	if s.given() == given { // it was refused
		s.tx.aborted = true
		return
	}
	s.tx.add(s.queuedCommand(cmd, r))
}

// queuedCommand is a command that the upstream queues as it is.
func (s *session) queuedCommand(cmd *command.Command, r *namespace.Request) queuedCommand {
	q := queuedCommand{cmd: cmd}
	if s.mode&modeValues != 0 {
		q.vals = s.noteOf(cmd, r, s.w.indexes)
	}
	return q
}

// stand has a PING stand for a command that the proxy answers.
func (s *session) stand(q queuedCommand) {
	s.tx.add(q)
	s.give(q.cmd, resp.AppendRequest(s.room(32), "PING"))
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
