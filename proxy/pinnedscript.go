package proxy

import (
	"bytes"
	"context"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/script"
)

// Scripts on a session's own connection.

// scriptsReady reports whether a script can be sent on the session's own
// connection. If not, the session waits until the tenant's user is there, or
// can not be had.
func (s *session) scriptsReady() bool {
	behind := s.wall()
	if !s.isolates() || s.tx != nil && s.tx.lost {
		return true
	}
	u := s.w.scriptUser(behind)
	if u.ready || u.err != nil || s.link.Down() {
		return true
	}
	s.async(func(ctx context.Context) func() {
		err := s.w.srv.scripts.provision(ctx, &behind)
		return func() { u.ready, u.err = err == nil, err }
	})
	return false
}

// pinsScripts reports whether scripts run on the session's own connection: where
// the upstream keeps track of what they read, or tells what they have caused.
func (s *session) pinsScripts() bool { return s.pin != nil && (s.tracking || s.subs != nil) }

// callPinned runs a script there.
func (s *session) callPinned(cmd *command.Command, r *namespace.Request, sc *script.Script) {
	w := s.w
	if !s.isolates() {
		b := s.appendCall(s.pin.Begin(len(r.Raw)+64), cmd, r, sc, false)
		s.callingPinned(sc, b)
		s.sendPinned(sc, b, s.noted(cmd, noteScript))
		return
	}
	u := w.scriptUser(s.wall())
	switch {
	case sc == nil:
		s.answerError("NOPERM '" + cmd.Name + "' is not available to a client that tracks keys or has subscribed")
		return
	case !u.ready:
		s.answerError(u.refusal())
		return
	}
	guarded := sc.Guarded()
	b := s.appendCall(nil, cmd, r, guarded, false)
	s.callingPinned(guarded, b)
	s.sendPinned(guarded, b, s.noted(cmd, noteScript))
}

// callingPinned notes a script that is going to be sent on the session's own connection as b.
func (s *session) callingPinned(sc *script.Script, b []byte) {
	s.called = append(s.called, sc)
	if s.mode&modeValues != 0 { // it is sent again if it comes upon sealed values
		s.pinnedCall = &pinnedCall{req: bytes.Clone(b), plainKeys: s.plainKeys}
		s.plainKeys = nil
	}
}

// calledPinned brings what a script has returned there.
func (s *session) calledPinned(t slot, reply []byte) {
	sc := s.called[0]
	s.called = s.called[1:]
	if sc != nil && script.CompileError(reply) {
		s.diagnose(t.seq, sc)
		return
	}
	if sc != nil && !script.Rejected(reply) && sc.Take() {
		s.w.srv.scripts.remember(s.who.Tenant, sc)
	}
	s.complete(t.seq, s.restoreScript(sc, reply, t.vals != nil && t.vals.full), false)
}

// sendPinned sends a script on the session's own connection, as the tenant's user
// if it is to be isolated.
func (s *session) sendPinned(sc *script.Script, b []byte, t slot) {
	if g := s.groupScript(&t, sc != nil && !sc.Trusted); g != nil {
		s.sendMeasuredScript(g, b, t)
		return
	}
	if sc == nil || sc.Trusted {
		s.pin.End(b, t)
		return
	}
	login := s.unasked(t.cmd)
	login.note = noteLogin
	auth, full := s.w.scriptUser(s.wall()).login(s)
	if full {
		t.vals = &valueNote{full: true}
	}
	s.pin.End(auth, login)
	s.pin.End(b, t)
	s.pin.End(s.w.srv.target.AppendLogin(nil), login)
}
