package proxy

import (
	"context"
	"math"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/netloop"
	"riptide-proxy/resp"
)

// pause is a tenant's CLIENT PAUSE on one loop. Sessions that meet it are held
// with their command, like those that wait until all before is answered.
type pause struct {
	until int64 // loop's clock
	all   bool  // all commands, and not only those that may write
	timer *netloop.Timer
}

// holds reports whether a command has to wait. The one that ends the pause
// need not, or it could only wait for the end itself.
func (p *pause) holds(cmd *command.Command) bool {
	return (p.all || mayWrite(cmd)) && cmd.Handler != command.HandleClientUnpause
}

// mayWrite reports whether a command may change something that others see:
// keys, or by a script or a message.
func mayWrite(cmd *command.Command) bool {
	return cmd.Has(command.Write) ||
		cmd.Cats&command.CatScripting != 0 && cmd.Has(command.MovableKeys) && !cmd.Has(command.ReadOnly) ||
		cmd.Has(command.PubSub|command.Fast)
}

// touchesKeys reports whether a command has to do with the keyspace at all.
func touchesKeys(cmd *command.Command) bool {
	return cmd.Has(command.ReadOnly) || mayWrite(cmd)
}

// clientPause is CLIENT PAUSE timeout [WRITE | ALL].
func clientPause(s *session, cmd *command.Command, r *namespace.Request) {
	all := true
	switch {
	case len(r.Args) > 4:
		s.answerError(wrongSubcommand(cmd, r))
		return
	case len(r.Args) == 4 && fold(r.At(3), "WRITE"):
		all = false
	case len(r.Args) == 4 && !fold(r.At(3), "ALL"):
		s.answerError("ERR CLIENT PAUSE mode must be WRITE or ALL")
		return
	}
	ms, isInt := resp.ParseInt(r.At(2))
	switch {
	case !isInt:
		s.answerError("ERR timeout is not an integer or out of range")
		return
	case ms < 0:
		s.answerError("ERR timeout is negative")
		return
	}
	d := time.Duration(min(ms, math.MaxInt64/4/int64(time.Millisecond))) * time.Millisecond
	s.onAll(func(w *worker, t *tenantStats) { w.pause(t, d, all) })
}

// clientUnpause is CLIENT UNPAUSE.
func clientUnpause(s *session, _ *command.Command, _ *namespace.Request) {
	s.onAll(func(w *worker, t *tenantStats) { w.unpause(t) })
}

// onAll does something on every loop and then answers OK.
func (s *session) onAll(f func(w *worker, t *tenantStats)) {
	survey(s, func(w *worker, t *tenantStats) struct{} {
		f(w, t)
		return struct{}{}
	}, func([]struct{}) []byte { return ok })
}

// pause begins a pause, or makes the one there is longer and stricter.
func (w *worker) pause(t *tenantStats, d time.Duration, all bool) {
	p := &t.tenantView.pause
	if t.mode&modePaused == 0 {
		*p = pause{}
	}
	p.all = p.all || all
	p.until = max(p.until, w.loop.Now()+int64(d))
	w.loop.Stop(p.timer)
	p.timer = w.loop.After(time.Duration(p.until-w.loop.Now()), func() { w.unpause(t) })
	t.setMode(modePaused, true)
}

func (w *worker) unpause(t *tenantStats) {
	if t.mode&modePaused == 0 {
		return
	}
	w.loop.Stop(t.tenantView.pause.timer)
	t.tenantView.pause = pause{}
	t.setMode(modePaused, false)
	for s := t.first; s != nil; s = s.next {
		s.tryResume()
	}
}

// eachClient runs f for every session of a tenant, on its loop, a few at a time
// so that no loop is kept from its work.
func eachClient(ctx context.Context, srv *Server, id string, f func(s *session)) error {
	lists, err := everywhere(ctx, srv, func(w *worker) (list []*session) {
		for s := w.tenantStats(id).first; s != nil; s = s.next {
			list = append(list, s)
		}
		return list
	})
	for i := range lists {
		w := srv.workers[i]
		for list := lists[i]; len(list) > 0 && err == nil; {
			some := list[:min(len(list), clientsAtOnce)]
			list = list[len(some):]
			err = w.do(ctx, func() {
				for _, s := range some {
					if !s.gone && s.tenantID() == id {
						f(s)
					}
				}
			})
		}
	}
	return err
}

const clientsAtOnce = 256

// do runs f on the loop and waits for it.
func (w *worker) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	if !w.loop.Post(func() { defer close(done); f() }) {
		return netloop.ErrStopped
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
