package proxy

import (
	"bytes"
	"sync"
	"sync/atomic"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/namespace/glob"
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
			if glob.Match([]byte(pattern), name) {
				more += l.more()
			}
		}
	}
	return more
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
