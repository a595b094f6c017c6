package proxy

import (
	"bytes"
	"context"
	"errors"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/quota"
	"riptide-proxy/resp"
)

// The three ways to subscribe.
const (
	channels = iota
	patterns
	shards
	kinds
)

var (
	subscribeWords   = [kinds]string{"subscribe", "psubscribe", "ssubscribe"}
	unsubscribeWords = [kinds]string{"unsubscribe", "punsubscribe", "sunsubscribe"}
)

// listen finds the place for a session's first subscriptions: the connection
// that it has, one of its own, or the hub. It answers when there is none.
//
// A connection of its own is better as long as there are few: what the upstream
// counts are clients then, whichever proxy of a fleet they are on.
func (s *session) listen() bool {
	w := s.w
	switch {
	case s.pin != nil:
	case s.link.Down():
		s.answerError(errUnavailable)
		return false
	default:
		if s.mayListen() && s.takePin() {
			s.mode |= modePinned
			break
		}
		if !w.hub.open() {
			s.answerError(errNoPin)
			return false
		}
		s.onHub = true
		w.hub.sessions[s] = struct{}{}
		s.subs = new(subscriptions)
		return true
	}
	w.listeners++
	s.stats.listeners++
	s.subs = new(subscriptions)
	return true
}

// unlisten ends the listening of a session without subscriptions.
func (s *session) unlisten() {
	if s.subs == nil || !s.subs.empty() {
		return
	}
	s.subs = nil
	if !s.onHub {
		s.w.listeners--
		s.stats.listeners--
		return
	}
	s.onHub = false
	delete(s.w.hub.sessions, s)
	s.hearInvalidations(false)
	s.w.hub.close()
}

// ownListeners is how many subscribers of this loop may have a connection of
// their own.
func (w *worker) ownListeners() int {
	n := w.conf.cfg.Upstream.SubscriberConnections
	if n < 0 {
		return w.pins.Limit / 4
	}
	loops := len(w.srv.workers)
	return (n + loops - 1) / loops
}

// confirmation is what a client is told once the upstream has confirmed.
type confirmation struct {
	reply []byte
	added []string
	kind  int
	ends  bool // subscriptions end
}

var errSubscribed = errors.New("the upstream does not end a subscription")

// subscribe is SUBSCRIBE, PSUBSCRIBE and SSUBSCRIBE name [name ...].
func subscribe(kind int) func(*session, *command.Command, *namespace.Request) {
	return func(s *session, cmd *command.Command, r *namespace.Request) {
		if s.stats.subscriptions+r.Len()-1 > maxSubscriptions && s.newNames(kind, r) > maxSubscriptions-s.stats.subscriptions {
			s.stats.refused++
			s.answerError(overQuota(s.who.Tenant, quota.Subscriptions.String(), maxSubscriptions))
			return
		}
		if s.subs == nil && !s.listen() {
			return
		}
		var c confirmation
		var fresh []string
		for i := 1; i < r.Len(); i++ {
			name := string(r.At(i))
			if _, has := s.subs.names[kind][name]; !has {
				fresh = append(fresh, s.subs.add(kind, name, s.upstreamNames(kind, name))...)
				c.added = append(c.added, name)
				if kind == patterns {
					s.w.countPattern(s.who.Tenant, name, 1)
				}
			}
			c.reply = appendConfirmation(c.reply, s.proto, subscribeWords[kind], r.At(i), s.subs.count(kind))
		}
		c.kind = kind
		s.recountSubs()
		s.subscriber()
		switch {
		case len(fresh) == 0 || !s.onHub:
			s.confirmBy(cmd, subscribeWords[kind], fresh, c)
		default:
			s.confirm = c
			s.w.hub.join(s, cmd, kind, fresh)
		}
	}
}

// unsubscribe is UNSUBSCRIBE, PUNSUBSCRIBE and SUNSUBSCRIBE [name ...].
func unsubscribe(kind int) func(*session, *command.Command, *namespace.Request) {
	return func(s *session, cmd *command.Command, r *namespace.Request) {
		defer s.recountSubs()
		c := confirmation{ends: true}
		var stale []string
		one := func(name string) {
			if s.subs != nil {
				if _, has := s.subs.names[kind][name]; has && kind == patterns {
					s.w.countPattern(s.who.Tenant, name, -1)
				}
			}
			stale = append(stale, s.subs.remove(kind, name)...)
			c.reply = appendConfirmation(c.reply, s.proto, unsubscribeWords[kind], []byte(name), s.subs.count(kind))
		}
		for i := 1; i < r.Len(); i++ {
			one(string(r.At(i)))
		}
		if r.Len() == 1 {
			if s.subs != nil {
				for name := range s.subs.names[kind] {
					one(name)
				}
			}
			if c.reply == nil {
				c.reply = appendConfirmation(nil, s.proto, unsubscribeWords[kind], nil, s.subs.count(kind))
			}
		}
		if h := s.w.hub; s.onHub {
			if last := h.leave(s, kind, stale); len(last) > 0 {
				s.confirm = c
				h.quit(s, kind, last, s.noted(cmd, noteConfirm))
				s.unlisten()
				s.subscriber()
				return
			}
			stale = nil
		}
		s.unlisten()
		s.subscriber()
		s.confirmBy(cmd, unsubscribeWords[kind], stale, c)
	}
}

