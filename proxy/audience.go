package proxy

import (
	"bytes"
	"sync"
	"sync/atomic"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

// audience is who listens through hubs, over all loops. The upstream counts a
// hub as one subscriber, and PUBLISH is to tell how many clients there are. It
// is looked at by publishers only while there is a hub with a subscriber.
//
// Counts are exact whenever nobody subscribes to the channel or leaves it at
// the very same time, and all who share a hub use this process: other proxies'
// hubs count as one each.
type audience struct {
	active   atomic.Int64 // names
	mu       sync.RWMutex
	names    [kinds]map[string]*listeners     // channels and shard channels
	patterns map[string]map[string]*listeners // by the tenant's root
}

// listeners are those of one name of the upstream's.
type listeners struct{ hubs, sessions int }

// change adds to the numbers of a name.
func (a *audience) change(kind int, root, name string, hubs, sessions int) {
	if hubs == 0 && sessions == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.names[kind]
	if kind == patterns {
		m = a.patterns[root]
	}
	if m == nil {
		m = make(map[string]*listeners)
		if a.names[kind] = m; kind == patterns {
			if a.names[kind] = nil; a.patterns == nil {
				a.patterns = make(map[string]map[string]*listeners)
			}
			a.patterns[root] = m
		}
	}
	l := m[name]
	if l == nil {
		l = new(listeners)
		m[name] = l
		a.active.Add(1)
	}
	l.hubs += hubs
	l.sessions += sessions
	if l.hubs == 0 && l.sessions == 0 {
		delete(m, name)
		a.active.Add(-1)
		if kind == patterns && len(m) == 0 {
			delete(a.patterns, root)
		}
	}
}

// subscribers is how many more there are of a channel than the upstream counts.
func (a *audience) subscribers(kind int, name []byte) (more int) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.names[kind][string(name)].more()
}

func (l *listeners) more() int {
	if l == nil {
		return 0
	}
	return l.sessions - l.hubs
}

// receivers is how many more get a message than the upstream counts.
func (a *audience) receivers(kind int, root, name []byte) (more int) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	more = a.names[kind][string(name)].more()
	if kind == channels {
		for pattern, l := range a.patterns[string(root)] {
			if namespace.MatchGlob([]byte(pattern), name) {
				more += l.more()
			}
		}
	}
	return more
}

// published is a PUBLISH that is not answered, whose reply is to be corrected.
type published struct {
	seq  uint32
	kind int
	name []byte // as the upstream has it
}

// publish is PUBLISH channel message and SPUBLISH. In a transaction and in a
// script the upstream's count stands.
//
// A client of RESP3 may listen to its own messages, and in Redis hears one
// before the reply to what it published (7.0) or right after it, in any case in
// the order in which it published several. So what such a client of the hub
// publishes takes the hub's connection.
func publish(kind int) func(*session, *command.Command, *namespace.Request) {
	return func(s *session, cmd *command.Command, r *namespace.Request) {
		w := s.w
		if s.head == s.tail {
			s.published = nil
		}
		if w.srv.audience.active.Load() > 0 {
			s.published = append(s.published, published{s.tail, kind, join(s.who.Tenant.Root(), r.At(1))})
		}
		if !s.publishesOnHub() || len(r.Raw) > w.maxBulk-maxPrefix {
			s.send(cmd, r)
			return
		}
		s.mode |= modeHub
		root := s.who.Tenant.Root()
		b := w.hub.pin.Begin(len(r.Raw) + len(root) + 24)
		w.hub.pin.End(r.AppendPrefixed(b, 1, root), s.slot(cmd))
	}
}

func (s *session) publishesOnHub() bool {
	return s.onHub && s.proto == 3 && s.w.hub.pin != nil
}

// reached corrects the reply to a PUBLISH. What failed has left its mark in
// published, before those that are answered.
func (s *session) reached(seq uint32, reply []byte) []byte {
	for len(s.published) > 0 && int32(s.published[0].seq-seq) < 0 {
		s.published = s.published[1:]
	}
	if len(s.published) == 0 || s.published[0].seq != seq {
		return reply
	}
	p := s.published[0]
	if s.published = s.published[1:]; len(s.published) == 0 {
		s.published = nil
	}
	if reply[0] != ':' || s.who == nil {
		return reply
	}
	n, _ := resp.ParseInt(reply[1 : len(reply)-2])
	more := s.w.srv.audience.receivers(p.kind, s.who.Tenant.Root(), p.name)
	if more == 0 {
		return reply
	}
	s.w.reply = resp.AppendInt(s.w.reply[:0], max(0, n+int64(more)))
	return s.w.reply
}

// subscribersOf brings the reply of PUBSUB NUMSUB and SHARDNUMSUB.
func subscribersOf(kind int) func(*session, *command.Command, []byte) []byte {
	return func(s *session, cmd *command.Command, reply []byte) []byte {
		a := &s.w.srv.audience
		if reply[0] == '*' && a.active.Load() > 0 {
			fields, ok := resp.Fields(nil, reply)
			if ok && len(fields)%2 == 0 {
				end := bytes.IndexByte(reply, '\n') + 1
				b := append(make([]byte, 0, len(reply)+16), reply[:end]...)
				for i := 0; i < len(fields); i += 2 {
					b = append(b, fields[i]...)
					count := fields[i+1]
					n, _ := resp.ParseInt(count[1 : len(count)-2])
					b = resp.AppendInt(b, max(0, n+int64(a.subscribers(kind, resp.First(fields[i])))))
				}
				reply = b
			}
		}
		if reply[0] == '-' {
			return reply
		}
		var err error
		s.w.reply, err = namespace.Restore(s.w.reply[:0], reply, cmd.ReplyKeys, s.prefixOf(cmd))
		if err != nil {
			return s.garbled(cmd, err)
		}
		return s.w.reply
	}
}
