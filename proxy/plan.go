package proxy

import (
	"bytes"
	"context"
	"errors"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/value"
	"riptide-proxy/value/inside"
)

// plan is commands that run in one transaction of the upstream's, before which
// the values that they look into are made plain:
//
//	WATCH the keys | read what is sealed | MULTI | SET the plain values | the commands | EXEC
//
// If a key changes in between, EXEC does nothing and all of it is done again. It is
// made on the loop and runs in a goroutine.
type plan struct {
	srv      *Server
	tenant   *namespace.Tenant
	view     *tenantValues
	counters value.Counters
	tx       *transaction
	watched  bool // by the client, on the same connection
	watching bool // the client watches keys, on another one
	fieldTTL bool // the upstream's hash fields may have a time to live
	maxBulk  int

	looksInside bool
	large       bool // its values are to be sealed beside the loop
	moves       bool // what a key holds may come from any other
	alone       bool // it is one command
	needs       []*need
	byKey       map[string]*need
	whole       map[string]bool // hashes of which all fields turned out to be needed
	named       int             // of needs that the commands name
	sorts       []sortPatterns
	allSorts    bool    // one needs plain values, so all do
	tails       []*need // strings that may begin with a sealed value's first bytes afterwards
	tooLong     bool
	total       int64 // bytes of what was made plain
	env         inside.Env
}

// need is what has to be plain at a key.
type need struct {
	key    []byte // as the upstream knows it
	text   bool   // its string
	fields [][]byte
	hash   bool // all its fields, if it is a hash

	plain []byte   // what the string is to be made; nil: nothing
	pairs [][]byte // likewise, fields and values

	wrapText, wrapHash bool // to be wrapped afterwards where it begins with a sealed value's first bytes
}

// plan plans the transaction.
func (s *session) plan(tx *transaction, watched bool) *plan {
	v := s.stats.values
	p := &plan{
		srv: s.w.srv, tenant: s.who.Tenant, view: v.tenantValues, tx: tx, watched: watched,
		fieldTTL: s.w.known == nil || s.w.known[fieldTTLRow.ID], maxBulk: s.w.maxBulk,
	}
	size := 0
	for _, h := range tx.waiting {
		p.looksInside = p.looksInside || p.looks(h)
		size += valuesSize(h.request(), h.values)
		p.moves = p.moves || h.cmd.Moves
		p.allSorts = p.allSorts || sorts(h.cmd) && p.looks(h)
	}
	p.large = size >= asideValue
	if !p.looksInside {
		return p
	}
	for _, h := range tx.waiting {
		if h.own {
			continue
		}
		script := handlers[h.cmd.Handler].script
		switch {
		case h.cmd.InsideField > 0 && len(h.prefixed) > 0 && h.cmd.InsideField < len(h.args):
			n := p.need(h.name(h.prefixed[0]))
			n.fields = append(n.fields, h.name(int32(h.cmd.InsideField)))
		case p.moves || script || h.cmd.Dumps:
			for _, i := range h.prefixed {
				n := p.need(h.name(i))
				n.text, n.hash = true, n.hash || script || h.cmd.Dumps || v.binds()
			}
		case sorts(h.cmd) && len(h.prefixed) > 0:
			if names := v.sortsBy(h.request(), p.allSorts); len(names) > 0 {
				p.sorts = append(p.sorts, sortPatterns{h.name(h.prefixed[0]), names})
			}
		case h.cmd.Restores: // it wraps what it stores
		case p.looks(h):
			for _, i := range h.prefixed {
				p.need(h.name(i)).text = true
			}
		}
		if h.cmd.Has(command.Write) && h.cmd.InsideField == 0 && !sorts(h.cmd) && !h.cmd.Restores && p.looks(h) {
			for _, i := range h.prefixed {
				p.tails = append(p.tails, p.need(h.name(i)))
			}
		}
	}
	for _, h := range tx.waiting {
		if h.cmd.Restores && len(h.prefixed) > 0 {
			if n := p.byKey[string(h.name(h.prefixed[0]))]; n != nil {
				n.text, n.hash = true, true // whatever it brings
			}
		}
	}
	p.wholeHashes()
	p.named = len(p.needs)
	return p
}

var fieldTTLRow = command.Lookup([]byte("hpexpiretime"))

// looks reports whether a command has to find a value plain.
func (p *plan) looks(h *heldCommand) bool {
	return !h.own && (p.view.inside(h.cmd, h.request()) || handlers[h.cmd.Handler].script)
}

