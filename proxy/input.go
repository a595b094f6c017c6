package proxy

import (
	"riptide-proxy/namespace"
	"riptide-proxy/netloop"
	"riptide-proxy/resp"
)

// How a session takes its client's commands: as many as its turn, its window and
// its tenant's quotas allow.

// Received implements netloop.Handler: requests.
func (s *session) Received(b []byte) (int, netloop.Next) {
	if !s.unread {
		s.arrived = s.head
	}
	n, next := s.take(b)
	s.read(n)
	s.endTurn()
	s.unread = next != netloop.More
	s.held = next == netloop.Hold
	return n, next
}

func (s *session) take(b []byte) (off int, next netloop.Next) {
	w := s.w
	m, tight := s.stats.meter, s.stats.meter.tight()
	for budget := turnCommands; ; budget-- {
		if s.leaving {
			return len(b), netloop.Hold
		}
		if s.slow > 0 || !s.mayTake() {
			return off, netloop.Hold
		}
		if off == len(b) {
			return off, netloop.More
		}
		if w.turns.shared && !s.mayTurn() {
			return off, netloop.Hold
		}
		if budget == 0 {
			return off, netloop.Again
		}
		if s.skipped != nil {
			n, next := s.skip(b[off:])
			if off += n; next != netloop.Again {
				return off, next
			}
			continue
		}
		req := s.partial
		if req == nil {
			req = w.freshRequest()
		}
		n, err := req.Scan(b[off:], s.limits)
		if err != nil {
			w.dropRequest(s, req)
			w.audit.rejectedSession(s, rejectedProtocol, err.Error())
			s.answerError("ERR " + err.Error())
			s.finish()
			return len(b), netloop.Hold
		}
		if n == 0 && s.shape != nil && s.tooLargeAhead(req, b[off:]) {
			w.dropRequest(s, req)
			return len(b), netloop.More
		}
		if n == 0 {
			s.conn.Expect(req.Want())
			if req == &w.request {
				// The session keeps the state; the worker gets another.
				s.partial = w.takeRequest()
				*s.partial, w.request = w.request, *s.partial
				w.scanning = false
			}
			return off, netloop.More
		}
		if len(req.Args) > 0 {
			w.view = namespace.Request{Raw: req.Bytes(b[off : off+n]), Args: req.Args}
			w.direct = &w.view.Raw[0] == &b[off]
			if m != s.stats.meter { // by AUTH
				m, tight = s.stats.meter, s.stats.meter.tight()
			}
			looked := m != nil && (tight || m.ops.Left <= 0)
			if looked {
				switch s.admit(m, &w.view, n) {
				case waits:
					w.dropRequest(s, req)
					return off, netloop.Hold
				case refused:
					w.dropRequest(s, req)
					off += n
					continue
				}
			}
			if w.turns.shared {
				s.link.Expect(s.turn.expect + turnCommand)
			}
			k := s.stats.space
			handled := s.handle(&w.view)
			if k != nil {
				k.handled(handled)
			}
			if !handled {
				w.dropRequest(s, req)
				s.wantIdle = true
				return off, netloop.Hold
			}
			if w.turns.shared {
				s.charge(n)
			}
			if s.counted != nil {
				s.counted.settle()
			}
			if m != nil {
				m.ops.Left--
				if looked {
					w.toll.pay(m)
				}
			}
		}
		w.dropRequest(s, req)
		off += n
	}
}

func (w *worker) dropRequest(s *session, req *resp.Request) {
	if req == s.partial {
		s.partial = nil
		w.giveRequest(req)
		return
	}
	req.Reset()
	w.scanning = false
}

// mayTake reports whether the session may take another command now. If not,
// tryResume will be called when that may have changed.
func (s *session) mayTake() bool {
	if s.tail-s.head >= s.window || s.conn.Unsent() > softOutput || s.parkedBytes > softOutput {
		return false
	}
	if s.mode&modePinned != 0 && (s.pin.Full() || s.w.turns.shared && s.pinLoad() > turnShare) || s.mode&modeHub != 0 && s.onHub && s.w.hub.pin.Full() {
		return false // until Relieved
	}
	if s.link.Full() || s.mode&modeScripts != 0 && s.w.scriptsFull(s) {
		if !s.stalled {
			s.stalled = true
			s.w.stalled = append(s.w.stalled, s)
		}
		return false
	}
	return true
}

// tryResume goes on with a session that was held, if it may.
func (s *session) tryResume() {
	if !s.held || s.gone || s.slow > 0 || s.leaving || s.awaits != nil {
		return
	}
	flight := s.tail - s.head
	if s.wantIdle && flight > 0 || flight > s.window/2 || !s.mayTake() || s.w.turns.shared && s.conn.Unread() > 0 && !s.mayTurn() {
		return
	}
	s.held, s.wantIdle = false, false
	s.conn.Resume()
}
