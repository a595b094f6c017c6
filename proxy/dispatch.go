package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/upstream"
)

var (
	errSlowReader  = errors.New("the client does not read its replies")
	errUnavailable = upstream.ErrUnavailable.Error()
)

// handle runs one request. It returns false when that has to wait until
// everything before is answered.
func (s *session) handle(r *namespace.Request) bool {
	if s.mode != 0 && s.blocked > 0 {
		return false // what is behind a command that waits, waits with it
	}
	cmd := command.Lookup(r.At(0))
	if cmd != nil && cmd.Subs != nil && len(r.Args) > 1 {
		container := cmd
		if cmd = container.Sub(r.At(1)); cmd == nil {
			if !s.w.knows(container) {
				s.reject(nil, unknown(r))
			} else {
				s.reject(nil, unknownSub(container, r.At(1)))
			}
			return true
		}
	}
	switch {
	case cmd == nil:
		s.reject(nil, unknown(r))
		return true
	case !s.w.knows(cmd):
		if cmd.Parent != nil && s.w.knows(cmd.Parent) {
			s.reject(nil, unknownSub(cmd.Parent, r.At(1)))
		} else {
			s.reject(nil, unknown(r))
		}
		return true
	case !cmd.AcceptsArity(len(r.Args)):
		s.reject(cmd, "ERR wrong number of arguments for '"+cmd.Name+"' command")
		return true
	case s.who == nil && !cmd.Has(command.NoAuth):
		s.reject(cmd, "NOAUTH Authentication required.")
		return true
	}
	if a := s.w.audit; a != nil && cmd.Audit <= a.level {
		return a.handle(s, cmd, r)
	}
	return s.run(cmd, r)
}

// run runs a command that the client may send, as handle.
func (s *session) run(cmd *command.Command, r *namespace.Request) bool {
	if s.rules != nil && s.denied(cmd, r) {
		return true
	}
	if s.shape != nil && s.misshapen(cmd, r) {
		return true
	}
	if m := s.stats.space; m != nil {
		if run, refused := m.admit(s, cmd, r); !run || refused {
			return refused
		}
	}
	if s.mode == 0 && cmd.Run == command.Shared && cmd.Handler == command.NoHandler && !cmd.Later {
		if s.forward(cmd, r) || s.runPinned(cmd, r) {
			s.count(cmd)
			s.last = uint16(cmd.ID)
			s.sampleKeys(cmd, r)
			return true
		}
		return false
	}
	return s.special(cmd, r)
}

