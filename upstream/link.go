package upstream

import (
	"errors"
	"time"

	"riptide-proxy/netloop"
)

// Owner is told what becomes of the commands given to a link, in the order in
// which they were given, on the loop.
type Owner[T any] interface {
	// Reply brings a complete reply. It lies in the input that the loop is
	// handling, so netloop.Conn.WriteInput may refer to it. For what was sent
	// as one command but gets several replies, more asks for the next one.
	Reply(t *T, reply []byte) (more bool)
	// Failed brings ErrUnavailable or ErrUnknown in place of a reply.
	Failed(t *T, err error)
	// Oversized is Reply for one that was longer than Target.MaxReply.
	Oversized(t *T) (more bool)
	// Again asks whether a command that was sent may be sent once more.
	Again(t *T) bool
	// Relieved tells that a full link takes commands again.
	Relieved()
	// Refused tells that the server did not let the connection log in.
	Refused()
	// Lost tells that the connection broke: the next one may lead to a server
	// that was started anew.
	Lost()
}

const (
	highMark  = 4 << 20   // unsent bytes from which a link is full
	lowMark   = 512 << 10 // and below which it is not any more
	maxFlight = 1 << 16   // unanswered commands from which it is full

	// Reconnecting begins almost at once and never waits so long that an
	// upstream which has come back is noticed late.
	minBackoff = 20 * time.Millisecond
	maxBackoff = 400 * time.Millisecond
	// stableTime is how long a connection must have lasted to be replaced at
	// once, and for the next delay to be the shortest.
	stableTime = time.Second
)

type state uint8

const (
	stateDown    state = iota // the last attempt to connect failed
	stateOpening              // connecting; commands wait
	stateUp
	stateClosed
)

// Link is a connection of one loop to the target, shared by any number of
// sessions, and connected again whenever it is lost. T is what the owner
// wants to remember of a command until its reply comes.
type Link[T any] struct {
	loop   *netloop.Loop
	target *Target
	proto  int
	owner  Owner[T]

	state state
	conn  *netloop.Conn
	greet int // replies to the greeting that are still to come
	in    replies

	log      log
	flight   ring[T]
	expect   int32 // of the commands to come, see Expect
	due      int   // of those in flight
	trip     trip
	current  T      // being answered
	partial  bool   // and to be given the next reply too
	start    uint64 // where current begins in the output
	end      uint64
	waiting  []waiting[T] // to be sent once connected
	queued   int          // bytes in waiting
	full     bool
	groups   bool
	busy     int64 // loop's clock when flight was empty last
	backoff  time.Duration
	since    int64  // loop's clock when it came up
	lastSent uint64 // bytes the upstream had taken when watch looked last
	limit    func() int
	longest  func(t *T) int
	lastErr  string // of connecting, so that it is logged once and not forever
}

// waiting is a command without a connection.
type waiting[T any] struct {
	t   T
	req []byte
}

// NewLink makes a link that speaks RESP2 or RESP3 and begins to connect.
func NewLink[T any](loop *netloop.Loop, target *Target, proto int, owner Owner[T]) *Link[T] {
	k := &Link[T]{loop: loop, target: target, proto: proto, owner: owner, backoff: minBackoff}
	k.limit = k.replyLimit
	k.open()
	k.watch()
	return k
}

// Groups tells that what is given to the link as one command are several, of
// which one may run though the last one did not arrive.
func (k *Link[T]) Groups() { k.groups = true }

// Longest sets a function that tells how long the reply to a command may be, in
// bytes, where that is less than Target.MaxReply.
func (k *Link[T]) Longest(f func(t *T) int) { k.longest = f }

// replyLimit is how long the reply that comes next may be.
func (k *Link[T]) replyLimit() int {
	limit := k.target.MaxReply
	if k.longest != nil && k.greet == 0 {
		if t := k.Oldest(); t != nil {
			limit = min(limit, k.longest(t))
		}
	}
	return limit
}

// Up reports whether commands can be sent right now.
func (k *Link[T]) Up() bool { return k.state == stateUp }

// Down reports whether the upstream could not be reached at the last try:
// then commands are to be refused at once.
func (k *Link[T]) Down() bool { return k.state == stateDown || k.state == stateClosed }

// Full reports whether the upstream takes less than it is given. Whoever is
// told so waits for Owner.Relieved.
func (k *Link[T]) Full() bool { return k.full }

// Flight is the number of commands without a reply.
func (k *Link[T]) Flight() int { return int(k.flight.n) + len(k.waiting) }

// Expect says what each of the commands that follow counts beside its own bytes, for
// Load: that of its reply, as far as that is known.
func (k *Link[T]) Expect(bytes int32) { k.expect = bytes }

// Load is how much the upstream has to work on: bytes of the commands without a reply,
// and of what is expected of them.
func (k *Link[T]) Load() int {
	if k.flight.n == 0 {
		return k.queued
	}
	return k.queued + int(k.log.pos-k.flight.front().start) + k.due
}

// Trip is how long a command takes there and back that finds the connection idle, by
// the loop's clock; 0 if that is not known yet.
func (k *Link[T]) Trip() time.Duration { return time.Duration(k.trip.time) }

// Begin returns a buffer with room for n bytes to append a command to; End
// takes it back.
func (k *Link[T]) Begin(n int) []byte { return k.log.room(n, k.writeShared) }

