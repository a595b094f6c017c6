package proxy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
)

// MONITOR shows a tenant's own commands. While somebody watches, all loops mark
// the tenant's sessions, which takes them off the fast path; their commands are
// written down and at the end of the turn handed to the loops that have
// monitors. Tenants that nobody watches pay nothing.

// watchers are who watch a tenant, as one loop knows it.
type watchers struct {
	loops []int      // monitors, by loop
	here  []*session // those on this loop that have been told OK
	lines []byte     // written in this turn
}

// As much as a line shows of a command, so that one that is hundreds of
// megabytes long does not hold up a loop that others share.
const (
	shownArgs    = 1024
	shownArgSize = 16 << 10
	shownSize    = 64 << 10 // about, of the line
)

const errMonitorKeys = "ERR Replica can't interact with the keyspace"

// monitor is MONITOR.
func monitor(s *session, _ *command.Command, _ *namespace.Request) {
	if s.mode&modeMonitor != 0 {
		return // Redis says nothing either
	}
	s.mode |= modeMonitor
	ready := s.tellWatchers(1)
	s.async(func(ctx context.Context) func() {
		for range s.w.srv.workers {
			select {
			case <-ready:
			case <-ctx.Done():
				return func() {}
			}
		}
		return func() {
			s.stats.watch.here = append(s.stats.watch.here, s)
			s.answer(ok)
		}
	})
}

// stopMonitor ends MONITOR, if the session is in it.
func (s *session) stopMonitor() {
	if s.mode&modeMonitor == 0 {
		return
	}
	s.mode &^= modeMonitor
	here := s.stats.watch.here
	if i := slices.Index(here, s); i >= 0 {
		s.stats.watch.here = slices.Delete(here, i, i+1)
	}
	s.tellWatchers(-1)
}

// tellWatchers tells every loop that this one has another monitor of the
// tenant, or one less. What comes back tells of each that has heard it.
func (s *session) tellWatchers(change int) <-chan struct{} {
	from, id := s.w.index, s.who.Tenant.ID
	heard := make(chan struct{}, len(s.w.srv.workers))
	for _, w := range s.w.srv.workers {
		w.loop.Post(func() {
			t := w.tenantStats(id)
			if t.watch.loops == nil {
				t.watch.loops = make([]int, len(w.srv.workers))
			}
			t.watch.loops[from] += change
			t.setMode(modeMonitored, slices.ContainsFunc(t.watch.loops, func(n int) bool { return n > 0 }))
			heard <- struct{}{}
		})
	}
	return heard
}

// show writes a command down for the tenant's monitors. Like Redis it leaves
// out what is for operators.
func (s *session) show(cmd *command.Command, r *namespace.Request) {
	if cmd.Has(command.Admin) {
		return
	}
	w, k := s.w, &s.stats.watch
	if len(k.lines) == 0 {
		w.fed = append(w.fed, s.stats)
	}
	now, from := time.Now(), len(k.lines)
	k.lines = fmt.Appendf(k.lines, "+%d.%06d [%d %s]", now.Unix(), now.Nanosecond()/1000, s.db, s.peer())
	secrets := handlers[cmd.Handler].secrets
	i := 0
	for ; i < min(len(r.Args), shownArgs) && len(k.lines)-from < shownSize; i++ {
		k.lines = append(k.lines, ' ')
		if secrets != nil && secrets(r, i) {
			k.lines = append(k.lines, `"(redacted)"`...)
			continue
		}
		arg := r.At(i)
		k.lines = appendQuoted(k.lines, arg[:min(len(arg), shownArgSize)])
		if rest := len(arg) - shownArgSize; rest > 0 {
			k.lines = fmt.Appendf(k.lines, "... (%d more bytes)", rest)
		}
	}
	if rest := len(r.Args) - i; rest > 0 {
		k.lines = fmt.Appendf(k.lines, " ... (%d more arguments)", rest)
	}
	k.lines = append(k.lines, "\r\n"...)
}

// appendQuoted writes a string as Redis does in MONITOR.
func appendQuoted(b, arg []byte) []byte {
	b = append(b, '"')
	for _, c := range arg {
		switch i := strings.IndexByte("\n\r\t\a\b", c); {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case i >= 0:
			b = append(b, '\\', "nrtab"[i])
		case c < ' ' || c > '~':
			b = append(b, '\\', 'x', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// feedMonitors hands on what was written down in this turn.
func (w *worker) feedMonitors() {
	for i, t := range w.fed {
		w.fed[i] = nil
		lines := t.watch.lines
		t.watch.lines = nil
		for loop, n := range t.watch.loops {
			switch to := w.srv.workers[loop]; {
			case n == 0:
			case to == w:
				t.deliver(lines)
			default:
				to.loop.Post(func() { to.tenantStats(t.id).deliver(lines) })
			}
		}
	}
	w.fed = w.fed[:0]
}

// deliver gives lines to the monitors of this loop. One that does not read them
// is closed.
func (t *tenantStats) deliver(lines []byte) {
	for _, s := range t.watch.here {
		if s.conn.IsClosed() {
			continue
		}
		if unread := s.conn.Unsent(); unread > s.w.output && (unread > hardOutput*s.w.output || s.stuck()) {
			s.giveUp()
			continue
		}
		s.wrote(len(lines))
		s.conn.Write(lines)
	}
}

// authSecrets are those of AUTH.
func authSecrets(_ command.Args, i int) bool { return i > 0 }

// helloSecrets are those of HELLO: what follows AUTH, also where the version is forgotten.
func helloSecrets(args command.Args, i int) bool {
	return i > 1 && fold(args.At(i-1), "AUTH") || i > 2 && fold(args.At(i-2), "AUTH")
}
