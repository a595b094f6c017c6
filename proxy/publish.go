package proxy

import (
	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
)

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
		if w.tooLongForHubs(r) {
			s.answerError(errLongMessage)
			return
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

// maxShared is how long a message may be that subscribers who share a
// connection may hear: half of what Redis by default lets wait for a subscriber
// before it closes the connection, and with it everybody's subscriptions.
const maxShared = 16 << 20

const errLongMessage = "ERR the message is longer than what subscribers can be sent that share a connection"

func (w *worker) tooLongForHubs(r *namespace.Request) bool {
	return len(r.Raw) > maxShared && w.srv.audience.active.Load() > 0
}

// publishInTx is PUBLISH and SPUBLISH between MULTI and EXEC.
func publishInTx(s *session, cmd *command.Command, r *namespace.Request) {
	if s.w.tooLongForHubs(r) {
		s.reject(cmd, errLongMessage)
		return
	}
	s.queue(cmd, r)
}
