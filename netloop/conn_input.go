package netloop

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

func (c *Conn) ready(ev event) {
	switch {
	case ev.readable && (c.held || c.queued):
		// Level-triggered: it would be reported in every turn.
		if c.held {
			c.interest(false, c.w)
			if ev.failed {
				c.Close(io.ErrUnexpectedEOF)
			}
		}
	case ev.readable && !c.ended:
		c.read()
	case ev.failed:
		c.Close(c.socketError())
	case ev.ended && !c.r: // or it has been resumed in this turn
		c.loop.poll.hush(c.fd, c.w)
		if c.held {
			c.h.HungUp()
		}
	}
	// After the reading, since what has arrived counts even if nothing can be
	// sent any more.
	if ev.writable {
		c.write()
		c.out.keep()
	}
}

func (c *Conn) socketError() error {
	if n, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && n != 0 {
		return syscall.Errno(n)
	}
	return io.EOF
}

// read reads once. A short rest of input is joined with what arrives in the
// arena; a longer one gets what arrives appended in place.
func (c *Conn) read() {
	l := c.loop
	var b []byte
	have := len(c.in)
	arena := have <= smallSize && c.want <= c.size
	if arena {
		b = l.space(have + c.size)[:have+c.size]
		if c.closed {
			return // by the writing that space may do
		}
		copy(b, c.in)
	} else {
		c.grow()
		b = c.in[:cap(c.in)]
	}
	n, errno := sysRead(c.fd, b[have:])
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return
	case errno != 0:
		c.Close(errno)
		return
	case n == 0:
		c.end()
		return
	}
	c.last = l.now
	if c.leaving {
		return
	}
	b = b[:have+n]
	if !arena {
		c.in = b
	}
	if have+n < c.want {
		if arena {
			c.store(b)
		}
		return
	}
	c.deliver(b, arena)
}

// end handles the end of input.
func (c *Conn) end() {
	c.ended = true
	c.interest(false, c.w)
	if c.leaving {
		if c.shut {
			c.Close(nil)
		}
		return
	}
	c.h.Ended()
}

func (c *Conn) redeliver() {
	c.queued = false
	if c.closed || c.leaving || c.held || len(c.in) == 0 {
		return
	}
	c.deliver(c.in, false)
}

// deliver gives the handler its input and keeps what it leaves. b is in the
// arena, or it is c.in.
func (c *Conn) deliver(b []byte, arena bool) {
	l := c.loop
	l.in.kept = false
	l.in.pooled = arena || cap(b) == blockSize
	c.want = 0
	if arena {
		l.in.pos += len(b) // first, for the case of a panic
	}
	n, next := c.h.Received(b)
	if arena && !l.in.kept {
		l.in.pos -= len(b)
	}
	if c.closed || c.leaving {
		if !arena && l.in.kept {
			c.in = nil // left to the collector, whatever refers to it
		}
		return
	}
	rest := b[n:]
	switch {
	case arena:
		c.store(rest)
	case l.in.kept:
		if l.in.pooled {
			l.in.retired = append(l.in.retired, b)
		}
		c.in = nil
		c.store(rest)
	case len(rest) == 0:
		c.drop()
	case cap(b) > blockSize && len(rest) < cap(b)/4:
		c.in = nil // a long request must not keep its buffer for a short one
		c.store(rest)
	default:
		c.in = c.in[:copy(c.in, rest)]
	}
	switch next {
	case Again:
		if len(c.in) > 0 {
			c.comeBack()
		}
	case Hold:
		c.held = true
	}
}

// store keeps rest, which does not lie in c.in, as the unconsumed input.
func (c *Conn) store(rest []byte) {
	if len(rest) == 0 {
		if c.in != nil {
			c.drop()
		}
		return
	}
	if len(rest) > cap(c.in) {
		c.drop()
		c.in = c.buffer(len(rest))
	}
	c.in = append(c.in[:0], rest...)
}

// buffer returns an empty buffer for input of n bytes, and for what the
// handler expects if that is not much more than has arrived.
func (c *Conn) buffer(n int) []byte {
	trust := max(trustSize, 2*n)
	if c.trunk {
		trust = c.want // what a server announces, it sends
	}
	want := max(n, min(c.want, trust))
	switch {
	case want <= smallSize:
		return make([]byte, 0, (want+63)&^63)
	case want <= blockSize:
		return c.loop.pool.get(blockSize)
	}
	return make([]byte, 0, want)
}

// grow makes room to read behind c.in, always in proportion to it: it is
// copied each time, and what the handler expects may be the next small part
// of something long.
func (c *Conn) grow() {
	have := len(c.in)
	if have < cap(c.in) && (cap(c.in) >= c.want || cap(c.in)-have >= readSize/4) {
		return
	}
	b := c.buffer(have + max(readSize/4, have/4))
	b = append(b, c.in...)
	c.drop()
	c.in = b
}

// drop gives the buffer of the unconsumed input back.
func (c *Conn) drop() {
	if cap(c.in) <= smallSize {
		c.in = c.in[:0]
		return
	}
	c.loop.pool.put(c.in)
	c.in = nil
}