// special runs what is not simply passed on, and everything while the session
// is in the middle of something.
func (s *session) special(cmd *command.Command, r *namespace.Request) bool {
	if s.mode&modeAwait != 0 {
		if s.head != s.tail {
			return false
		}
		s.mode &^= modeAwait
	}
	if s.mode&modePaused != 0 && (s.stats.pause.holds(cmd) || s.tx != nil && cmd.Handler == command.HandleExec) {
		return false // EXEC, since what was queued before the pause may write
	}
	if s.mode&modeMonitor != 0 && touchesKeys(cmd) {
		s.reject(cmd, errMonitorKeys)
		return true
	}
	h := &handlers[cmd.Handler]
	var (
		stats    *tenantStats
		failures uint64
		inside   bool
		guards   bool
	)
	if !h.script && s.mode&modeScripts != 0 {
		if s.head != s.tail {
			return false
		}
		s.mode &^= modeScripts
	}
	if s.mode&modeHub != 0 && !h.publishes {
		if s.head != s.tail {
			return false
		}
		s.mode &^= modeHub
	}
	if h.script && s.mode&(modeValues|modeTx) == modeValues {
		if s.head != s.tail {
			return false
		}
		s.mode |= modeAwait // should it come upon sealed values, it runs again
	}
	measured := h.script && s.measuresScript()
	if h.script && (s.mode&modeTx != 0 || s.pinsScripts() || measured) && !s.scriptsReady() {
		return false
	}
	if cmd.Handler == command.HandleEval && !s.wraps(r) {
		return false
	}
	if s.counted != nil && s.tx == nil {
		if ok, answered := s.reserves(cmd, r); !ok || answered {
			return ok
		}
	}
	switch {
	case s.mode&modeTx != 0 && cmd.Handler == command.HandleSelect && s.head != s.tail:
		return false // replies to come name keys of the database that there is now
	case s.mode&modeTx != 0 && !cmd.AtOnce:
		s.count(cmd)
		s.last = uint16(cmd.ID)
		n := len(s.tx.queue)
		s.sampleKeys(cmd, r)
		s.enqueue(cmd, r)
		if s.holds() && len(s.tx.queue) > n {
			s.answer([]byte(queued))
		}
		if s.mode&modeMonitored != 0 {
			s.show(cmd, r)
		}
		return true
	case !usable(cmd):
		s.count(cmd)
		s.reject(cmd, refusal(cmd))
		return true
	case s.mode&modeSubscriber != 0 && !cmd.Subscriber:
		s.reject(cmd, errNotSubscriber(cmd))
		return true
	case s.head != s.tail && (h.idle || h.script && s.mode&modeScripts == 0 || h.wait != nil && h.wait(s, r) ||
		h.publishes && s.mode&modeHub == 0 && s.publishesOnHub()):
		return false
	case s.mode&modeValues != 0 && s.stats.values.inside(cmd, r):
		if guards = s.mayGuard(cmd, r); guards {
			break
		}
		if s.head != s.tail {
			return false
		}
		inside = true
	case cmd.Run == command.Pinned && !(h.unpinned && s.pin == nil), measured:
		if ok, answered := s.pinned(); !ok || answered {
			return ok
		}
	}
	stats, failures = s.stats, s.stats.failures // as they are now: AUTH changes them
	s.last = uint16(cmd.ID)
	switch {
	case guards:
		s.guard(cmd, r)
	case inside:
		s.runInside(cmd, r)
	case h.slow != nil:
		s.runSlow(cmd, r, h.slow)
	case h.run != nil:
		h.run(s, cmd, r)
	case s.mode&modeValues != 0 && carries(cmd):
		if !s.sendValues(cmd, r, noteNone) {
			if ok, answered := s.pinned(); !ok {
				return false
			} else if !answered {
				s.sendValues(cmd, r, noteNone)
			}
		}
	case s.pin != nil:
		s.toPin(cmd, r, noteNone)
	case !s.forward(cmd, r) && !s.runPinned(cmd, r):
		return false
	}
	s.sampleKeys(cmd, r)
	if s.caching != "" && (cmd.Parent == nil || cmd.Parent.Name != "client") {
		s.caching = ""
	}
	if stats == s.stats {
		s.count(cmd)
	} else {
		stats.countLast(cmd)
	}
	if stats.failures != failures {
		stats.row(cmd).failed++
	}
	if s.mode&modeMonitored != 0 {
		s.show(cmd, r)
	}
	s.unpin()
	return true
}

// send sends a command on the connection that the session uses.
func (s *session) send(cmd *command.Command, r *namespace.Request) {
	if s.pin != nil || s.holds() {
		s.toPin(cmd, r, noteNone)
		return
	}
	s.forward(cmd, r)
}

// refusal says that a command is not to be had, and why.
func refusal(cmd *command.Command) string {
	switch {
	case cmd.Later:
		return "NOPERM '" + cmd.Name + "' is not supported by this proxy yet"
	case cmd.Why != "":
		return "NOPERM '" + cmd.Name + "' is not available to tenants: " + cmd.Why
	}
	return "NOPERM '" + cmd.Name + "' is not available to tenants"
}

// unknown is Redis's error for a command that does not exist, with as much of
// the arguments as fits into 128 bytes.
func unknown(r *namespace.Request) string {
	var b strings.Builder
	for i := 1; i < len(r.Args) && b.Len() < 128; i++ {
		fmt.Fprintf(&b, "'%s' ", quoted(r.At(i), 128-b.Len()))
	}
	return fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", quoted(r.At(0), 128), b.String())
}

// quoted is as much of an argument as Redis shows in an error: up to a zero
// byte, which ends a string in C, and no more than n bytes.
func quoted(arg []byte, n int) []byte {
	arg = arg[:min(len(arg), n)]
	if i := bytes.IndexByte(arg, 0); i >= 0 {
		arg = arg[:i]
	}
	return arg
}

