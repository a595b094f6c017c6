package proxy

import (
	"bytes"
	"context"
	"errors"

	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/namespace/acl"
	"riptide-proxy/resp"
	"riptide-proxy/script"
	"riptide-proxy/upstream"
	"riptide-proxy/value"
)

// Scripts see plain values. One that comes upon a sealed one ends before it has
// written anything, and says which key it was (script.SealedKeys); the value is made plain,
// and the script runs again.

// scriptMode is how a tenant's scripts are wrapped.
func (s *Server) scriptMode(t *namespace.Tenant, rules *acl.Rules) script.Mode {
	values := s.codecs.find(t.ID) != nil
	return script.Mode{Trusted: t.Scripts == config.TrustedScripts && rules == nil, Values: values, Rules: values && rules != nil}
}

// scriptMode is the same on the loop, which knows without asking.
func (s *session) scriptMode() script.Mode {
	values := s.stats.values != nil
	return script.Mode{Trusted: s.who.Tenant.Scripts == config.TrustedScripts && s.rules == nil, Values: values, Rules: values && s.rules != nil}
}

// maxUnsealed bounds how often values are made plain for one run of a script: one
// that names its keys one after the other comes upon them one by one.
const maxUnsealed = 64

var errManySealed = errors.New("ERR the script comes upon too many values that are stored sealed, declare its keys in KEYS")

// plainPlan is a plan that makes the values at some keys plain, and nothing else.
func (s *session) plainPlan(keys [][]byte) *plan {
	p := &plan{
		srv: s.w.srv, tenant: s.who.Tenant, view: s.stats.values.tenantValues, tx: new(transaction),
		fieldTTL: s.w.known == nil || s.w.known[fieldTTLRow.ID], maxBulk: s.w.maxBulk,
	}
	for _, k := range keys {
		// A script can name any: those of others, and what is the proxy's own among the tenant's.
		if _, name, ok := p.tenant.Split(k); ok && (s.rules == nil || s.rules.MayTouch(name)) {
			n := p.need(bytes.Clone(k))
			n.text, n.hash = true, true
		}
	}
	p.named = len(p.needs)
	return p
}

var errNotForScripts = errors.New("ERR a script can not read a value that begins with the bytes of a sealed one")

// makePlain runs such a plan.
func (p *plan) makePlain(ctx context.Context) error {
	release, ok := p.turn(ctx)
	if !ok {
		return upstream.ErrUnavailable
	}
	defer release()
	talk, end := p.srv.talkAlone(2)
	defer end()
	for range maxTries {
		p.total = 0
		if err := p.look(ctx, talk); err != nil {
			p.forget(ctx, talk)
			return err
		}
		for _, n := range p.needs {
			if value.IsSealed(n.plain) || anySealed(n.pairs) {
				p.forget(ctx, talk)
				return errNotForScripts
			}
		}
		fixes := p.fixes(nil)
		if len(fixes) == 0 {
			p.forget(ctx, talk)
			return nil
		}
		done, err := atOnce(ctx, talk, fixes...)
		if err != nil {
			return err
		}
		for _, d := range done {
			if d[0] == '-' {
				return replyError(d)
			}
		}
		if done != nil {
			p.mark()
			return nil
		}
	}
	return errContended
}

// keys appends the plan's keys.
func (p *plan) keys(to [][]byte) [][]byte {
	for _, n := range p.needs {
		to = append(to, n.key)
	}
	return to
}

// mark has the keys' values stay plain for a while.
func (p *plan) mark() {
	if p.view.codec.Encrypts() {
		return
	}
	for _, n := range p.needs {
		p.srv.marks.add(n.key)
	}
}

// unseal makes values plain that a script has come upon, and runs it again.
func (o scriptOwner) unseal(c *scriptCall, keys [][]byte) {
	w, s := o.w, c.s
	group := w.scriptLink(s.proto, c.plain).Request()
	if group != nil && !c.plain {
		group = group[len(w.scriptUser(c.wall).auth) : len(group)-len(w.restGroup)]
	}
	call := *c // whose place another call takes
	if call.unsealed++; call.unsealed > maxUnsealed || group == nil {
		s.sealLater(call.plainKeys)
		s.completeError(c.seq, errManySealed.Error())
		return
	}
	call.phase, call.req = phaseLogin, bytes.Clone(group)
	p := s.plainPlan(keys)
	call.plainKeys = p.keys(call.plainKeys)
	s.beside(call.plainKeys, func(ctx context.Context) func() {
		err := p.makePlain(ctx)
		return func() {
			p.done(s)
			if err != nil {
				s.sealLater(call.plainKeys)
				s.completeError(call.seq, err.Error())
				return
			}
			w.sendScript(&call)
		}
	})
}

