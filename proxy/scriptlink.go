package proxy

import (
	"bytes"
	"crypto/rand"
	"log/slog"

	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/script"
	"riptide-proxy/upstream"
)

// Isolated scripts ride a connection of their own in each loop, which rests
// under a user that may run nothing. Each script is one group,
//
//	AUTH <the tenant's user> | EVALSHA ... | AUTH <the resting user> | ECHO
//
// and runs as the tenant's user or, if that login fails, not at all. Servers
// from Redis 7.2 on leave a failed AUTH without a reply here
// (docs/decisions/0005), so the replies are not counted but recognised: the
// script's own can only be refused where the login failed, and what is not as
// it must be breaks the connection.

// scriptCall is a script on its way.
type scriptCall struct {
	slot
	wall   wall
	script *script.Script // nil: a function of the operator's
	phase  phase
	tries  uint8
	plain  bool // of a trusted tenant: no users are changed
	sha    bool // sent by its hash
	full   bool // sent as the user that writes nothing
	// diagnosis: it is asked what is wrong with the script, which does not run
	diagnosis bool
	unsealed  uint8    // how often values were made plain for it
	plainKeys [][]byte // whose they are
	req       []byte   // the command, while it waits to be sent
}

type phase uint8

const (
	phaseLogin   phase = iota // AUTH's reply is to come
	phaseScript               // the script's
	phaseRefused              // the script's, after the login failed
	phaseRest                 // that of the AUTH behind it
	phaseMark                 // ECHO's
	phaseFailed  = phaseRest | 8
	phaseFailed2 = phaseMark | 8
)

const okReply = "+OK\r\n"

// scriptOwner is told what becomes of a loop's scripts.
type scriptOwner struct{ w *worker }

// scriptLink is the link for scripts in one version of the protocol.
func (w *worker) scriptLink(proto int, plain bool) *upstream.Link[scriptCall] {
	i := proto - 2
	target := w.srv.target
	if plain {
		i += 2
	} else {
		resting := *w.srv.target
		resting.Username, resting.Password, resting.OnlyEcho = w.srv.scripts.rest.Name, w.srv.scripts.rest.Password, true
		target = &resting
	}
	k := &w.scriptLinks[i]
	if *k == nil {
		*k = upstream.NewLink(w.loop, target, proto, upstream.Owner[scriptCall](scriptOwner{w}))
		(*k).Groups()
		(*k).Longest(func(c *scriptCall) int {
			if c.phase != phaseScript {
				return maxReply
			}
			return longestReply(&c.slot)
		})
	}
	return *k
}

// runScript runs a script, or has it wait for the tenant's user.
func (w *worker) runScript(c *scriptCall, req []byte) {
	if !c.plain {
		u := w.scriptUser(c.wall)
		if !u.ready {
			if c.s.link.Down() { // to make the user would only take until it fails
				c.s.failed(&c.slot, upstream.ErrUnavailable)
				return
			}
			c.req = bytes.Clone(req)
			c.s.parkedBytes += len(c.req)
			u.waiting = append(u.waiting, c)
			u.bytes += len(req)
			w.provision(c.wall, u)
			return
		}
	}
	c.req = req
	w.sendScript(c)
}

// sendScript sends a script's group.
func (w *worker) sendScript(c *scriptCall) {
	k := w.scriptLink(c.s.proto, c.plain)
	if k.Down() {
		c.s.failed(&c.slot, upstream.ErrUnavailable)
		return
	}
	req := c.req
	c.req = nil
	if c.plain {
		c.phase = phaseScript
		k.End(append(k.Begin(len(req)), req...), *c)
		return
	}
	c.phase = phaseLogin
	u := w.scriptUser(c.wall)
	var auth []byte
	auth, c.full = u.login(c.s)
	b := append(k.Begin(len(auth)+len(req)+len(w.restGroup)), auth...)
	b = append(b, req...)
	k.End(append(b, w.restGroup...), *c)
}

// restGroup is what follows each script. The last reply to it can not be
// guessed, so that no script can make it up.
func restGroup(rest script.Login) (group, mark []byte) {
	text := rand.Text()
	b := resp.AppendRequest(nil, "AUTH", rest.Name, rest.Password)
	return resp.AppendRequest(b, "ECHO", text), resp.AppendBulkString(nil, text)
}