// confirmBy has the upstream told, and the client once it has confirmed.
func (s *session) confirmBy(cmd *command.Command, word string, names []string, c confirmation) {
	if len(names) == 0 {
		s.push(c.reply)
		s.answer(nil)
		s.unpin()
		return
	}
	s.confirm = c
	t := s.noted(cmd, noteConfirm)
	b := resp.AppendArray(s.pin.Begin(64*len(names)), 1+len(names))
	b = resp.AppendBulkString(b, word)
	for _, name := range names {
		b = resp.AppendBulkString(b, name)
	}
	// There is one reply for each name.
	for i := range names {
		if i == len(names)-1 {
			t.note = noteLast
		}
		s.pin.End(b, t)
		b = nil
	}
}

// confirmed brings the upstream's confirmation for one name.
func (s *session) confirmed(t *slot, reply []byte) {
	c := &s.confirm
	if reply[0] == '-' && c.reply != nil {
		// The one reply for all of them.
		if c.ends {
			// Messages go on, and nobody must have them who gets the
			// connection next.
			s.pin.Break(errSubscribed)
			s.completeError(t.seq, string(bytes.TrimRight(reply[1:], "\r\n")))
			s.unsubscribed()
			s.subscriber()
			s.finish()
			return
		}
		for last := t.note == noteLast; !last; {
			next := s.pin.Skip()
			last = next == nil || next.note == noteLast
		}
		s.notSubscribed()
		text := "NOPERM the upstream does not let the proxy subscribe" // its own words may name the channel
		if !bytes.HasPrefix(reply, []byte("-NOPERM")) {
			text = string(bytes.TrimRight(reply[1:], "\r\n"))
		}
		s.completeError(t.seq, text)
		return
	}
	if t.note != noteLast {
		return
	}
	s.push(c.reply)
	s.confirm = confirmation{}
	s.complete(t.seq, nil, false)
}

// notSubscribed takes back what the upstream has not agreed to.
func (s *session) notSubscribed() {
	c := s.confirm
	s.confirm = confirmation{}
	for _, name := range c.added {
		s.subs.remove(c.kind, name)
		if c.kind == patterns {
			s.w.countPattern(s.who.Tenant, name, -1)
		}
	}
	s.recountSubs()
	s.unlisten()
	s.subscriber()
}

// subscriber sets whether the session is one that may do little else.
func (s *session) subscriber() {
	if s.proto == 2 && !s.subs.empty() {
		s.mode |= modeSubscriber
	} else {
		s.mode &^= modeSubscriber
	}
}

// unsubscribed forgets all subscriptions, when the connection that they were on
// is gone.
func (s *session) unsubscribed() {
	if s.subs != nil {
		for name := range s.subs.names[patterns] {
			s.w.countPattern(s.who.Tenant, name, -1)
		}
		if s.onHub {
			s.w.hub.forget(s)
		}
		s.subs = &subscriptions{}
	}
	s.recountSubs()
	s.unlisten()
	s.confirm = confirmation{}
}

func appendConfirmation(b []byte, proto int, word string, name []byte, count int) []byte {
	b = resp.AppendPush(b, proto, 3)
	b = resp.AppendBulkString(b, word)
	if name == nil {
		b = resp.AppendNull(b, proto)
	} else {
		b = resp.AppendBulk(b, name)
	}
	return resp.AppendInt(b, int64(count))
}

// errNotSubscriber is what a client of RESP2 hears that has subscribed.
func errNotSubscriber(cmd *command.Command) string {
	return "ERR Can't execute '" + cmd.Name + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
}

// push writes what the client did not ask for. One that does not read it can
// not be made to wait, so it is closed at the limit.
func (s *session) push(b []byte) {
	if s.gone || len(b) == 0 {
		return
	}
	if s.conn.Unsent()+len(b) > s.w.output {
		s.giveUp()
		return
	}
	s.wrote(len(b))
	s.conn.Write(b)
}

// pubSubChannels is PUBSUB CHANNELS and SHARDCHANNELS [pattern].
func pubSubChannels(s *session, cmd *command.Command, r *namespace.Request) {
	switch r.Len() {
	case 2:
		s.compose(cmd, r.At(0), r.At(1), []byte(namespace.EscapeGlob(s.who.Tenant.Root())+"*"))
	case 3:
		s.send(cmd, r)
	default:
		s.answerError("ERR unknown subcommand or wrong number of arguments for '" + string(quoted(r.At(1), 128)) + "'. Try PUBSUB HELP.")
	}
}

// countPattern keeps the patterns that a tenant's clients of this loop have
// subscribed to.
func (w *worker) countPattern(t *namespace.Tenant, pattern string, by int) {
	m := w.patterns[t.ID]
	if m == nil {
		m = make(map[string]int)
		w.patterns[t.ID] = m
	}
	if m[pattern] += by; m[pattern] == 0 {
		delete(m, pattern)
	}
	if len(m) == 0 {
		delete(w.patterns, t.ID)
	}
}

// pubSubNumPat is PUBSUB NUMPAT: of the patterns of the tenant's clients of this
// proxy. The upstream counts them, but not by whose they are.
func pubSubNumPat(s *session, _ *command.Command, _ *namespace.Request) {
	id := s.who.Tenant.ID
	s.async(func(ctx context.Context) func() {
		all := make(map[string]struct{})
		err := s.w.srv.each(ctx, func(w *worker) {
			for p := range w.patterns[id] {
				all[p] = struct{}{}
			}
		})
		return func() {
			if err != nil {
				s.answerError(errUnavailable)
				return
			}
			s.answer(resp.AppendInt(nil, int64(len(all))))
		}
	})
}
