package proxy

import (
	"bytes"
	"context"
	"errors"

	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/script"
)

// Scripts see plain values. One that comes upon a sealed one ends before it has
// written anything, and says which key it was (script.SealedKeys); the value is made plain,
// and the script runs again.

// scriptMode is how a tenant's scripts are wrapped.
func (s *Server) scriptMode(t *namespace.Tenant) script.Mode {
	return script.Mode{Trusted: t.Scripts == config.TrustedScripts, Values: s.codecs.find(t.ID) != nil}
}

func (s *session) scriptMode() script.Mode { return s.w.srv.scriptMode(s.who.Tenant) }

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
		if bytes.HasPrefix(k, p.tenant.Root()) { // a script can name any
			n := p.need(bytes.Clone(k))
			n.text, n.hash = true, true
		}
	}
	p.named = len(p.needs)
	return p
}

// makePlain runs such a plan.
func (p *plan) makePlain(ctx context.Context) error {
	release, ok := p.turn(ctx)
	if !ok {
		return ctx.Err()
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
		group = group[len(w.scriptUser(c.tenant).auth) : len(group)-len(w.restGroup)]
	}
	call := *c
	if call.unsealed++; call.unsealed > maxUnsealed || group == nil {
		s.completeError(c.seq, errManySealed.Error())
		return
	}
	call.phase, call.req = phaseLogin, bytes.Clone(group)
	p := s.plainPlan(keys)
	for _, n := range p.needs {
		call.plainKeys = append(call.plainKeys, n.key)
	}
	s.beside(func(ctx context.Context) func() {
		err := p.makePlain(ctx)
		return func() {
			p.done(s)
			if err != nil {
				s.completeError(c.seq, err.Error())
				return
			}
			w.sendScript(&call)
		}
	})
}

// unsealPinned is unseal for a script on the session's own connection.
func (s *session) unsealPinned(t slot, sc *script.Script, keys [][]byte) {
	s.unsealed++
	if s.unsealed > maxUnsealed || s.lastCall == nil {
		s.unsealed = 0
		s.called = s.called[1:]
		s.completeError(t.seq, errManySealed.Error())
		return
	}
	p := s.plainPlan(keys)
	s.planning++
	s.beside(func(ctx context.Context) func() {
		err := p.makePlain(ctx)
		return func() {
			s.planning--
			p.done(s)
			switch {
			case s.pin == nil:
				s.completeError(t.seq, errUnavailable)
			case err != nil:
				s.called = s.called[1:]
				s.completeError(t.seq, err.Error())
				s.unpin()
			default:
				s.sendPinned(sc, s.lastCall, t)
			}
		}
	})
}

// beside runs work in a goroutine and then, on the loop, what it returns, unless
// the client has gone. A command of the session's is not answered meanwhile.
func (s *session) beside(work func(ctx context.Context) func()) {
	w := s.w
	w.srv.slow.Add(1)
	go func() {
		defer w.srv.slow.Done()
		done := s.guarded(w.srv.ctx, work)
		w.loop.Post(func() {
			if !s.gone {
				done()
			}
		})
	}()
}

// sealAgain seals what was made plain for a script of an encrypting tenant, and
// then answers with what the script returned.
func (o scriptOwner) sealAgain(c *scriptCall, reply []byte) {
	s := c.s
	p := s.plainPlan(nil)
	s.beside(func(ctx context.Context) func() {
		p.srv.sealKeys(ctx, p, c.plainKeys)
		return func() {
			p.done(s)
			o.answered(c, reply)
		}
	})
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
			then(own)
			s.mode |= modeAwait
		}
	})
}
