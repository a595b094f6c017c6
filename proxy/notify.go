package proxy

import (
	"bytes"
	"strings"

	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

// What Redis publishes by itself: the events of keys, under channels that name
// the upstream's database 0 and keys with their prefix. A tenant's
// subscription to them is one to its own ordinary channel of that name, and one to the
// upstream's events, of which only the tenant's pass.
//
//	__keyspace@<db>__:<key> with the event, is __keyspace@0__:t:<tenant>:<db>:<key>
//	__keyevent@<db>__:<event> with the key, is __keyevent@0__:<event>

const (
	keyspace   = "__keyspace@"
	keyevent   = "__keyevent@"
	upKeyspace = keyspace + "0__:"
	upKeyevent = keyevent + "0__:"
)

// upstreamNames are what the upstream calls what a client subscribes to.
func (s *session) upstreamNames(kind int, name string) []string {
	t := s.who.Tenant
	up := []string{string(t.Root()) + name}
	switch kind {
	case channels:
		if db, rest, ok := cutEvent(t, name, keyspace); ok {
			up = append(up, upKeyspace+string(t.Prefix(db))+rest)
		} else if _, rest, ok := cutEvent(t, name, keyevent); ok {
			up = append(up, upKeyevent+rest)
		}
	case patterns:
		literal := name[:literalLength(name)]
		if db, _, ok := cutEvent(t, literal, keyspace); ok {
			_, rest, _ := strings.Cut(name, "__:")
			up = append(up, upKeyspace+namespace.EscapeGlob(t.Prefix(db))+rest)
		} else if mayBegin(literal, keyspace) {
			up = append(up, upKeyspace+namespace.EscapeGlob(t.Root())+"*")
		}
		if _, _, ok := cutEvent(t, literal, keyevent); ok {
			_, rest, _ := strings.Cut(name, "__:")
			up = append(up, upKeyevent+rest)
		} else if mayBegin(literal, keyevent) {
			up = append(up, upKeyevent+"*")
		}
	}
	return up
}

// cutEvent takes the name of an event channel apart: "__keyspace@<db>__:" and
// the rest.
func cutEvent(t *namespace.Tenant, name, word string) (db int, rest string, ok bool) {
	name, ok = strings.CutPrefix(name, word)
	if !ok {
		return 0, "", false
	}
	digits, rest, ok := strings.Cut(name, "__:")
	if !ok {
		return 0, "", false
	}
	db, _, ok = t.Database([]byte(digits), nil)
	return db, rest, ok
}

// literalLength is how much of a pattern has no special meaning.
func literalLength(pattern string) int {
	if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
		return i
	}
	return len(pattern)
}

// mayBegin reports whether a name that begins with word may begin with literal,
// and a pattern go on from there.
func mayBegin(literal, word string) bool {
	return strings.HasPrefix(word, literal) || strings.HasPrefix(literal, word)
}

// translateEvent makes an event of the upstream's the tenant's; ok is false if it
// is about somebody else's key.
func translateEvent(t *namespace.Tenant, channel, payload []byte) (_, _ []byte, ok bool) {
	if name, is := bytes.CutPrefix(channel, []byte(upKeyspace)); is {
		db, key, ok := t.Split(name)
		return append(eventChannel(keyspace, db), key...), payload, ok
	}
	if event, is := bytes.CutPrefix(channel, []byte(upKeyevent)); is {
		db, key, ok := t.Split(payload)
		return append(eventChannel(keyevent, db), event...), key, ok
	}
	return nil, nil, false
}

func eventChannel(word string, db int) []byte {
	b := resp.AppendInt([]byte(word), int64(db)) // :<db>CRLF behind the word
	b = append(b[:len(word)], b[len(word)+1:len(b)-2]...)
	return append(b, "__:"...)
}

type messageClass uint8

const (
	isReply messageClass = iota
	isMessage
	isConfirmation
)

// messageClasses are by the first word.
var messageClasses = func() map[string]messageClass {
	m := map[string]messageClass{
		"message": isMessage, "pmessage": isMessage, "smessage": isMessage,
		"invalidate": isMessage, "tracking-redir-broken": isMessage,
	}
	for kind := range kinds {
		m[subscribeWords[kind]], m[unsubscribeWords[kind]] = isConfirmation, isConfirmation
	}
	return m
}()

// messageKind tells by its first word what a push is, or in RESP2 an array that
// a subscriber gets.
func messageKind(reply []byte) messageClass {
	if len(reply) == 0 || reply[0] != '*' && reply[0] != '>' {
		return isReply
	}
	return messageClasses[string(resp.First(reply))]
}