func unknownSub(container *command.Command, sub []byte) string {
	return fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", quoted(sub, 128), strings.ToUpper(container.Name))
}

var unknownReply = []byte("-ERR unknown command ")

// largeRequest is the size from which a write's arguments are passed on
// without a copy.
const largeRequest = 8 << 10

// forward sends a command on the shared connection, with the tenant's prefix on
// whatever names a key. It returns false for one that would wait: that needs a
// connection of the session's own.
func (s *session) forward(cmd *command.Command, r *namespace.Request) bool {
	w := s.w
	k := s.link
	if k.Down() {
		s.unavailable(cmd)
		return true
	}
	if len(r.Raw) > w.maxBulk-maxPrefix && s.tooLong(cmd, r) {
		s.answerError(errTooLong)
		return true
	}
	prefix := s.prefixOf(cmd)
	large := len(r.Raw) >= largeRequest && cmd.Has(command.Write) && w.direct
	measure := s.measuring()
	if cmd.Shape.Kind == command.ShapeOne && !large && !measure && len(r.Args) > int(cmd.Shape.First) {
		b := k.Begin(len(r.Raw) + len(prefix) + 24)
		k.End(r.AppendPrefixed(b, int(cmd.Shape.First), prefix), s.slot(cmd))
		return true
	}
	var verdict command.Verdict
	w.indexes, verdict = cmd.Prefixed(w.indexes[:0], r)
	if verdict&command.Blocks != 0 {
		return false
	}
	if measure && s.forwardMeasured(cmd, r, prefix, large) {
		return true
	}
	if large {
		w.parts, w.scratch = r.Parts(w.parts[:0], w.scratch, w.indexes, prefix)
		k.EndLarge(s.slot(cmd), w.parts...)
		clear(w.parts)
		if cap(w.scratch) > maxScratch {
			w.parts, w.scratch, w.indexes = nil, nil, nil
		}
		return true
	}
	b := k.Begin(len(r.Raw) + len(w.indexes)*(len(prefix)+24))
	k.End(r.AppendAllPrefixed(b, w.indexes, prefix), s.slot(cmd))
	return true
}

const errTooLong = "ERR an argument is longer than the upstream takes"

// maxPrefix is the longest prefix: "t:{", an id of 63 characters, "}:", four
// digits of a database and a colon.
const maxPrefix = 3 + 63 + 2 + 4 + 1

// tooLong reports whether an argument is too long for the upstream, some of them
// with the prefix that they get. The upstream would close the connection that
// all share.
func (s *session) tooLong(cmd *command.Command, r *namespace.Request) bool {
	for _, a := range r.Args {
		if int(a.End-a.Beg) > s.w.maxBulk {
			return true
		}
	}
	prefixed, _ := cmd.Prefixed(nil, r)
	for _, i := range prefixed {
		if len(r.At(int(i))) > s.w.maxBulk-maxPrefix {
			return true
		}
	}
	return false
}

// restore makes a reply the tenant's own. The result lies in reply or is valid
// until the next one.
func (s *session) restore(cmd *command.Command, reply []byte) []byte {
	w := s.w
	if reply[0] == '-' {
		if bytes.HasPrefix(reply, unknownReply) {
			// It quotes the arguments as the upstream saw them.
			w.reply = resp.AppendError(w.reply[:0], "ERR '"+cmd.Name+"' is not supported by the upstream")
			reply = w.reply
		}
		if cmd.ErrKeys {
			w.reply = namespace.RestoreError(w.reply[:0], reply, s.prefix)
			reply = w.reply
		}
		if h := &handlers[cmd.Handler]; h.reply != nil {
			reply = h.reply(s, cmd, reply)
		}
		if reply[0] == '-' {
			s.stats.countError(reply)
			s.stats.row(cmd).failed++
		}
		return reply
	}
	if h := &handlers[cmd.Handler]; h.reply != nil {
		return h.reply(s, cmd, reply)
	}
	if cmd.ReplyKeys == command.NoKeys {
		return reply
	}
	var err error
	w.reply, err = namespace.Restore(w.reply[:0], reply, cmd.ReplyKeys, s.prefixOf(cmd))
	if err != nil {
		return s.garbled(cmd, err)
	}
	return w.reply
}
