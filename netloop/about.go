package netloop

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// What is told about a connection, and not needed to serve it.

// Local is this end's address, the one that the peer connected to. It asks the
// kernel; zero for a unix socket and for a connection that is gone.
func (c *Conn) Local() netip.AddrPort {
	if c.closed {
		return netip.AddrPort{}
	}
	sa, err := unix.Getsockname(c.fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(sa)
}

// Buffered is how many bytes of input wait for the rest of a request, or for
// the handler to take them.
func (c *Conn) Buffered() int { return len(c.in) }