// Reply implements upstream.Owner.
func (o scriptOwner) Reply(c *scriptCall, reply []byte) (more bool) {
	w := o.w
	switch c.phase {
	case phaseLogin:
		switch {
		case string(reply) == okReply:
			c.phase = phaseScript
			return true
		case bytes.HasPrefix(reply, []byte("-WRONGPASS")):
			c.phase = phaseRefused
			return true
		case bytes.HasPrefix(reply, []byte("-NOPERM")):
			c.phase = phaseFailed // the login has no reply, and this is the script's
			return true
		}
	case phaseScript:
		o.answer(c, reply)
		c.phase = phaseRest
		return !c.plain
	case phaseRefused:
		if bytes.HasPrefix(reply, []byte("-NOPERM")) {
			c.phase = phaseFailed
			return true
		}
	case phaseRest, phaseFailed:
		if string(reply) == okReply {
			c.phase += phaseMark - phaseRest
			return true
		}
	case phaseMark:
		if bytes.Equal(reply, w.mark) {
			return false
		}
	case phaseFailed2:
		if bytes.Equal(reply, w.mark) {
			o.again(c)
			return false
		}
	}
	// Whose reply is whose is not known any more.
	slog.Error("the connection for scripts is closed: unexpected reply", "phase", c.phase)
	w.scriptLink(c.s.proto, c.plain).Break(errScriptProtocol)
	return true
}

// again has the tenant's user made, and then the script run: it was refused.
func (o scriptOwner) again(c *scriptCall) {
	w := o.w
	if c.s.gone {
		return
	}
	u := w.scriptUser(c.wall)
	group := w.scriptLink(c.s.proto, false).Request()
	if c.tries++; c.tries > maxScriptTries || group == nil {
		c.s.completeError(c.seq, errScriptsStall.Error())
		return
	}
	call := *c
	call.req = bytes.Clone(group[len(u.auth) : len(group)-len(w.restGroup)])
	u.failed = append(u.failed, &call)
	w.provision(c.wall, u)
}

const maxScriptTries = 2

// answer brings what a script returned.
func (o scriptOwner) answer(c *scriptCall, reply []byte) {
	s := c.s
	defer s.caught(c.cmd)
	if took := o.w.answered(&c.slot, reply); took >= slowCommand {
		o.w.slowReply(&c.slot, took, nil)
	}
	if s.gone {
		s.sealLater(c.plainKeys)
		return
	}
	if c.script != nil && script.CompileError(reply) && !c.diagnosis {
		o.diagnose(c)
		return
	}
	if s.mode&modeValues != 0 {
		if keys, ok := script.SealedKeys(reply); ok && !c.diagnosis {
			o.unseal(c, keys)
			return
		}
		if len(c.plainKeys) > 0 && s.stats.values.codec.Encrypts() && !bytes.HasPrefix(reply, []byte("-NOSCRIPT")) {
			o.sealAgain(c, bytes.Clone(reply))
			return
		}
	}
	o.answered(c, reply)
}

// answered completes the command with what its script returned.
func (o scriptOwner) answered(c *scriptCall, reply []byte) {
	s := c.s
	if c.script != nil && c.sha && bytes.HasPrefix(reply, []byte("-NOSCRIPT")) && s.tail == c.seq+1 && c.tries < maxScriptTries {
		// The upstream has forgotten it, and the session has sent nothing that
		// would overtake it.
		o.bySource(c)
		return
	}
	if c.script != nil && !c.diagnosis && !script.Rejected(reply) && !bytes.HasPrefix(reply, []byte("-NOSCRIPT")) {
		o.w.ran(c.wall.tenant, c.script)
	}
	s.complete(c.seq, s.restoreScript(c.script, reply, c.full), false)
}

// diagnose has the upstream say what is wrong with a script in the words that it
// has for the script without its prelude.
func (o scriptOwner) diagnose(c *scriptCall) {
	call := *c
	call.diagnosis = true
	text := c.script.Diagnosis()
	if len(text) > o.w.maxBulk {
		c.s.completeError(c.seq, errTooLong)
		return
	}
	call.req = resp.AppendRequest(nil, []byte("EVAL"), text, []byte("0"))
	o.soon(&call)
}

// soon sends a script, but not from within the link's own replies. What the
// session asks meanwhile must not overtake it.
func (o scriptOwner) soon(c *scriptCall) {
	c.s.mode |= modeAwait
	o.w.loop.After(0, func() {
		if !c.s.gone {
			o.w.sendScript(c)
		}
	})
}

