package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"riptide-proxy/netloop"
	"riptide-proxy/resp"
)

// PinOwner is whom a pin belongs to at a time. It is told what becomes of its
// commands, in the order in which it gave them, on the loop.
type PinOwner[T any] interface {
	// Answers tells whether something that arrived answers the oldest command
	// without a reply, or is a message that nobody asked for. push is how RESP3 marks the
	// latter, and confirmations of subscriptions as well.
	Answers(reply []byte, push bool) bool
	// Message brings what does not answer anything.
	Message(reply []byte)
	// Reply brings what answers a command. It may give the pin back.
	Reply(t *T, reply []byte)
	// Oversized is Reply for one that was longer than Target.MaxReply.
	Oversized(t *T)
	// Failed brings an error in place of a reply, when the connection is lost.
	Failed(t *T, err error)
	// Lost tells that the connection is gone, after all has Failed. The pin
	// is not to be used any more.
	Lost(err error)
	// Relieved tells that a pin which was full takes commands again.
	Relieved()
}

// Pin is a connection to the target that belongs to one owner at a time, for
// what leaves state on a connection. It is not connected again when it breaks:
// the state is lost then.
type Pin[T any] struct {
	pool  *Pins[T]
	owner PinOwner[T] // nil in the pool
	state state
	conn  *netloop.Conn
	proto int
	id    int64
	dirty bool // not to be used by anybody else

	greet   int
	in      replies
	flight  ring[T]
	waiting []byte // to be sent once connected
	base    uint64 // bytes of the greeting
	pos     uint64 // of commands given so far
	full    bool
	paused  bool
	behind  int   // bytes that have arrived behind what the owner is told of
	since   int64 // loop's clock when it was given back
	opening *netloop.Timer
	limit   func() int
}

// Proto is the version of the protocol that it speaks.
func (p *Pin[T]) Proto() int { return p.proto }

// replyLimit is how long the reply that comes next may be, as for a Link.
func (p *Pin[T]) replyLimit() int {
	limit := p.pool.target.MaxReply
	if p.pool.Longest != nil && p.greet == 0 {
		if t := p.Oldest(); t != nil {
			limit = min(limit, p.pool.Longest(t))
		}
	}
	return limit
}

// Speaks notes that its owner changed the version with HELLO.
func (p *Pin[T]) Speaks(proto int) { p.proto = proto }

// ID is the server's number for the connection; 0 until it is connected.
func (p *Pin[T]) ID() int64 { return p.id }

// Spoil has the connection closed, and not used by anybody else, when it is
// given back.
func (p *Pin[T]) Spoil() { p.dirty = true }

// Flight is the number of commands without a reply.
func (p *Pin[T]) Flight() int { return int(p.flight.n) }

// Load is the bytes of the commands without a reply.
func (p *Pin[T]) Load() int {
	if p.flight.n == 0 {
		return 0
	}
	return int(p.pos - p.flight.front().start)
}

// Oldest is the command that is to be answered next; nil if there is none.
func (p *Pin[T]) Oldest() *T {
	if p.flight.n == 0 {
		return nil
	}
	return &p.flight.front().t
}

// Skip takes back the command that is to be answered next, for a server that
// gives fewer replies than were expected. It returns nil if there is none.
func (p *Pin[T]) Skip() *T {
	if p.flight.n == 0 {
		return nil
	}
	t := p.flight.front().t
	p.flight.pop()
	return &t
}

// Full reports whether the server takes less than it is given. The owner is
// told by Relieved when that is over.
func (p *Pin[T]) Full() bool { return p.full }

// Quiet is for how long the server has sent nothing, and taken nothing, on the
// loop's clock.
func (p *Pin[T]) Quiet() time.Duration {
	if p.conn == nil {
		return 0 // opening has its own limit
	}
	return time.Duration(p.pool.loop.Now() - max(p.conn.LastInput(), p.conn.LastOutput()))
}

// Begin returns a buffer with room for n bytes to append a command to.
func (p *Pin[T]) Begin(n int) []byte {
	if cap(p.pool.buf) < n {
		p.pool.buf = make([]byte, 0, n)
	}
	return p.pool.buf[:0]
}

// End sends the command in b, which need not come from Begin. It is copied.
func (p *Pin[T]) End(b []byte, t T) {
	p.flight.push(entry[T]{t: t, start: p.pos})
	p.pos += uint64(len(b))
	if p.state != stateUp {
		p.waiting = append(p.waiting, b...)
		p.full = p.full || len(p.waiting) > highMark
	} else {
		p.conn.Write(b)
		if !p.full && p.conn.Unsent() > highMark {
			p.full = true
			p.pool.loop.After(0, p.measure) // Written is told of what had to wait only
		}
	}
	if cap(p.pool.buf) > maxPinBuffer {
		p.pool.buf = nil
	}
}

// maxPinBuffer is how large a buffer may be to be kept for the next command.
const maxPinBuffer = 1 << 20

// Pause has the owner told of nothing more, and nothing more read, until
// Resume, which is for a later turn. To be called while the owner is told of something.
func (p *Pin[T]) Pause() { p.paused = true }

// Behind is how many bytes have arrived behind what the owner was told of last,
// as far as they have been read.
func (p *Pin[T]) Behind() int { return p.behind }

// Resume ends Pause.
func (p *Pin[T]) Resume() {
	p.paused = false
	if p.conn != nil {
		p.conn.Resume()
	}
}

