package proxy

import (
	"errors"
	"log/slog"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/quota"
	"riptide-proxy/resp"
	"riptide-proxy/script"
	"riptide-proxy/upstream"
)

// What a session is in the middle of. While none of it holds, its commands take
// the short way, see handle.
const (
	modePinned     uint16 = 1 << iota // it has an upstream connection of its own
	modeTx                            // between MULTI and EXEC
	modeSubscriber                    // subscribed in RESP2, where little else is allowed
	modeAwait                         // the next command waits until all before are answered
	modeScripts                       // what is unanswered rides the connection for scripts
	modeHub                           // what is unanswered rides the hub
	modeValues                        // the tenant's values may be sealed
)

// A slot's note, where its reply is more than a reply.
const (
	noteNone    uint8 = iota
	noteBlocks        // the command may wait for long
	noteDrop          // the client did not ask for it
	noteReset         // so is RESET, which ends subscriptions
	noteConfirm       // one of several confirmations
	noteLast          // the last one of them
	noteMulti         // begins a transaction
	noteExec          // ends one, with a reply for each of its commands
	noteAborted       // DISCARD in place of an EXEC that the proxy knows must fail
	noteLogin         // an AUTH around a script
	noteScript        // the reply is a script's
	noteStand         // a PING that stands for an answer of the proxy's
	noteQuiet         // a confirmation that the client did not ask for
	noteGuard         // a script has tried the command
	noteTalk          // the reply is for a plan
	noteStale         // DISCARD in place of an EXEC whose WATCH was lost
)

const errNoPin = "UNAVAILABLE no connection to the upstream is free for this command, try again"

// pinned gets the session an upstream connection of its own. It returns false
// when that has to wait until all before is answered, and with answered when there is
// no connection and the command has its answer.
func (s *session) pinned() (ok, answered bool) {
	if s.pin != nil {
		return true, false
	}
	if s.head != s.tail {
		return false, false
	}
	if s.link.Down() {
		s.answerError(errUnavailable)
		return true, true
	}
	if ok, answered := s.reserve(quota.Pinned, 1, true); !ok || answered {
		return ok, answered
	}
	if !s.takePin() {
		s.answerError(errNoPin)
		return true, true
	}
	s.mode |= modePinned
	return true, false
}

// unpin gives the connection back when nothing of the session's is on it.
func (s *session) unpin() {
	if s.pin == nil || s.pin.Flight() > 0 || s.planning > 0 || s.tx != nil || s.watching || s.subs != nil && !s.onHub || s.tracking || s.redirected {
		return
	}
	s.w.pins.Give(s.pin)
	s.pinDown()
	s.mode &^= modePinned
	if s.held {
		s.tryResume()
	}
}

// drop ends all that is on the connection, which is closed. One that another
// client's messages go to is kept, as clean as it was in the beginning: that client is not to
// notice.
func (s *session) drop() {
	pin := s.pin
	keep := s.redirected && pin != nil && !s.gone
	if pin != nil && !keep {
		pin.Close()
	}
	s.forget()
	if keep {
		b, replies := s.w.srv.target.AppendReset(pin.Begin(256))
		for range replies {
			t := s.unasked(resetRow)
			t.note = noteReset
			pin.End(b, t)
			b = nil
		}
		pin.Speaks(2)
		s.redirected = true
		s.pinUp(pin)
		s.mode |= modePinned
	}
}

var resetRow = command.Lookup([]byte("reset"))

// forget is for a connection that is gone.
func (s *session) forget() {
	s.pinDown()
	s.hearing = false
	s.mode &^= modePinned | modeTx | modeSubscriber
	if s.tx != nil {
		s.tx.space.settle(false)
		s.use(s.tx.db)
	}
	s.uncharge()
	s.tx, s.sent, s.called = nil, nil, nil
	s.endPinnedCall()
	for len(s.standing) > 0 {
		s.stood()
	}
	s.watching, s.watchLost = false, false
	s.unsubscribed()
	s.tracking, s.redirected, s.redirect, s.prefixes = false, false, 0, nil
	s.unblocked(s.blocked)
}