// ran notes that the upstream knows a script now.
func (w *worker) ran(t *namespace.Tenant, sc *script.Script) {
	key := loadedScript{t, sc}
	if _, known := w.loaded[key]; !known {
		w.noteLoaded(t, sc)
	}
	if sc.Take() {
		w.srv.scripts.remember(t, sc)
	}
}

// bySource sends a script again that the upstream did not know by its hash.
func (o scriptOwner) bySource(c *scriptCall) {
	w := o.w
	group := w.scriptLink(c.s.proto, c.plain).Request()
	call := *c
	call.tries++
	if group == nil {
		c.s.complete(c.seq, []byte(errNoScript), false)
		return
	}
	if !c.plain {
		group = group[len(w.scriptUser(c.wall).auth) : len(group)-len(w.restGroup)]
	}
	var req resp.Request
	if n, err := req.Scan(group, &w.srv.internal); err != nil || n != len(group) {
		c.s.complete(c.seq, []byte(errNoScript), false)
		return
	}
	r := namespace.Request{Raw: req.Bytes(group), Args: req.Args}
	b := resp.AppendArray(nil, r.Len())
	b = resp.AppendBulkString(b, evalWord(c.cmd, false))
	b = resp.AppendBulk(b, c.script.Wrapped)
	call.sha = false
	call.req = append(b, r.Raw[r.Args[2].Head:]...)
	o.soon(&call)
}

// restoreScript makes a script's reply the tenant's own: errors name the
// script as the upstream knows it. The rest the script itself has seen to. full tells that it ran as
// the user that writes nothing.
func (s *session) restoreScript(sc *script.Script, reply []byte, full bool) []byte {
	if reply[0] != '-' {
		return reply
	}
	s.stats.countError(reply)
	w := s.w
	switch m := s.stats.space; {
	case full && m != nil && notAllowed(reply):
		m.pressed = true
		s.stats.refused++
		w.reply = resp.AppendError(w.reply[:0], m.overText(max(0, m.overBy())))
	case sc != nil:
		w.reply = script.RestoreError(w.reply[:0], reply, sc, s.prefix)
	default:
		w.reply = append(w.reply[:0], bytes.ReplaceAll(reply, s.prefix, nil)...)
	}
	return s.asTheClientKnows(w.reply)
}

// notAllowed reports whether a script has failed for what its user may not run.
func notAllowed(reply []byte) bool {
	return bytes.Contains(reply, []byte("can't run this command")) || bytes.Contains(reply, []byte("no permissions to run"))
}

// Failed implements upstream.Owner.
func (o scriptOwner) Failed(c *scriptCall, err error) {
	if c.phase > phaseScript && c.phase != phaseRefused && c.phase < 8 {
		return // it is answered
	}
	c.s.sealLater(c.plainKeys)
	if !c.s.gone {
		c.s.failed(&c.slot, err)
	}
}

// Oversized implements upstream.Owner.
func (o scriptOwner) Oversized(c *scriptCall) (more bool) {
	if c.phase != phaseScript {
		return o.Reply(c, []byte("?"))
	}
	c.s.sealLater(c.plainKeys)
	if !c.s.gone {
		c.s.oversized(c.seq)
	}
	c.phase = phaseRest
	return !c.plain
}

// Again implements upstream.Owner.
func (o scriptOwner) Again(c *scriptCall) bool { return false }

// Relieved implements upstream.Owner.
func (o scriptOwner) Relieved() { o.w.Relieved() }

// Lost implements upstream.Owner.
func (o scriptOwner) Lost() {
	clear(o.w.loaded)
	o.w.Lost()
}

// Refused implements upstream.Owner: the upstream has lost its users.
func (o scriptOwner) Refused() {
	w := o.w
	if w.resting {
		return
	}
	w.resting = true
	w.srv.slow.Add(1)
	go func() {
		defer w.srv.slow.Done()
		w.srv.scripts.provision(w.srv.ctx, nil)
		w.loop.Post(func() { w.resting = false })
	}()
}

// scriptsFull reports whether the link that the session's scripts ride takes
// no more for now.
func (w *worker) scriptsFull(s *session) bool {
	if s.who != nil && w.scriptUser(s.wall()).bytes > softOutput {
		return true // until its user is there
	}
	for _, k := range w.scriptLinks {
		if k != nil && k.Full() {
			return true
		}
	}
	return false
}
