package upstream

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"riptide-proxy/netloop"
)

// open connects; what is sent meanwhile waits.
func (k *Link[T]) open() {
	k.state = stateOpening
	k.loop.Dial(k.target.descriptor, k.dialed)
}

func (k *Link[T]) dialed(fd int, err error) {
	if err == nil {
		k.conn, err = k.loop.Adopt(fd, netip.AddrPort{}, k)
	}
	if err != nil {
		k.unreachable(err)
		return
	}
	if k.state == stateClosed {
		k.conn.Close(nil)
		return
	}
	k.conn.Trunk()
	hello, replies := k.target.greeting(k.proto)
	k.greet = replies
	k.busy, k.lastSent = k.loop.Now(), 0
	k.log.reset()
	k.conn.Write(hello)
	k.log.skip(len(hello))
}

// unreachable answers what waits, and tries again later.
func (k *Link[T]) unreachable(err error) {
	if k.state == stateClosed {
		return
	}
	if k.lastErr != err.Error() {
		k.lastErr = err.Error()
		slog.Error("the upstream can not be reached", "address", k.target.Address, "error", err)
	}
	k.state = stateDown
	failed := k.waiting
	k.waiting, k.queued = nil, 0
	for i := range failed {
		k.owner.Failed(&failed[i].t, ErrUnavailable)
	}
	k.measure()
	k.loop.After(k.delay(), func() {
		if k.state == stateDown {
			k.retry()
		}
	})
}

// delay is how long to wait before the next attempt: longer every time, and
// not the same for all loops and proxies.
func (k *Link[T]) delay() time.Duration {
	d := k.backoff/2 + rand.N(k.backoff/2)
	k.backoff = min(2*k.backoff, maxBackoff)
	return d
}

// retry connects while commands go on being refused.
func (k *Link[T]) retry() {
	k.loop.Dial(k.target.descriptor, k.dialed)
}

func (k *Link[T]) up() {
	k.state = stateUp
	if k.lastErr != "" {
		slog.Info("the upstream is back", "address", k.target.Address)
	}
	k.lastErr = ""
	k.since = k.loop.Now()
	ready := k.waiting
	k.waiting, k.queued = nil, 0
	for _, w := range ready {
		k.End(append(k.Begin(len(w.req)), w.req...), w.t)
	}
	k.Flush()
}

func (k *Link[T]) greeted(reply []byte) error {
	if reply[0] == '-' && !isBusy(reply) {
		k.owner.Refused()
		return fmt.Errorf("the upstream refused the connection: %s", reply[1:len(reply)-2])
	}
	k.greet--
	if k.greet == 0 {
		k.up()
	}
	return nil
}

// isBusy tells errors that pass by themselves, and that clients are to see.
func isBusy(reply []byte) bool {
	for _, code := range []string{"-LOADING ", "-BUSY ", "-MASTERDOWN "} {
		if len(reply) > len(code) && string(reply[:len(code)]) == code {
			return true
		}
	}
	return false
}

// HungUp implements netloop.Handler. A link is never on hold.
func (k *Link[T]) HungUp() {}

// Ended implements netloop.Handler.
func (k *Link[T]) Ended() { k.conn.Close(errors.New("the upstream closed the connection")) }

// Closed implements netloop.Handler: what was not sent is sent on the next
// connection, what may have run is not, unless it only reads.
func (k *Link[T]) Closed(err error) {
	conn := k.conn
	k.conn = nil
	begun := k.in.reset()
	if k.state == stateClosed {
		return
	}
	if k.greet > 0 { // it never was up
		k.greet = 0
		k.unreachable(err)
		return
	}
	k.greet = 0
	slog.Warn("connection to the upstream lost", "address", k.target.Address, "error", err, "in_flight", k.flight.n)
	k.state = stateOpening
	k.owner.Lost()
	if k.partial {
		k.partial = false
		k.owner.Failed(&k.current, ErrUnknown)
	}
	k.rescue(conn, begun, err)
	k.log.reset()
	k.measure()
	if time.Duration(k.loop.Now()-k.since) > stableTime {
		k.backoff = minBackoff
		k.open()
		return
	}
	// It came and went at once: do not do so as fast as possible.
	k.loop.After(k.delay(), func() {
		if k.state == stateOpening {
			k.open()
		}
	})
}

// rescue sorts the commands in flight. One that may itself be what broke the
// connection is not tried again: the first one, if the server fell silent over
// it, began to answer it, or did not take all of it.
func (k *Link[T]) rescue(conn *netloop.Conn, begun bool, err error) {
	sent, unsent := conn.Sent(), conn.UnsentBytes()
	k.log.hand(func(b []byte) { unsent = append(unsent, b...) })
	flight := k.flight
	k.flight, k.due = ring[T]{}, 0
	k.trip.under = false
	for i := range flight.n {
		e := flight.at(i)
		end := k.log.pos
		if i+1 < flight.n {
			end = flight.at(i + 1).start
		}
		suspect := i == 0 && (errors.Is(err, errSilent) || begun || e.start < sent && end > sent)
		var req []byte
		switch {
		case suspect:
		case e.start >= sent && end-sent <= uint64(len(unsent)):
			req = unsent[e.start-sent : end-sent]
		case end > sent && !k.groups || k.owner.Again(&e.t):
			// Incomplete, so it can not have run; or it does no harm twice.
			req = k.log.bytes(e.start, end)
		}
		if req == nil {
			k.owner.Failed(&e.t, ErrUnknown)
			continue
		}
		k.waiting = append(k.waiting, waiting[T]{e.t, append([]byte(nil), req...)})
		k.queued += len(req)
	}
}

// errSilent tells that the upstream owed a reply for too long.
var errSilent = errors.New("no reply for too long")

// watch closes a connection that owes a reply for too long.
func (k *Link[T]) watch() {
	k.loop.Every(time.Second, func() {
		if k.conn == nil || k.flight.n == 0 && k.greet == 0 && !k.partial {
			return
		}
		if sent := k.conn.Sent(); sent != k.lastSent {
			if k.lastSent < k.headEnd() {
				k.busy = k.loop.Now() // the oldest command is still on its way
			}
			k.lastSent = sent
		}
		limit := k.target.Timeout
		if k.greet > 0 {
			limit = k.target.ConnectTimeout
		}
		if silent := time.Duration(k.loop.Now() - max(k.busy, k.conn.LastInput())); silent > limit {
			k.conn.Close(fmt.Errorf("%w: %v", errSilent, silent.Round(time.Millisecond)))
		}
	})
}

// headEnd is where the oldest unanswered command ends in the output.
func (k *Link[T]) headEnd() uint64 {
	switch k.flight.n {
	case 0:
		return 0
	case 1:
		return k.log.pos
	}
	return k.flight.at(1).start
}
