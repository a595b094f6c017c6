package proxy

import (
	"bytes"

	"riptide-proxy/resp"
)

// fanOut brings the hub's messages to the sessions. One message may be for
// thousands, each of which costs a system call at the end of the turn, and
// others of the loop are not to wait for all of them: what one turn may do is
// bounded, and while a message is not with everybody the hub's connection is not
// read further. So every session gets all messages in the order in which they
// came.
type fanOut struct {
	busy    bool     // current is not with everybody yet
	current delivery // the message that is being delivered
	turn    int64    // loop's clock
	budget  int      // what may still be done in this turn
	cost    int      // of a message to a session that has nothing else to be written
}

const (
	// A turn may give out turnBudget. A message to a session that has nothing
	// else to be written costs writeCost, any other 1: what takes long is the
	// writing. When many messages wait, that is worth waiting longer for all of
	// them at once, so then a turn may give out floodBudget, at 1 each.
	turnBudget  = 16 << 10
	writeCost   = 32
	flood       = 1 << 10 // bytes that wait
	floodBudget = 64 << 10
	// sharedMessage is the size from which a message is always passed on
	// without a copy. A smaller one is copied behind what has to be written
	// anyway, since a reference would take as much room.
	sharedMessage = 512
)

// delivery is one message on its way.
type delivery struct {
	n        *hubName
	members  []*session // as they were when it came
	next     int
	split    bool // over several turns
	reply    []byte
	composed [2][]byte // as clients of RESP2 and RESP3 see it
}

// Message implements upstream.PinOwner.
func (h *hub) Message(reply []byte) {
	n := h.concerned(reply)
	if n == nil {
		return
	}
	f := &h.fanOut
	f.current = delivery{n: n, members: n.members, reply: reply}
	if h.deliver() {
		f.current = delivery{}
		return
	}
	n.lent = true
	f.busy = true
	f.current.split = true
	f.current.reply = bytes.Clone(reply)
	h.pin.Pause()
	h.w.loop.Post(h.goOn)
}

// concerned is the name that a message came under, nil if nobody has it.
func (h *hub) concerned(reply []byte) *hubName {
	w := h.w
	fields, ok := resp.Fields(w.fields[:0], reply)
	w.fields = fields
	if !ok || len(fields) < 3 {
		return nil
	}
	kind := channels
	switch string(resp.First(fields[0])) {
	case "message":
	case "pmessage":
		kind = patterns
	case "smessage":
		kind = shards
	default:
		return nil
	}
	return h.names[kind][string(resp.First(fields[1]))]
}

// goOn is another turn's part of a message.
func (h *hub) goOn() {
	f := &h.fanOut
	if !f.busy {
		return // the connection was lost
	}
	if !h.deliver() {
		h.w.loop.Post(h.goOn)
		return
	}
	f.current.n.lent = false
	f.current = delivery{}
	f.busy = false
	h.pin.Resume()
	h.close()
}

// deliver brings the current message to as many as may be in this turn, and
// reports whether all have it.
func (h *hub) deliver() bool {
	f := &h.fanOut
	if now := h.w.loop.Now(); now != f.turn {
		f.turn, f.budget, f.cost = now, turnBudget, writeCost
	}
	if f.cost > 1 && h.pin.Behind() >= flood {
		f.budget, f.cost = f.budget+floodBudget-turnBudget, 1
	}
	d := &f.current
	for ; d.next < len(d.members); d.next++ {
		if f.budget <= 0 {
			return false
		}
		s := d.members[d.next]
		if d.split {
			if _, still := d.n.at[s]; !still {
				continue
			}
		}
		f.budget--
		if s.conn.Unsent() == 0 {
			f.budget -= f.cost - 1
		}
		h.tell(s, d)
	}
	return true
}

// tell gives one session the message. Only one tenant's sessions can have a name
// that has its prefix, and they all see the same; an event is for those of one
// of many.
func (h *hub) tell(s *session, d *delivery) {
	if d.n.root == "" {
		s.Message(d.reply)
		return
	}
	b := &d.composed[s.proto-2]
	if *b == nil {
		*b = s.appendMessage(nil, d.reply)
	}
	s.pushShared(*b)
}

// pushShared is push for what does not change any more.
func (s *session) pushShared(b []byte) {
	unsent := s.conn.Unsent()
	switch {
	case len(b) < sharedMessage && unsent > 0 || s.gone || len(b) == 0 || unsent+len(b) > s.w.output:
		s.push(b)
	default:
		s.wrote(len(b))
		s.conn.WriteShared(b)
	}
}
