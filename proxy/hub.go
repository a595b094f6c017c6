package proxy

import (
	"log/slog"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/resp"
	"riptide-proxy/upstream"
)

// hub is the one upstream connection of a loop on which the subscriptions of
// any number of sessions are. Blocked clients must have connections of their
// own and subscribers need not, and an upstream does not take one for each of
// thousands.
//
// Every SUBSCRIBE of a session is sent, also one for a name that the hub has
// already: the upstream confirms it again, and where the confirmation stands
// among the messages is from when on the session hears them. So what was
// published before a client subscribed never reaches it.
type hub struct {
	w        *worker
	pin      *upstream.Pin[slot] // nil while nobody needs it
	names    [kinds]map[string]*hubName
	sessions map[*session]struct{} // whose subscriptions are here
	asked    []hubOrder            // without all their confirmations
	fanOut   fanOut
}

// hubName is a name of the upstream's that sessions have subscribed to.
type hubName struct {
	kind    int
	name    string
	root    string           // of the tenant that alone can have it; empty: it is about the events of keys
	members []*session       // who hear what comes
	at      map[*session]int // where they stand in members
	asked   int              // SUBSCRIBEs for it that are not confirmed
	up      bool             // the upstream has confirmed, and not the opposite since
	lent    bool             // a message is on its way to members, which must not change
}

// hubOrder is a SUBSCRIBE or UNSUBSCRIBE that the upstream is to confirm, once
// for each name.
type hubOrder struct {
	s     *session // who waits for it; nil: nobody
	kind  int
	join  bool
	names []*hubName
	done  int
}

func newHub(w *worker) *hub {
	h := &hub{w: w, sessions: make(map[*session]struct{})}
	for kind := range h.names {
		h.names[kind] = make(map[string]*hubName)
	}
	return h
}

// open reports whether the hub has a connection, or gets one.
func (h *hub) open() bool {
	if h.pin == nil {
		h.pin = h.w.pins.Take(3, h)
	}
	return h.pin != nil
}

// close gives the connection back when nothing is on it any more.
func (h *hub) close() {
	if h.pin == nil || len(h.sessions) > 0 || len(h.asked) > 0 || h.pin.Flight() > 0 || h.fanOut.busy {
		return
	}
	for kind := range h.names {
		if len(h.names[kind]) > 0 {
			return
		}
	}
	h.w.pins.Give(h.pin)
	h.pin = nil
}

// join subscribes a session to names. It is a member of each once the upstream
// confirms it, and confirmed itself with the last one.
func (h *hub) join(s *session, cmd *command.Command, kind int, names []string) {
	o := hubOrder{s: s, kind: kind, join: true}
	for _, name := range names {
		n := h.names[kind][name]
		if n == nil {
			n = &hubName{kind: kind, name: name, at: make(map[*session]int)}
			if root := string(s.who.Tenant.Root()); len(name) >= len(root) && name[:len(root)] == root {
				n.root = root
			}
			h.names[kind][name] = n
		}
		n.asked++
		o.names = append(o.names, n)
	}
	h.ask(o, s.noted(cmd, noteConfirm))
}

// leave takes a session off names. It reports whether the upstream has to be told,
// in which case the session, if it waits, is confirmed when that is done.
func (h *hub) leave(s *session, kind int, names []string) (last []*hubName) {
	for _, name := range names {
		n := h.names[kind][name]
		if n == nil {
			continue
		}
		h.remove(n, s)
		if n.unused() {
			last = append(last, n)
		}
	}
	return last
}

// quit has the upstream forget names. s is whom t belongs to, nil for nobody.
func (h *hub) quit(s *session, kind int, last []*hubName, t slot) {
	h.ask(hubOrder{s: s, kind: kind, names: last}, t)
}

// ask sends an order. There will be one confirmation for each name.
func (h *hub) ask(o hubOrder, t slot) {
	if h.pin == nil { // it was lost, and with it all that is to be forgotten
		return
	}
	words := &unsubscribeWords
	if o.join {
		words = &subscribeWords
	}
	b := resp.AppendArray(h.pin.Begin(64*len(o.names)), 1+len(o.names))
	b = resp.AppendBulkString(b, words[o.kind])
	for _, n := range o.names {
		b = resp.AppendBulkString(b, n.name)
	}
	t.note = noteConfirm
	for i := range o.names {
		if i == len(o.names)-1 {
			t.note = noteLast
		}
		h.pin.End(b, t)
		b = nil
	}
	h.asked = append(h.asked, o)
}

// forget takes a session off everything.
func (h *hub) forget(s *session) {
	delete(h.sessions, s)
	for kind := range s.subs.up {
		names := make([]string, 0, len(s.subs.up[kind]))
		for name := range s.subs.up[kind] {
			names = append(names, name)
		}
		if last := h.leave(s, kind, names); len(last) > 0 {
			h.quit(nil, kind, last, h.own(unsubscribeRow))
		}
	}
	h.close()
}

var unsubscribeRow = command.Lookup([]byte("unsubscribe"))

// own is a slot of the hub's own.
func (h *hub) own(cmd *command.Command) slot {
	return slot{cmd: cmd, at: h.w.loop.Now(), note: noteDrop}
}

// unused reports whether the upstream may forget the name.
func (n *hubName) unused() bool { return len(n.members) == 0 && n.asked == 0 }

// add makes a session a member.
func (h *hub) add(n *hubName, s *session) {
	if _, has := n.at[s]; has {
		return
	}
	n.own()
	n.at[s] = len(n.members)
	n.members = append(n.members, s)
	h.count(n, 0, 1)
}

