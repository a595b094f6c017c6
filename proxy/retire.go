package proxy

import (
	"context"
	"net"
	"time"

	"riptide-proxy/netloop"
)

// listen makes the listener for clients.
func listen(o Options, network, address string, create func() (net.Listener, error)) (*netloop.Listener, error) {
	if o.Listen != nil {
		make := create
		create = func() (net.Listener, error) { return o.Listen(network, address, make) }
	}
	ln, err := create()
	if err != nil {
		return nil, err
	}
	return netloop.TakeOver(ln)
}

func listenTCP(o Options, address string) (*netloop.Listener, error) {
	return listen(o, "tcp", address, func() (net.Listener, error) { return net.Listen("tcp", address) })
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
	s.workers[0].loop.Post(func() { s.doors.leave() })
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
