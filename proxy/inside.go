package proxy

import (
	"context"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/value/inside"
)

// runInside runs a command that looks inside values, or moves them to another
// key's name, and so can not be sent as it is. The session waits for it.
func (s *session) runInside(cmd *command.Command, r *namespace.Request) {
	if s.link.Down() {
		s.unavailable(cmd)
		return
	}
	// It is a transaction of one command.
	before := s.tx
	tx := &transaction{holds: true, db: s.db, caching: s.caching}
	s.tx = tx
	func() {
		defer func() { s.tx = before }() // also when it panics
		s.enqueue(cmd, r)
	}()
	if len(tx.queue) == 0 || len(tx.waiting) == 0 {
		return // it has its error
	}
	if q := tx.queue[0]; q.reply != nil {
		s.answer(q.reply)
		return
	}
	s.runSingle(cmd, tx, s.answer)
}

// runSingle runs a transaction of one command, and gives its reply to answer.
func (s *session) runSingle(cmd *command.Command, tx *transaction, answer func(reply []byte)) {
	p := s.plan(tx, false)
	proto, began := s.proto, s.w.loop.Now()
	// What it reads may have to be tracked, and what it causes told before its reply.
	onPin := s.pin != nil && !s.watching && (s.tracking || s.subs != nil && !s.onHub)
	p.watching = s.watching
	// Invalidations come behind the reply of what has caused them.
	s.delays = onPin && s.tracking && cmd.Has(command.Write)
	p.env = inside.Env{Proto: proto, Limit: s.w.maxBulk, Server: s.w.srv.version()}
	s.runPlan(p, func(ctx context.Context) func() {
		talk := s.talkOnPin
		if !onPin {
			alone, end := p.srv.talkAlone(proto)
			defer end()
			talk = alone
		}
		reply, err := p.single(ctx, talk)
		return func() {
			defer s.tellDelayed()
			took := time.Duration(s.w.loop.Now() - began)
			s.slowDone(cmd, p.shown(), took)
			if err != nil {
				reply = planFailure(err)
			}
			s.trace(cmd, reply, took)
			if err != nil {
				s.stats.countError(reply)
				s.stats.row(cmd).failed++
				answer(reply)
				return
			}
			x := execution{s: s}
			x.one(&tx.queue[0], reply)
			if len(x.later) == 0 {
				answer(x.out[0])
				return
			}
			s.async(func(ctx context.Context) func() {
				done := guarded(ctx, x.later[0].work, func() { s.answerError(errInternalText) })
				return func() { answer(s.capture(done)) }
			})
		}
	}, func(text string) { answer(resp.AppendError(nil, text)) })
}

// arguments are the first command's, with names as the upstream knows them.
func (p *plan) arguments() (args [][]byte) {
	h := p.tx.waiting[0]
	for i := range h.args {
		args = append(args, h.name(int32(i)))
	}
	return args
}

// shown are the same with the names as the tenant knows them.
func (p *plan) shown() [][]byte {
	args := p.arguments()
	for _, i := range p.tx.waiting[0].prefixed {
		args[i] = p.nameOf(args[i]).Key
	}
	return args
}

// single runs the plan of a single command, and returns its reply.
func (p *plan) single(ctx context.Context, talk talker) ([]byte, error) {
	h := p.tx.waiting[0]
	p.alone = true
	encrypts := p.view.codec.Encrypts()
	switch f := inside.Lookup(h.cmd.Name); {
	case len(h.prefixed) == 0:
	case h.cmd.LengthOnly:
		return p.length(ctx, talk, h)
	case h.cmd.Encoding:
		return p.encoding(ctx, talk, h)
	case h.cmd.Dumps:
		return p.dump(ctx, talk, h)
	case h.cmd.Moves && len(h.prefixed) == 2:
		return p.move(ctx, talk, h)
	case f != nil && h.cmd.Has(command.ReadOnly):
		return p.read(ctx, talk, h, f)
	case f != nil && encrypts:
		return p.compute(ctx, talk, h, f)
	}
	reply, err := p.run(ctx, talk)
	if err != nil {
		return nil, err
	}
	return p.ours(reply)
}

// ours takes the reply of the only command out of EXEC's.
func (p *plan) ours(reply []byte) ([]byte, error) {
	n, body, ok := resp.ArrayElements(reply)
	if !ok {
		if reply[0] == '-' {
			return reply, nil
		}
		return nil, errBadReply
	}
	if n != p.tx.front+1+p.tx.back {
		return nil, errBadReply
	}
	for i := range n {
		size, err := resp.ValueSize(body)
		if err != nil {
			return nil, errBadReply
		}
		element := body[:size]
		body = body[size:]
		if i < p.tx.front && element[0] == '-' {
			return nil, replyError(element)
		}
		if i == p.tx.front {
			return element, nil
		}
	}
	return nil, errBadReply
}

// compute runs a command on a value that the upstream can not look into here, and
// puts the outcome in its place.
func (p *plan) compute(ctx context.Context, talk talker, h *heldCommand, f inside.Func) ([]byte, error) {
	key := h.name(h.prefixed[0])
	get, field := rawRequest("GET", string(key)), []byte(nil)
	if h.cmd.InsideField > 0 {
		field = h.name(int32(h.cmd.InsideField))
		get = rawRequest("HGET", string(key), string(field))
	}
	args := p.arguments()
	for range maxTries {
		replies, err := ask(ctx, talk, rawRequest("WATCH", string(key)), get)
		if err != nil {
			p.unwatch(ctx, talk)
			return nil, err
		}
		stored, exists := content(replies[1])
		if !exists && !isNull(replies[1]) {
			// It is of another type, for which the upstream has the error.
			done, err := atOnce(ctx, talk, h.raw)
			if err != nil {
				return nil, err
			}
			if done == nil {
				continue
			}
			return done[0], nil
		}
		plain := stored
		if exists {
			p.total = 0
			if plain, err = p.open(ctx, stored, key); err != nil {
				p.unwatch(ctx, talk)
				return nil, err
			}
		}
		result := f(plain, exists, args, p.env)
		if !result.Changed {
			p.unwatch(ctx, talk)
			return result.Reply, nil
		}
		sealed := p.seal(result.Value, key)
		if len(sealed) > p.maxBulk {
			p.unwatch(ctx, talk)
			return nil, errSealedTooLong
		}
		put := [][]byte{[]byte("SET"), key, sealed, []byte("KEEPTTL")}
		switch {
		case field == nil:
		case exists && p.fieldTTL:
			put = [][]byte{[]byte("EVAL"), []byte(fieldsScript), []byte("1"), key, field, sealed}
		default:
			put = [][]byte{[]byte("HSET"), key, field, sealed}
		}
		done, err := atOnce(ctx, talk, resp.AppendRequest(nil, put...))
		switch {
		case err != nil:
			return nil, err
		case done == nil:
			continue // somebody else was faster
		case done[0][0] == '-':
			return done[0], nil
		}
		return result.Reply, nil
	}
	return nil, errContended
}

func (p *plan) unwatch(ctx context.Context, talk talker) { talk(ctx, [][]byte{rawRequest("UNWATCH")}) }

// seal is what is to be stored of a value.
func (p *plan) seal(plain, key []byte) []byte {
	out, sealed := p.view.codec.Seal(&p.counters, nil, plain, p.nameOf(key))
	if !sealed {
		return plain
	}
	return out
}
