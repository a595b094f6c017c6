package proxy

import (
	"context"
	"strconv"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

// wait is WAIT numreplicas timeout and WAITAOF numlocal numreplicas timeout.
// The upstream waits for what it was sent on the same connection, but the
// session's writes rode others. A message to nobody is replicated like a write,
// and stands behind all of them.
func wait(s *session, cmd *command.Command, r *namespace.Request) {
	s.pin.End(resp.AppendRequest(s.pin.Begin(64), "PUBLISH", "riptide:wait", ""), s.unasked(cmd))
	s.toPin(cmd, r, noteNone)
}

// clientUnblock is CLIENT UNBLOCK client-id [TIMEOUT | ERROR], for the tenant's
// own clients on all loops.
func clientUnblock(s *session, _ *command.Command, r *namespace.Request) {
	reason := "TIMEOUT"
	switch {
	case r.Len() > 4:
		s.answerError("ERR wrong number of arguments for 'client|unblock' command")
		return
	case r.Len() == 4 && fold(r.At(3), "ERROR"):
		reason = "ERROR"
	case r.Len() == 4 && !fold(r.At(3), "TIMEOUT"):
		s.answerError("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
		return
	}
	id, isInt := resp.ParseInt(r.At(2))
	if !isInt {
		s.answerError(errNotInteger.Error())
		return
	}
	tenant := s.who.Tenant
	s.async(func(ctx context.Context) func() {
		var up int64
		err := s.w.srv.each(ctx, func(w *worker) {
			b := w.tenantStats(tenant.ID).client(id)
			if b != nil && b.blocked > 0 && b.pin != nil {
				// It may be unblocked by itself meanwhile: nobody else must
				// have the connection then.
				b.pin.Spoil()
				up = b.pin.ID()
			}
		})
		reply := []byte(":0\r\n")
		if err == nil && up != 0 {
			n, e := s.w.srv.client.Do(ctx, "CLIENT", "UNBLOCK", strconv.FormatInt(up, 10), reason).Int64()
			if reply = resp.AppendInt(nil, n); e != nil {
				reply = failure(e, false)
			}
		}
		return func() {
			if err != nil {
				s.answerError(errUnavailable)
				return
			}
			s.answer(reply)
		}
	})
}

// What of CLIENT REPLY is in force.
const (
	muteNone uint8 = iota
	muteNext       // the next command is not answered
	muteAll
)

// clientReply is CLIENT REPLY ON | OFF | SKIP.
func clientReply(s *session, _ *command.Command, r *namespace.Request) {
	switch mode := r.At(2); {
	case fold(mode, "ON"):
		s.mute = muteNone
		s.answer(ok)
	case fold(mode, "OFF"):
		s.mute = muteAll
	case fold(mode, "SKIP"):
		if s.mute == muteNone {
			s.mute = muteNext
		}
	default:
		s.answerError("ERR syntax error")
	}
}
