package proxy

import (
	"context"
	"time"

	"riptide-proxy/netloop"
)

// listen makes the listener for clients.
func listen(address string, o Options) (*netloop.Listener, error) {
	if o.Listen == nil {
		return netloop.Listen(address)
	}
	ln, err := o.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return netloop.TakeOver(ln)
}

const (
	// seenOff is for how long a client has to be idle before its connection is closed while
	// another process accepts connections. So its next command is hardly on its way already.
	seenOff = time.Second
	// seeOffShare is the part of a loop's connections that may be closed in one second, so that they do not all
	// come back at once.
	seeOffShare = 8
)

// Retire leaves new clients to another process that has the same listeners, and serves those that are there until
// they go; idle ones are closed, a few at a time. It returns when there are none, or when ctx ends. Shutdown has to be
// called after it.
func (s *Server) Retire(ctx context.Context) {
	s.stopping.Store(true)
	s.workers[0].loop.Post(func() { s.listener.Close() })
	for _, w := range s.workers {
		w.loop.Post(func() { w.leavers = len(w.sessions)/seeOffShare + 1 })
	}
	s.drained(ctx)
}

// seeOff closes idle sessions, if there is another process for them. It runs once a second.
func (w *worker) seeOff() {
	left := w.leavers
	for _, s := range w.sessions {
		if left == 0 {
			return
		}
		if s.idle(w.loop.Now()) {
			s.finish()
			left--
		}
	}
}

// idle reports whether a session has nothing under way, and its client has been silent for a while.
func (s *session) idle(now int64) bool {
	return s.head == s.tail && s.tx == nil && !s.watching && s.slow == 0 && !s.leaving &&
		s.conn.Unsent() == 0 && s.conn.Unread() == 0 && time.Duration(now-s.conn.LastInput()) >= seenOff
}

// timeToDrain leaves some of the time for shutting down to what has to be done after the clients are gone.
func (s *Server) timeToDrain(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, bounded := ctx.Deadline()
	if !bounded {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(lastReport, max(0, time.Until(deadline))/5)))
}