// remove takes a member out.
func (h *hub) remove(n *hubName, s *session) {
	i, has := n.at[s]
	if !has {
		return
	}
	n.own()
	end := len(n.members) - 1
	last := n.members[end]
	n.members[i], n.at[last] = last, i
	n.members[end] = nil
	n.members = n.members[:end]
	delete(n.at, s)
	h.count(n, 0, -1)
}

// own makes the list of members one that may change.
func (n *hubName) own() {
	if n.lent {
		n.members = append([]*session(nil), n.members...)
		n.lent = false
	}
}

// count keeps the audience, which publishers' replies are corrected by.
func (h *hub) count(n *hubName, hubs, sessions int) {
	if n.root != "" {
		h.w.srv.audience.change(n.kind, n.root, n.name, hubs, sessions)
	}
}

// Answers implements upstream.PinOwner.
func (h *hub) Answers(reply []byte, push bool) bool {
	return !push || messageKind(reply) == isConfirmation
}

// Reply implements upstream.PinOwner.
func (h *hub) Reply(t *slot, reply []byte) {
	switch t.note {
	case noteConfirm, noteLast:
		h.confirmed(t, reply)
	case noteDrop:
	default:
		h.w.Reply(t, reply) // a PUBLISH, see publish
	}
	h.close()
}

// confirmed brings the upstream's confirmation for one name.
func (h *hub) confirmed(t *slot, reply []byte) {
	o := &h.asked[0]
	if reply[0] == '-' {
		// The one reply for all of them.
		for last := t.note == noteLast; !last; {
			next := h.pin.Skip()
			last = next == nil || next.note == noteLast
		}
		for _, n := range o.names[o.done:] {
			h.settle(o, n, false)
		}
		h.end(t, "NOPERM the upstream does not let the proxy subscribe")
		return
	}
	h.settle(o, o.names[o.done], true)
	if o.done++; t.note == noteLast {
		h.end(t, "")
	}
}

// settle takes note of what the upstream has done about one name.
func (h *hub) settle(o *hubOrder, n *hubName, done bool) {
	if o.join {
		n.asked--
	}
	if done && n.up != o.join {
		n.up = o.join
		if n.up {
			h.count(n, 1, 0)
		} else {
			h.count(n, -1, 0)
		}
	}
	if s := o.s; done && o.join && s.hears(n) {
		h.add(n, s)
	}
	switch {
	case !n.unused():
	case o.join && n.up:
		// Who asked for it has left meanwhile.
		h.quit(nil, n.kind, []*hubName{n}, h.own(unsubscribeRow))
	case !n.up && h.names[n.kind][n.name] == n:
		delete(h.names[n.kind], n.name)
	}
}

// hears reports whether a session is still to hear what comes under a name.
func (s *session) hears(n *hubName) bool {
	return s != nil && !s.gone && s.onHub && s.subs != nil && len(s.subs.up[n.kind][n.name]) > 0
}

// end takes an order off the list, and tells who waits for it.
func (h *hub) end(t *slot, failed string) {
	s, joined := h.asked[0].s, h.asked[0].join
	h.asked[0] = hubOrder{}
	if h.asked = h.asked[1:]; len(h.asked) == 0 {
		h.asked = nil
	}
	if s == nil || s.gone {
		return
	}
	h.w.answered(t, nil)
	if failed != "" && joined {
		s.notSubscribed()
		s.completeError(t.seq, failed)
		return
	}
	s.push(s.confirm.reply)
	s.confirm = confirmation{}
	s.complete(t.seq, nil, false)
	s.unpin()
}

// Oversized implements upstream.PinOwner.
func (h *hub) Oversized(t *slot) { h.Failed(t, errOversized) }

// Failed implements upstream.PinOwner.
func (h *hub) Failed(t *slot, err error) {
	switch t.note {
	case noteConfirm, noteDrop:
	case noteLast:
		h.end(t, err.Error())
	default:
		h.w.Failed(t, err)
	}
}

// Lost implements upstream.PinOwner. Messages may be missing from now on, which
// clients learn by losing their connections, as they would from Redis.
func (h *hub) Lost(err error) {
	h.pin = nil
	h.asked = nil
	h.fanOut = fanOut{}
	for kind := range h.names {
		for name, n := range h.names[kind] {
			if n.up {
				h.count(n, -1, 0)
			}
			h.count(n, 0, -len(n.members))
			delete(h.names[kind], name)
		}
	}
	if n := len(h.sessions); n > 0 {
		slog.Info("clients closed: the connection to the upstream that their subscriptions are on is lost", "clients", n, "error", err)
	}
	for s := range h.sessions {
		s.unsubscribed()
		s.mode &^= modeSubscriber
		s.finish()
	}
	clear(h.sessions)
}

// Relieved implements upstream.PinOwner.
func (h *hub) Relieved() {
	for s := range h.sessions {
		s.tryResume()
	}
}

// watch finds out when the upstream is gone without having said so: with nothing
// under way a hub has only messages to wait for, and there may be none for days.
func (h *hub) watch(limit time.Duration) {
	if h.pin == nil || h.fanOut.busy {
		return
	}
	switch quiet := h.pin.Quiet(); {
	case quiet > limit && h.pin.Flight() > 0:
		h.pin.Break(errPinSilent)
	case quiet > limit/2 && h.pin.Flight() == 0:
		h.pin.End(resp.AppendRequest(h.pin.Begin(32), "PING"), h.own(pingRow))
	}
}

var _ upstream.PinOwner[slot] = (*hub)(nil)
