package proxy

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/upstream"
)

// slowFunc does a command that takes several round trips, in a goroutine of
// its own, and returns the reply.
type slowFunc func(ctx context.Context, op *slowOp) []byte

// slowOp is what a slow operation knows of its session, as it was when the
// command came.
type slowOp struct {
	srv    *Server
	client *redis.Client
	tenant *namespace.Tenant
	prefix []byte // of the session's database
	proto  int
	args   [][]byte      // with the command's name
	rest   time.Duration // pause before the next step
}

// runSlow starts a slow operation. The session waits for it and nobody else.
func (s *session) runSlow(cmd *command.Command, r *namespace.Request, f slowFunc) {
	if s.link.Down() {
		s.unavailable(cmd)
		return
	}
	op := &slowOp{srv: s.w.srv, client: s.w.srv.client, tenant: s.who.Tenant, prefix: s.prefix, proto: s.proto}
	for i := range r.Args {
		op.args = append(op.args, bytes.Clone(r.At(i)))
	}
	turns, began := s.own().turns, s.w.loop.Now()
	s.async(func(ctx context.Context) func() {
		var reply []byte
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
			reply = f(ctx, op)
		case <-ctx.Done():
		}
		return func() {
			if len(reply) == 0 {
				s.unavailable(cmd)
				return
			}
			if reply[0] == '-' {
				s.stats.countError(reply)
				if away(reply) {
					s.unrun(cmd)
				}
				s.stats.row(cmd).failed++
			}
			if m := s.stats.space; m != nil && cmd.Has(command.Write) {
				m.unsure, m.pressed = true, true // nobody has measured what it deleted
				m.ask()
			}
			took := time.Duration(s.w.loop.Now() - began)
			s.stats.countFound(cmd, reply)
			s.trace(cmd, reply, took)
			s.slowDone(cmd, op.args, took)
			s.answer(reply)
		}
	})
}

// async runs work in a goroutine and then, on the loop, what it returns. The
// session takes no command meanwhile. There can be several: two EXEC in flight may each
// have something to ask. ctx ends when the
// client's connection is reset, or closed by the proxy; a client that only
// stops sending may still want the answer.
func (s *session) async(work func(ctx context.Context) (done func())) {
	if s.capturing { // in a transaction: once all of it has run
		s.deferred = work
		return
	}
	w := s.w
	ctx, cancel := context.WithCancel(w.srv.ctx)
	before := s.cancel
	s.cancel = func() {
		cancel()
		if before != nil {
			before()
		}
	}
	s.slow++
	s.tail++ // so that the session is not taken for idle
	w.srv.slow.Add(1)
	go func() {
		defer w.srv.slow.Done()
		done := guarded(ctx, work, func() { s.answerError(errInternalText) })
		w.loop.Post(func() {
			cancel()
			if s.slow--; s.slow == 0 {
				s.cancel = nil
			}
			s.tail--
			if s.gone {
				return
			}
			defer func() {
				if p := recover(); p != nil {
					slog.Error("panic after a slow operation", "panic", p, "stack", string(debug.Stack()))
					s.conn.Close(errInternal) // what it was to answer, nobody will
				}
			}()
			done()
			s.tryResume()
			if s.leaving && s.head == s.tail {
				s.conn.CloseAfterWrite() // there was nothing to answer
			}
		})
	}()
}

// guarded keeps a panic to the operation that had it: failed comes in place of what it
// would have returned.
func guarded(ctx context.Context, work func(context.Context) func(), failed func()) (done func()) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic in a slow operation", "panic", p, "stack", string(debug.Stack()))
			done = failed
		}
	}()
	return work(ctx)
}

const errInternalText = "ERR internal error"

// asyncFor is async for a command that has its slot already. It is for those that do not
// wait until all before is answered: replies to what was before may take time of their own.
func (s *session) asyncFor(seq uint32, work func(ctx context.Context) (done func())) {
	s.async(func(ctx context.Context) func() {
		return guarded(ctx, work, func() { s.completeError(seq, errInternalText) })
	})
}

// failure is the reply for an error of go-redis. wrote says that something may
// have been changed already.
func failure(err error, wrote bool) []byte {
	var e redis.Error
	switch {
	case err == errOversized:
		return resp.AppendError(nil, err.Error())
	case errors.As(err, &e):
		return resp.AppendError(nil, e.Error())
	case wrote:
		return resp.AppendError(nil, upstream.ErrUnknown.Error())
	}
	return resp.AppendError(nil, errUnavailable)
}
