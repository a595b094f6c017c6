package admin

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"riptide-proxy/audit"
)

// mostConnections is how many connections the listener has at once. Further ones are closed, so that
// clients that send nothing can not use up the process's descriptors.
const mostConnections = 512

// boundedListener closes connections that are too many.
type boundedListener struct {
	net.Listener
	open    atomic.Int64
	refused func(client net.Addr) // is told of each that is closed
}

func bounded(ln net.Listener, refused func(client net.Addr)) *boundedListener {
	return &boundedListener{Listener: ln, refused: refused}
}

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
		l.refused(c.RemoteAddr())
		c.Close()
	}
}

// tooMany tells of a connection that was closed.
func (a *api) tooMany(client net.Addr) {
	e := Event{Action: "connect", Remote: client.String(), Status: http.StatusServiceUnavailable, Reason: "there are too many connections"}
	a.refused.note(e, audit.Network(address(e.Remote)))
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