// Break closes the connection as if it were lost.
func (p *Pin[T]) Break(err error) {
	if p.conn != nil {
		p.conn.Close(err)
	}
}

// Close closes the connection, and tells the owner nothing any more. It is what
// becomes of a blocked command whose client has left.
func (p *Pin[T]) Close() {
	if p.state == stateClosed {
		return
	}
	p.state = stateClosed
	p.owner = nil
	p.pool.loop.Stop(p.opening)
	p.pool.left(p)
	p.Break(nil)
}

// late ends a connection that takes too long to open, be it that others are
// opened first, or that the server does not greet.
func (p *Pin[T]) late() {
	switch {
	case p.state != stateOpening:
	case p.conn != nil:
		p.Break(errSilent)
	default:
		p.lost(ErrUnavailable)
	}
}

func (p *Pin[T]) dialed(fd int, err error) {
	if p.state == stateClosed {
		if err == nil {
			unix.Close(fd)
		}
		return
	}
	if err == nil {
		p.conn, err = p.pool.loop.Adopt(fd, netip.AddrPort{}, p)
	}
	if err != nil {
		p.lost(ErrUnavailable)
		return
	}
	hello, replies := p.pool.target.login(p.proto)
	hello = resp.AppendRequest(hello, "CLIENT", "ID")
	p.greet = replies + 1
	p.conn.Write(hello)
}

// Received implements netloop.Handler: replies.
func (p *Pin[T]) Received(b []byte) (int, netloop.Next) {
	off := 0
	for off < len(b) {
		reply, n, dropped, err := p.in.next(p.conn, b[off:], p.limit)
		off += n
		if err == nil && reply != nil {
			p.behind = len(b) - off
			err = p.reply(reply, dropped)
		}
		if err != nil {
			p.Break(err)
		}
		if p.state == stateClosed || p.conn.IsClosed() {
			return len(b), netloop.Hold // the rest is nobody's, if the owner found that replies are out of step
		}
		if reply == nil {
			break
		}
		if p.paused {
			return off, netloop.Hold
		}
	}
	return off, netloop.More
}

var errUnasked = errors.New("a reply that nobody asked for")

func (p *Pin[T]) reply(reply []byte, dropped bool) error {
	push := p.in.scan.Push()
	switch {
	case p.greet > 0:
		return p.greeted(reply)
	case p.owner == nil:
		return errUnasked // in the pool nothing is to come
	case !p.owner.Answers(reply, push):
		if !dropped {
			p.owner.Message(reply)
		}
		return nil
	case p.flight.n == 0:
		return fmt.Errorf("%w: %q", errUnasked, reply)
	}
	t := p.flight.front().t
	p.flight.pop()
	if dropped {
		p.owner.Oversized(&t)
	} else {
		p.owner.Reply(&t, reply)
	}
	return nil
}

func (p *Pin[T]) greeted(reply []byte) error {
	p.greet--
	unknown := p.greet == 0 && bytes.HasPrefix(reply, []byte("-ERR unknown")) // CLIENT ID, in the embedded server
	if reply[0] == '-' && !isBusy(reply) && !unknown {
		return fmt.Errorf("UNAVAILABLE the upstream refused a connection: %s", reply[1:len(reply)-2])
	}
	if p.greet > 0 {
		return nil
	}
	if id, ok := resp.ParseInt(reply[1 : len(reply)-2]); ok && reply[0] == ':' {
		p.id = id
	}
	p.dirty = p.dirty || p.id == 0 && !unknown // a busy server's: who blocks on it could not be unblocked
	p.state = stateUp
	p.pool.loop.Stop(p.opening)
	p.base = p.conn.Sent() + uint64(p.conn.Unsent())
	p.conn.Write(p.waiting)
	p.waiting = nil
	if p.full {
		p.pool.loop.After(0, p.measure)
	}
	return nil
}

// measure clears full.
func (p *Pin[T]) measure() {
	if p.state == stateUp && p.full && p.conn.Unsent() < lowMark {
		p.full = false
		if p.owner != nil {
			p.owner.Relieved()
		}
	}
}

// Written implements netloop.Handler.
func (p *Pin[T]) Written() {
	p.measure()
}

// HungUp implements netloop.Handler. A pin is never on hold.
func (p *Pin[T]) HungUp() {}

// Ended implements netloop.Handler.
func (p *Pin[T]) Ended() { p.Break(errors.New("the upstream closed the connection")) }

// Closed implements netloop.Handler.
func (p *Pin[T]) Closed(err error) {
	if p.state != stateClosed {
		p.lost(err)
	}
}

// lost answers what is not answered.
func (p *Pin[T]) lost(err error) {
	opening := p.state != stateUp
	p.state = stateClosed
	p.pool.loop.Stop(p.opening)
	p.pool.left(p)
	owner := p.owner
	p.owner = nil
	if owner == nil {
		return
	}
	for i := range p.flight.n {
		e := p.flight.at(i)
		switch {
		case !opening && p.base+e.start < p.conn.Sent():
			owner.Failed(&e.t, ErrUnknown)
		case opening && err != nil && isUnavailable(err):
			owner.Failed(&e.t, err)
		default:
			owner.Failed(&e.t, ErrUnavailable)
		}
	}
	p.flight = ring[T]{}
	owner.Lost(err)
}

func isUnavailable(err error) bool {
	const code = "UNAVAILABLE "
	return len(err.Error()) > len(code) && err.Error()[:len(code)] == code
}