// runPinned runs a command that needs a connection of the session's own.
func (s *session) runPinned(cmd *command.Command, r *namespace.Request) bool {
	ok, answered := true, false
	if s.counted != nil && s.tx == nil {
		ok, answered = s.reserves(cmd, r)
	}
	if ok && !answered {
		ok, answered = s.pinned()
	}
	if !ok {
		return false
	}
	if !answered {
		s.toPin(cmd, r, noteNone)
	}
	return true
}

// toPin sends a command on the session's own connection.
func (s *session) toPin(cmd *command.Command, r *namespace.Request, note uint8) {
	w := s.w
	if len(r.Raw) > w.maxBulk-maxPrefix && s.tooLong(cmd, r) {
		s.answerError(errTooLong)
		return
	}
	var verdict command.Verdict
	w.indexes, verdict = cmd.Prefixed(w.indexes[:0], r)
	prefix := s.prefixOf(cmd)
	if s.tx == nil && cmd.Has(command.Blocking) && (cmd.Run == command.Pinned || verdict&command.Blocks != 0) {
		note = noteBlocks
		s.nowBlocked()
	}
	size := len(r.Raw) + len(w.indexes)*(len(prefix)+24)
	if s.holds() {
		s.give(cmd, r.AppendAllPrefixed(s.room(size), w.indexes, prefix))
		return
	}
	if guard := s.copyGuard(); guard != nil {
		s.pin.End(guard.around(r, w.indexes, prefix), s.noted(cmd, note))
		return
	}
	s.pin.End(r.AppendAllPrefixed(s.pin.Begin(size), w.indexes, prefix), s.noted(cmd, note))
}

// noted is slot for one with a note.
func (s *session) noted(cmd *command.Command, note uint8) slot {
	t := s.slot(cmd)
	t.note = note
	return t
}

// unasked is a slot for what the client did not ask for.
func (s *session) unasked(cmd *command.Command) slot {
	return slot{s: s, cmd: cmd, at: s.w.loop.Now(), note: noteDrop}
}

// prefixOf is what a command's names get.
func (s *session) prefixOf(cmd *command.Command) []byte {
	if cmd.Channels {
		return s.who.Tenant.Root() // channels are the same in all databases
	}
	return s.prefix
}

// Answers implements upstream.PinOwner.
func (s *session) Answers(reply []byte, push bool) bool {
	t := s.pin.Oldest()
	confirms := t != nil && (t.note == noteConfirm || t.note == noteLast || t.note == noteQuiet)
	// Until the upstream has confirmed the end of subscriptions there may be
	// messages; before RESET in RESP2, even if a HELLO is on its way behind it.
	resetting := t != nil && t.note == noteReset
	if !push && !resetting && (s.pin.Proto() == 3 || s.subs == nil && !s.hearing && !confirms) {
		return true
	}
	switch messageKind(reply) {
	case isMessage:
		return false
	case isConfirmation:
		return confirms
	}
	return !push
}

