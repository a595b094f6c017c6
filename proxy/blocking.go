package proxy

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

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
			b := w.client(tenant, id)
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

// waiter is a session that waits for long, and how many commands it had sent with the one that waits.
type waiter struct {
	s  *session
	at uint32
}

// stays reports whether it waits still: until then a session sends nothing more.
func (b waiter) stays() bool { return b.s.blocked > 0 && b.s.tail == b.at }

// release has the upstream end what sessions wait for, as if their time were over. Just closing their
// connections could lose an element that is on its way.
func (w *worker) release(blocked []waiter) {
	if len(blocked) == 0 {
		return
	}
	ids := make([]int64, len(blocked))
	for i, b := range blocked {
		b.s.pin.Spoil() // as with CLIENT UNBLOCK
		ids[i] = b.s.pin.ID()
	}
	w.srv.slow.Add(1)
	go func() {
		defer w.srv.slow.Done()
		ctx := w.srv.ctx
		_, err := w.srv.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, id := range ids {
				p.Do(ctx, "CLIENT", "UNBLOCK", id)
			}
			return nil
		})
		w.loop.Post(func() {
			if err == nil {
				// What has reached the upstream only now waits there still.
				w.loop.After(releaseAgain, func() {
					w.release(slices.DeleteFunc(blocked, func(b waiter) bool { return !b.stays() }))
				})
				return
			}
			for _, b := range blocked {
				if b.stays() {
					b.s.conn.Close(nil)
				}
			}
		})
	}()
}

const releaseAgain = 100 * time.Millisecond

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