// End sends what was appended since Begin as one command.
func (k *Link[T]) End(b []byte, t T) {
	if k.state != stateUp {
		req := append([]byte(nil), b[len(k.log.buf):]...)
		k.waiting = append(k.waiting, waiting[T]{t, req})
		k.queued += len(req)
		k.full = k.full || k.queued > highMark || len(k.waiting) > maxFlight
		return
	}
	k.push(k.log.pos, t)
	k.log.add(b)
}

// EndLarge is End for a command whose parts are not all in the buffer: parts
// that are large are referred to where they are, in the loop's input. It is
// not kept, so the command can not be sent again once it is on its way.
func (k *Link[T]) EndLarge(t T, parts ...[]byte) {
	if k.state != stateUp || k.conn.IsClosed() {
		n := 0
		for _, p := range parts {
			n += len(p)
		}
		b := k.Begin(n)
		for _, p := range parts {
			b = append(b, p...)
		}
		k.End(b, t)
		return
	}
	k.push(k.log.pos, t)
	for _, p := range parts {
		if len(p) >= largePart {
			k.log.hand(k.writeShared)
			k.conn.WriteInput(p)
			k.log.skip(len(p))
			continue
		}
		k.log.add(append(k.Begin(len(p)), p...))
	}
	k.log.hand(k.writeShared)
	k.measure()
}

// largePart is the size from which copying costs more than another piece.
const largePart = 4 << 10

func (k *Link[T]) push(start uint64, t T) {
	if k.flight.n == 0 {
		k.busy = k.loop.Now()
	}
	if !k.trip.under {
		k.trip.begin(start, k.loop.Now(), k.flight.n == 0)
	}
	k.flight.push(entry[T]{t, start, k.expect})
	k.due += int(k.expect)
}

// Flush gives the connection what was gathered in this turn, and lets go of
// what has been answered.
func (k *Link[T]) Flush() {
	if k.state != stateUp {
		return
	}
	k.log.hand(k.writeShared)
	k.measure()
	answered := k.log.pos
	switch {
	case k.partial:
		answered = k.start
	case k.flight.n > 0:
		answered = k.flight.front().start
	}
	k.log.forget(min(answered, k.conn.Sent())) // a server may answer what it has not read
}

func (k *Link[T]) writeShared(b []byte) {
	if k.conn != nil {
		k.conn.WriteShared(b)
	}
}

// measure sets and clears full.
func (k *Link[T]) measure() {
	unsent := k.queued
	if k.conn != nil {
		unsent += k.conn.Unsent()
	}
	switch {
	case !k.full:
		k.full = unsent > highMark || int(k.flight.n) > maxFlight
	case unsent < lowMark && k.flight.n < maxFlight/2:
		k.full = false
		k.owner.Relieved()
	}
}

// Close ends the link. Commands in flight are not answered any more.
func (k *Link[T]) Close() {
	k.state = stateClosed
	if k.conn != nil {
		k.conn.Close(nil)
	}
}

// Received implements netloop.Handler: replies.
func (k *Link[T]) Received(b []byte) (int, netloop.Next) {
	off := 0
	for off < len(b) {
		reply, n, dropped, err := k.in.next(k.conn, b[off:], k.limit)
		off += n
		if err == nil && reply != nil {
			err = k.reply(reply, dropped)
		}
		if err != nil {
			k.conn.Close(err)
		}
		if k.conn.IsClosed() {
			return len(b), netloop.Hold // by the owner or by Break: whose the rest is, nobody knows
		}
		if reply == nil {
			break
		}
	}
	return off, netloop.More
}

func (k *Link[T]) reply(reply []byte, dropped bool) error {
	if k.in.scan.Push() {
		return nil // nothing on a shared connection asks for one
	}
	if k.greet > 0 {
		return k.greeted(reply)
	}
	if !k.partial {
		if k.flight.n == 0 {
			return errors.New("a reply that nobody asked for")
		}
		e := k.flight.front()
		k.current, k.start = e.t, e.start
		k.due -= int(e.due)
		if k.trip.under && e.start == k.trip.start {
			k.trip.end(k.loop.Now())
		}
		k.flight.pop()
		k.end = k.log.pos
		if k.flight.n > 0 {
			k.end = k.flight.front().start
		}
	}
	if dropped {
		k.partial = k.owner.Oversized(&k.current)
	} else {
		k.partial = k.owner.Reply(&k.current, reply)
	}
	return nil
}

// Request is the command whose reply is being handled, as it was sent, or nil if
// it is not held any more: long ones are not. It is valid until the end of the turn.
func (k *Link[T]) Request() []byte { return k.log.bytes(k.start, k.end) }

// Oldest is the command that is to be answered next, as it was sent; nil if
// there is none.
func (k *Link[T]) Oldest() *T {
	switch {
	case k.partial:
		return &k.current
	case k.flight.n > 0:
		return &k.flight.front().t
	}
	return nil
}

// Break closes the connection, for a server that does not keep to what it
// should answer. The link connects again.
func (k *Link[T]) Break(err error) {
	if k.conn != nil {
		k.conn.Close(err)
	}
}

// Written implements netloop.Handler.
func (k *Link[T]) Written() { k.measure() }