// inside reports whether a command can not be sent to the upstream as it is,
// since values are sealed.
func (v *tenantValues) inside(cmd *command.Command, r *namespace.Request) bool {
	switch {
	case cmd.Restores || cmd.Dumps || cmd.Encoding:
		return true
	case sorts(cmd):
		return len(v.sortsBy(r, false)) > 0
	case v.codec.Encrypts():
		return cmd.Moves || cmd.LooksInside(r)
	case cmd.Moves:
		return v.binds()
	}
	return (!cmd.InsidePlain || v.encrypted.Load()) && cmd.LooksInside(r)
}

// need returns what is needed of a key, which is nothing at first.
func (p *plan) need(key []byte) *need {
	n := p.byKey[string(key)]
	if n != nil {
		return n
	}
	if p.byKey == nil {
		p.byKey, p.whole = make(map[string]*need), make(map[string]bool)
	}
	n = &need{key: key, hash: p.whole[string(key)]}
	p.byKey[string(key)] = n
	p.needs = append(p.needs, n)
	return n
}

// turn waits for the plan's turn.
func (p *plan) turn(ctx context.Context) (release func(), ok bool) {
	select {
	case p.view.turns <- struct{}{}:
		return func() { <-p.view.turns }, true
	case <-ctx.Done():
		return nil, false
	}
}

// done adds what was counted since the last time, on the loop.
func (p *plan) done(s *session) {
	s.stats.addValues(&p.counters)
	p.counters = value.Counters{}
}

// requests returns the held commands behind those already in dst, with their
// values sealed, be it all of them or those at keys that need not be plain.
func (p *plan) requests(dst [][]byte, seal bool) [][]byte {
	for _, h := range p.tx.waiting {
		if len(h.values) == 0 {
			dst = append(dst, p.sent(h))
			continue
		}
		x := sealing{marks: p.srv.marks, codec: p.view.codec, counters: &p.counters, cmd: h.cmd, r: h.request(), prefix: h.prefix, prefixed: h.prefixed, stored: true, maxBulk: p.maxBulk}
		if !seal {
			x.stays = func(i int32) bool { return p.stays(h, i) }
		}
		dst = append(dst, h.request().AppendSealed(make([]byte, 0, len(h.raw)+valueRoom), nil, nil, h.values, x.seal))
		p.tooLong = p.tooLong || x.tooLong
	}
	return dst
}

// talker sends requests in one piece and returns their replies, as they came. An
// error is upstream.ErrUnavailable when nothing can have been sent, and
// upstream.ErrUnknown otherwise.
type talker func(ctx context.Context, requests [][]byte) (replies [][]byte, err error)

// maxTries bounds how often a plan begins anew because others changed its keys.
const maxTries = 200

var (
	errContended = errors.New("ERR too many clients change the same keys at once, try again")
	errBadReply  = errors.New("ERR the upstream's reply makes no sense")
)

// run runs the plan and returns the reply to EXEC.
func (p *plan) run(ctx context.Context, talk talker) ([]byte, error) {
	for range maxTries {
		p.total = 0
		if err := p.look(ctx, talk); err != nil {
			p.forget(ctx, talk)
			return nil, err
		}
		requests := [][]byte{rawRequest("MULTI")}
		requests = p.fixes(requests)
		front := len(requests) - 1
		if requests = p.requests(requests, false); p.tooLong {
			p.forget(ctx, talk)
			return nil, errSealedTooLong
		}
		commands := len(requests)
		requests = p.wraps(requests)
		back := len(requests) - commands
		requests = append(requests, rawRequest("EXEC"))
		replies, err := talk(ctx, requests)
		if err != nil {
			p.sealLater()
			return nil, err
		}
		reply := replies[len(replies)-1]
		if isNull(reply) {
			if p.watched {
				return reply, nil // perhaps it was the client's key that changed
			}
			continue
		}
		if p.alone && bytes.HasPrefix(reply, []byte("-EXECABORT")) {
			return nil, firstError(replies)
		}
		p.tx.front, p.tx.back = front, back
		p.tellPlain()
		p.mark()
		p.sealAgain()
		return reply, nil
	}
	return nil, errContended
}

// forget takes back what look has watched, and what the client has: for both this would have
// been EXEC.
func (p *plan) forget(ctx context.Context, talk talker) {
	if p.watched || len(p.needs)+len(p.sorts) > 0 {
		talk(ctx, [][]byte{rawRequest("UNWATCH")})
	}
}

// planFailure is the reply for an error of a plan, whose text is an error reply's.
func planFailure(err error) []byte { return resp.AppendError(nil, err.Error()) }
