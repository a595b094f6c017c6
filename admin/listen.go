package admin

import (
	"net"
	"sync"
	"sync/atomic"
)

// mostConnections is how many connections the listener has at once. Further ones are closed, so that
// clients that send nothing can not use up the process's descriptors.
const mostConnections = 512

// boundedListener closes connections that are too many.
type boundedListener struct {
	net.Listener
	open atomic.Int64
}

func bounded(ln net.Listener) *boundedListener { return &boundedListener{Listener: ln} }

// Accept implements net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= mostConnections {
			return &boundedConn{Conn: c, of: l}, nil
		}
		l.open.Add(-1)
		c.Close()
	}
}

type boundedConn struct {
	net.Conn
	of   *boundedListener
	once sync.Once
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	c.once.Do(func() { c.of.open.Add(-1) })
	return c.Conn.Close()
}