// Reply implements upstream.PinOwner.
func (s *session) Reply(t *slot, reply []byte) {
	defer s.caught(t.cmd)
	w := s.w
	if s.proto == 3 && (s.subs != nil || s.tracking || s.redirected) {
		// Messages about what the command itself has done may be in the
		// middle of its reply.
		if clean, pushes, found, err := resp.Unnest(nil, reply); err != nil {
			s.conn.Close(err)
			return
		} else if found {
			reply = clean
			defer func() {
				for _, p := range pushes {
					s.Message(p)
				}
			}()
		}
	}
	if reply[0] == '-' && t.cmd.Cats&command.CatTransaction != 0 {
		s.pin.Spoil() // what it was to end may be there still
	}
	switch t.note {
	case noteLogin:
		if string(reply) != okReply {
			s.pin.Break(errScriptProtocol) // whose reply is whose is not known any more
		}
		return
	case noteBlocks:
		s.unblocked(1)
	case noteDrop, noteQuiet, noteReset, noteTalk:
	default:
		if took := s.w.answered(t, reply); took >= slowCommand {
			s.w.slowReply(t, took, nil)
		}
	}
	switch t.note {
	case noteDrop, noteQuiet, noteReset:
	case noteTalk:
		s.talk.reply(reply)
	case noteConfirm, noteLast:
		s.confirmed(t, reply)
	case noteExec:
		tx := s.sent[0]
		s.sent = s.sent[1:]
		s.executed(t.seq, t.cmd, tx, reply)
	case noteMulti:
		if reply[0] == '-' {
			s.endTx() // none has begun
		}
		s.complete(t.seq, s.restore(t.cmd, reply), false)
	case noteAborted:
		s.completeError(t.seq, errExecAbort)
	case noteStale:
		s.complete(t.seq, nullArray(s.proto), false)
	case noteStand:
		s.complete(t.seq, s.stood(), false)
	case noteScript:
		if t.vals != nil && t.vals.script != nil {
			var ok bool
			if reply, ok = s.measuredScript(t, reply); !ok {
				return
			}
		}
		if s.mode&modeValues != 0 {
			if keys, ok := script.SealedKeys(reply); ok {
				s.unsealPinned(*t, s.called[0], keys)
				break
			}
		}
		s.repliedPinned(*t, reply)
	default:
		if string(reply) == queued || t.cmd.ReplyKeys == command.NoKeys && t.cmd.Handler == command.NoHandler && reply[0] != '-' {
			s.finishReply(t, reply, len(reply) >= largeReply)
			break
		}
		if s.published != nil {
			reply = s.reached(t.seq, reply)
		}
		s.finishReply(t, s.restore(t.cmd, reply), false)
	}
	if cap(w.reply) > maxScratch {
		w.reply = nil
	}
	s.unpin()
}

// Oversized implements upstream.PinOwner.
func (s *session) Oversized(t *slot) {
	err := errOversized
	if q := s.shape; q != nil && q.reply > 0 {
		s.stats.refused++
		err = q.errReply
	}
	s.Failed(t, err)
	s.unpin()
}

// Failed implements upstream.PinOwner.
func (s *session) Failed(t *slot, err error) {
	switch t.note {
	case noteDrop, noteQuiet, noteReset, noteLogin, noteConfirm:
		return
	case noteTalk:
		s.talk.fail(err)
		return
	case noteBlocks:
		s.unblocked(1)
	case noteExec:
		s.sent[0].space.settle(!errors.Is(err, upstream.ErrUnavailable))
		s.sent = s.sent[1:]
		if errors.Is(err, upstream.ErrUnavailable) { // it was not sent any more
			err = errExecLost
		}
	case noteScript:
		if t.vals != nil && t.vals.script != nil {
			t.vals.script.space.settle(true)
		}
		s.called = s.called[1:]
		s.endPinnedCall()
	case noteStand:
		if own := s.stood(); !s.gone {
			s.complete(t.seq, own, false)
		}
		return
	}
	if t.note == noteLast {
		s.confirm = confirmation{}
	}
	if !s.gone {
		s.failed(t, err)
	}
}

// Lost implements upstream.PinOwner. What it means for a transaction the
// client is told at EXEC; subscriptions and tracking can not go on unnoticed.
func (s *session) Lost(err error) {
	slog.Warn("a client's own connection to the upstream is lost", "client", s.peer(), "tenant", s.tenantID(), "error", err)
	s.pinDown()
	s.mode &^= modePinned
	s.unblocked(s.blocked)
	if s.tx != nil {
		s.tx.lost = true
	}
	s.watchLost = s.watchLost || s.watching
	if s.gone {
		return
	}
	s.hearing = false
	if s.subs != nil && !s.onHub || s.tracking || s.redirected {
		s.unsubscribed()
		s.tracking, s.redirected, s.redirect = false, false, 0
		s.mode &^= modeSubscriber
		s.finish()
		return
	}
	if s.held {
		s.tryResume()
	}
}

// silent reports whether the upstream owes a reply for too long.
func (s *session) silent(limit time.Duration) bool {
	return s.pin != nil && s.pin.Flight() > 0 && s.blocked == 0 && s.pin.Quiet() > limit
}

var errPinSilent = errors.New("no reply for too long")

var _ upstream.PinOwner[slot] = (*session)(nil)