// Message implements upstream.PinOwner.
func (s *session) Message(reply []byte) {
	w := s.w
	if s.delays {
		// EXEC's reply is not here yet, and comes before what the transaction has caused.
		if s.delayedBytes < maxDelayed {
			s.delayed = append(s.delayed, bytes.Clone(reply))
			s.delayedBytes += len(reply)
			return
		}
		s.tellDelayed() // in their order at least
	}
	w.message = s.appendMessage(w.message[:0], reply)
	s.push(w.message)
	if cap(w.message) > maxScratch {
		w.message = nil
	}
}

// maxDelayed is how many bytes of messages may wait for EXEC's reply.
const maxDelayed = 1 << 20

// tellDelayed brings the messages that came while EXEC was under way.
func (s *session) tellDelayed() {
	delayed := s.delayed
	s.delays, s.delayed, s.delayedBytes = false, nil, 0
	for _, m := range delayed {
		s.Message(m)
	}
}

// appendMessage appends a message as the client is to see it, or nothing if it
// is none of the tenant's.
func (s *session) appendMessage(b, reply []byte) []byte {
	w := s.w
	fields, ok := resp.Fields(w.fields[:0], reply)
	w.fields = fields
	if !ok || len(fields) == 0 || s.who == nil {
		return b
	}
	switch kind := string(resp.First(fields[0])); {
	case kind == "message" && len(fields) == 3 && string(resp.First(fields[1])) == invalidateChannel:
		return s.appendInvalidation(b, resp.AppendBulkString(nil, kind), fields[1], fields[2])
	case kind == "message" && len(fields) == 3:
		return s.appendPlain(b, kind, channels, resp.First(fields[1]), resp.First(fields[2]))
	case kind == "smessage" && len(fields) == 3:
		return s.appendPlain(b, kind, shards, resp.First(fields[1]), resp.First(fields[2]))
	case kind == "pmessage" && len(fields) == 4:
		return s.appendMatch(b, resp.First(fields[1]), resp.First(fields[2]), resp.First(fields[3]))
	case kind == "invalidate" && len(fields) == 2:
		return s.appendInvalidation(b, fields[0], nil, fields[1])
	case kind == "tracking-redir-broken" && s.tracking:
		b = resp.AppendPush(b, s.proto, 2)
		b = resp.AppendBulkString(b, kind)
		return resp.AppendInt(b, s.redirect)
	}
	return b
}

// appendPlain is for what came through a channel.
func (s *session) appendPlain(b []byte, word string, kind int, channel, payload []byte) []byte {
	own, ok := bytes.CutPrefix(channel, s.who.Tenant.Root())
	if !ok && kind == channels {
		own, payload, ok = translateEvent(s.who.Tenant, channel, payload)
	}
	if !ok || s.subs == nil {
		return b
	}
	if _, ok = s.subs.names[kind][string(own)]; !ok {
		return b
	}
	b = resp.AppendPush(b, s.proto, 3)
	b = resp.AppendBulkString(b, word)
	b = resp.AppendBulk(b, own)
	return resp.AppendBulk(b, payload)
}

// appendMatch is for what came through a pattern. Several of the client's may
// stand behind one of the upstream's.
func (s *session) appendMatch(b []byte, pattern, channel, payload []byte) []byte {
	if s.subs == nil {
		return b
	}
	own, ok := bytes.CutPrefix(channel, s.who.Tenant.Root())
	event := !ok
	if event {
		own, payload, ok = translateEvent(s.who.Tenant, channel, payload)
	}
	if !ok {
		return b
	}
	for _, name := range s.subs.up[patterns][string(pattern)] {
		if len(b) > s.w.output {
			break // the client is going to be closed for it
		}
		if event && !namespace.MatchGlob([]byte(name), own) {
			continue
		}
		b = resp.AppendPush(b, s.proto, 4)
		b = resp.AppendBulkString(b, "pmessage")
		b = resp.AppendBulkString(b, name)
		b = resp.AppendBulk(b, own)
		b = resp.AppendBulk(b, payload)
	}
	return b
}

// invalidateChannel is where RESP2 clients hear that keys have changed.
const invalidateChannel = "__redis__:invalidate"

// appendInvalidation is for keys that have changed.
func (s *session) appendInvalidation(b, word, channel, keys []byte) []byte {
	n := 2
	if channel != nil {
		n = 3
	}
	list, all, isList := resp.ArrayElements(keys)
	var own [][]byte
	for range list {
		size, err := resp.ValueSize(all)
		if err != nil {
			return b
		}
		if _, key, ok := s.who.Tenant.Split(resp.First(all[:size])); ok {
			own = append(own, key)
		}
		all = all[size:]
	}
	if isList && len(own) == 0 {
		return b
	}
	b = resp.AppendPush(b, s.proto, n)
	b = append(append(b, word...), channel...)
	if !isList {
		return append(b, keys...) // null: everything
	}
	b = resp.AppendArray(b, len(own))
	for _, key := range own {
		b = resp.AppendBulk(b, key)
	}
	return b
}
