package netloop

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// Next is what a handler asks for after it was given input.
type Next uint8

const (
	// More: what is left is incomplete; go on when more has arrived.
	More Next = iota
	// Again: what is left can be handled; come back in the next turn, after
	// the other connections. Nothing is read from the socket meanwhile.
	Again
	// Hold: nothing more until Resume, and nothing is read from the socket.
	Hold
)

// Handler is what a connection's bytes are for. All methods run on the loop.
type Handler interface {
	// Received is given all input that is not consumed yet and returns how
	// much of it is now. b must not be kept or changed.
	Received(b []byte) (n int, next Next)
	// Ended tells that the peer will send no more, while it may still read.
	// The connection stays open until the handler closes it.
	Ended()
	// Written tells that all output is sent, if some of it had to wait for the
	// peer or if the connection is on Hold.
	Written()
	// HungUp tells that the peer will send no more while the connection is on
	// Hold, so that what it has sent before may not be read yet. It can come
	// once for each Hold. Ended comes all the same, once all is read. Only Linux
	// tells.
	HungUp()
	// Closed tells that the connection is gone, exactly once.
	Closed(err error)
}

// Conn is one connection of a loop.
type Conn struct {
	loop *Loop
	h    Handler
	fd   int
	addr netip.AddrPort

	size int    // how much is read at a time
	in   []byte // input not consumed yet
	want int    // length of in before which the handler need not be asked
	out  output
	sent uint64
	last int64 // loop's clock when input arrived last
	took int64 // and when the peer took output last

	trunk   bool // see Trunk
	r, w    bool // interest in the poller
	dirty   bool // in loop.dirty
	queued  bool // in loop.again
	held    bool
	ended   bool // end of input was seen
	leaving bool // CloseAfterWrite
	shut    bool // our end of output was sent
	closed  bool
	err     error // why it was closed
	linger  *Timer
}

// Adopt takes over a connected, non-blocking stream socket and begins to read
// from it. On an error the descriptor is closed.
func (l *Loop) Adopt(fd int, peer netip.AddrPort, h Handler) (*Conn, error) {
	c := &Conn{loop: l, h: h, fd: fd, addr: peer, size: readSize, r: true, last: l.now, took: l.now}
	if err := l.poll.add(fd, true, false); err != nil {
		unix.Close(fd)
		return nil, err
	}
	l.register(fd, c)
	l.conns++
	return c, nil
}

// Trunk marks a connection that carries the traffic of many others: more is
// read from it at a time, and it is written before the others, so that its peer
// can work while they are.
func (c *Conn) Trunk() {
	c.trunk = true
	c.size = trunkSize
}

// Handover gives the connection another handler, and another peer's address. The handler is given what
// is left of the input. To be called within Received, which then returns Again.
func (c *Conn) Handover(h Handler, peer netip.AddrPort) { c.h, c.addr = h, peer }

// Peer is the other end's address; zero for a unix socket.
func (c *Conn) Peer() netip.AddrPort { return c.addr }

// Unsent is how many bytes of output the peer has not taken yet.
func (c *Conn) Unsent() int { return c.out.size }

// Unread is how many bytes of input the handler has left, and what has arrived
// behind them.
func (c *Conn) Unread() int { return len(c.in) }

// Sent is how many bytes the kernel has taken since the beginning.
func (c *Conn) Sent() uint64 { return c.sent }

// UnsentBytes is a copy of the output that was not sent, also in Closed.
func (c *Conn) UnsentBytes() []byte { return c.out.bytes() }

// LastInput is the loop's clock when input arrived last.
func (c *Conn) LastInput() int64 { return c.last }

// LastOutput is the loop's clock when the peer took output last, or when it was
// given some after it had taken all.
func (c *Conn) LastOutput() int64 { return c.took }

// IsClosed reports whether Close was called or the connection was lost.
func (c *Conn) IsClosed() bool { return c.closed }

// Expect tells how many bytes of unconsumed input the handler needs before it
// can get on. To be called within Received.
func (c *Conn) Expect(n int) { c.want = n }

// Write appends a copy of p to the output.
func (c *Conn) Write(p []byte) {
	if c.closed || c.leaving {
		return
	}
	c.waits()
	c.out.append(&c.loop.pool, p)
	c.touch()
}

// WriteShared appends p itself, which must never change from now on.
func (c *Conn) WriteShared(p []byte) {
	if c.closed || c.leaving {
		return
	}
	c.waits()
	c.out.refer(p, false)
	c.touch()
}

// WriteInput appends p itself, which must lie in what Received of any
// connection of the loop is being given right now.
func (c *Conn) WriteInput(p []byte) {
	if c.closed || c.leaving {
		return
	}
	c.waits()
	c.loop.in.kept = true
	c.out.refer(p, c.loop.in.pooled)
	c.touch()
}

// waits notes since when output waits for the peer.
func (c *Conn) waits() {
	if c.out.size == 0 {
		c.took = c.loop.now
	}
}

func (c *Conn) touch() {
	if c.dirty {
		return
	}
	c.dirty = true
	if c.trunk {
		c.loop.trunks = append(c.loop.trunks, c)
	} else {
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// Resume ends Hold: the handler is given its unconsumed input in the next
// turn, and reading goes on. Without Hold it does nothing.
func (c *Conn) Resume() {
	if !c.held || c.closed {
		return
	}
	c.held = false
	if len(c.in) > 0 {
		c.comeBack()
	}
	c.interest(!c.ended, c.w)
}

func (c *Conn) comeBack() {
	if !c.queued {
		c.queued = true
		c.loop.again = append(c.loop.again, c)
	}
}

// write sends what it can, once, and asks for readiness if something is left.
func (c *Conn) write() {
	if c.closed {
		return
	}
	if c.out.size > 0 {
		for {
			all := len(c.out.pieces) < len(c.loop.iov)
			n, errno := c.send()
			if errno == syscall.EINTR {
				continue
			}
			if errno != 0 && errno != syscall.EAGAIN {
				c.Close(errno)
				return
			}
			if errno == 0 {
				c.sent += uint64(n)
				c.took = c.loop.now
				c.out.sent(&c.loop.pool, n)
			}
			if errno != 0 || c.out.size == 0 || all {
				break
			}
		}
	}
	switch {
	case c.out.size > 0:
		c.interest(c.r, true)
		return
	case c.w || c.held:
		// A handler that holds its input may do so for the sake of output.
		c.interest(c.r, false)
		c.h.Written()
	}
	if c.leaving && !c.shut && c.out.size == 0 { // Written may have added to it
		c.shut = true
		c.loop.Stop(c.linger)
		c.linger = c.loop.After(partingTime, func() { c.Close(nil) })
		if c.ended || unix.Shutdown(c.fd, unix.SHUT_WR) != nil {
			c.Close(nil)
		}
	}
}

func (c *Conn) send() (int, syscall.Errno) {
	switch unmarked := c.out.tail[c.out.mark:]; {
	case len(c.out.pieces) == 0:
		return sysWrite(c.fd, unmarked)
	case len(c.out.pieces) == 1 && len(unmarked) == 0:
		return sysWrite(c.fd, c.out.pieces[0].b)
	}
	iov := c.loop.iov[:]
	iov = iov[:c.out.gather(iov)]
	n, errno := sysWritev(c.fd, iov)
	clear(iov) // or they would hold on to what was sent
	return n, errno
}

func (c *Conn) interest(r, w bool) {
	if c.closed || c.r == r && c.w == w {
		return
	}
	if err := c.loop.poll.set(c.fd, c.r, c.w, r, w); err != nil {
		c.Close(err)
		return
	}
	c.r, c.w = r, w
}
