package netloop

import (
	"time"

	"golang.org/x/sys/unix"
)

// lingerTime is how long a connection that is being closed may do without
// reading any of the last answer, and how long it may take to stop sending.
const lingerTime = 3 * time.Second

// partingTime is how long a connection whose output is all sent waits for the
// peer to close it.
const partingTime = time.Second

// Close closes the connection at the end of the turn, without writing what is
// unsent.
func (c *Conn) Close(err error) {
	if c.closed {
		return
	}
	c.closed = true
	c.err = err
	c.loop.closing = append(c.loop.closing, c)
}

// CloseAfterWrite takes no more input or output, writes what is unsent, then
// closes. The end of output is sent first and what still arrives is discarded
// for a while, since closing a socket that has unread input makes the kernel
// reset the connection, and the peer may lose the last answer by it.
func (c *Conn) CloseAfterWrite() {
	if c.closed || c.leaving {
		return
	}
	c.leaving = true
	c.in = nil
	c.held = false
	c.interest(!c.ended, c.w)
	c.awaitEnd()
	c.touch() // write ends the output when nothing is left of it
}

// awaitEnd gives up on a peer that takes nothing any more. One that is slow
// to read a long answer is left to it.
func (c *Conn) awaitEnd() {
	sent := c.sent
	c.linger = c.loop.After(lingerTime, func() {
		if c.sent == sent {
			c.Close(nil)
			return
		}
		c.awaitEnd()
	})
}

func (c *Conn) abort(err error) { c.Close(err) }

// reap takes the connection out of the loop.
func (c *Conn) reap() {
	l := c.loop
	l.Stop(c.linger)
	l.unregister(c.fd)
	unix.Close(c.fd)
	l.conns--
	guard(func() { c.h.Closed(c.err) })
	c.out.release(&l.pool)
	c.in = nil
}