// sealAgain seals what was made plain for a script of an encrypting tenant, and
// then answers with what the script returned.
func (o scriptOwner) sealAgain(c *scriptCall, reply []byte) {
	s, call := c.s, *c // whose place another call takes
	p := s.plainPlan(nil)
	s.beside(nil, func(ctx context.Context) func() {
		p.srv.sealKeys(ctx, p, call.plainKeys)
		return func() {
			p.done(s)
			o.answered(&call, reply)
		}
	})
}

// pinnedCall is a script on a session's own connection that may come upon sealed values. There
// is one at a time.
type pinnedCall struct {
	req       []byte   // as it was sent
	unsealed  int      // how often values were made plain for it
	plainKeys [][]byte // whose they are
}

// unsealPinned is unseal for a script on the session's own connection.
func (s *session) unsealPinned(t slot, sc *script.Script, keys [][]byte) {
	call := s.pinnedCall
	failed := func(text string) {
		if t.vals != nil && t.vals.script != nil {
			t.vals.script.space.settle(false)
		}
		if len(s.called) > 0 {
			s.called = s.called[1:]
		}
		s.endPinnedCall()
		s.completeError(t.seq, text)
		s.unpin()
	}
	if call == nil || call.unsealed == maxUnsealed {
		failed(errManySealed.Error())
		return
	}
	call.unsealed++
	p := s.plainPlan(keys)
	call.plainKeys = p.keys(call.plainKeys)
	s.planning++
	s.beside(call.plainKeys, func(ctx context.Context) func() {
		err := p.makePlain(ctx)
		return func() {
			s.planning--
			p.done(s)
			switch {
			case s.pin == nil:
				failed(errUnavailable)
			case err != nil:
				failed(err.Error())
			default:
				s.sendPinned(sc, call.req, t)
			}
		}
	})
}

// endPinnedCall forgets a script on the session's own connection that has not come to its end.
func (s *session) endPinnedCall() {
	if s.pinnedCall != nil {
		s.sealLater(s.pinnedCall.plainKeys)
		s.pinnedCall = nil
	}
}

// repliedPinned brings what a script on the session's own connection has returned, once what was
// made plain for it is sealed again.
func (s *session) repliedPinned(t slot, reply []byte) {
	call := s.pinnedCall
	s.pinnedCall = nil
	if call == nil || len(call.plainKeys) == 0 || !s.stats.values.codec.Encrypts() {
		s.calledPinned(t, reply)
		return
	}
	own, p := bytes.Clone(reply), s.plainPlan(nil)
	s.planning++
	s.beside(nil, func(ctx context.Context) func() {
		p.srv.sealKeys(ctx, p, call.plainKeys)
		return func() {
			s.planning--
			p.done(s)
			s.calledPinned(t, own)
			s.unpin()
		}
	})
}

// beside runs work in a goroutine and then, on the loop, what it returns. A command of the
// session's is not answered meanwhile. If the client has gone then, only the
// keys are sealed again that were made plain.
func (s *session) beside(plain [][]byte, work func(ctx context.Context) func()) {
	w := s.w
	w.srv.slow.Add(1)
	go func() {
		defer w.srv.slow.Done()
		done := guarded(w.srv.ctx, work, func() { s.conn.Close(errInternal) })
		w.loop.Post(func() {
			if s.gone {
				s.sealLater(plain)
				return
			}
			done()
		})
	}()
}

// sealLater seals what was made plain for a script of an encrypting tenant whose answer does not
// wait for that.
func (s *session) sealLater(keys [][]byte) {
	if v := s.stats.values; len(keys) > 0 && v != nil && v.codec.Encrypts() {
		s.w.srv.sealLater(s.who.Tenant, v.tenantValues, keys)
	}
}

// plainFirst makes the values at the keys that a function's call declares plain, and
// then goes on with a copy of the request.
func (s *session) plainFirst(r *namespace.Request, then func(*namespace.Request)) {
	own := cloneRequest(r)
	var keys [][]byte
	if n, ok := resp.ParseInt(own.At(2)); ok && n > 0 && n <= int64(own.Len()-3) {
		for i := range int(n) {
			keys = append(keys, join(s.prefix, own.At(3+i)))
		}
	}
	p := s.plainPlan(keys)
	s.async(func(ctx context.Context) func() {
		err := p.makePlain(ctx)
		return func() {
			p.done(s)
			if err != nil {
				s.answerError(err.Error())
				return
			}
			s.plainKeys = p.keys(nil)
			then(own)
			s.sealLater(s.plainKeys) // unless the call has taken them over
			s.plainKeys = nil
			s.mode |= modeAwait
		}
	})
}
