package proxy

import (
	"errors"
	"log/slog"
	"net"
	"time"

	"riptide-proxy/netloop"
	"riptide-proxy/proxyproto"
)

// A connection from where load balancers are trusted begins with a header that says whom it
// is for, or it is refused. A header from anywhere else is not looked for: as a command it
// is nonsense, and ends the connection.

// heading is such a connection until its header has arrived.
type heading struct {
	w       *worker
	conn    *netloop.Conn
	arrival arrival
	born    int64 // loop's clock
}

// awaitHeader has the loop read a header.
func (w *worker) awaitHeader(a arrival) {
	h := &heading{w: w, arrival: a, born: w.loop.Now()}
	conn, err := w.loop.Adopt(a.fd, a.peer, h)
	if err != nil {
		w.srv.clients.Add(-1)
		return
	}
	h.conn = conn
	w.headers[h] = struct{}{}
	if w.draining {
		conn.Close(nil)
	}
}

// Received implements netloop.Handler.
func (h *heading) Received(b []byte) (int, netloop.Next) {
	header, n, err := proxyproto.Parse(b)
	if err == nil && n == 0 {
		return 0, netloop.More
	}
	w, a := h.w, &h.arrival
	if err != nil {
		w.srv.noHeader(a.peer.String(), err)
		w.audit.rejected(a.peer, rejectedHeader, err.Error())
		h.conn.Close(err)
		return len(b), netloop.Hold
	}
	delete(w.headers, h)
	w.srv.doors.headers.Add(1)
	a.takes(header)
	s := w.meet(*a)
	h.conn.Handover(s, a.peer)
	w.settle(s, h.conn)
	return n, netloop.Again
}

// takes has the connection be that of whom the header speaks for.
func (a *arrival) takes(h proxyproto.Header) {
	if h.Local {
		return
	}
	a.peer, a.local = h.Source, h.Destination
	if a.entry != nil {
		a.entry.socket = "" // it is the load balancer who came by it
	}
}

// Ended implements netloop.Handler.
func (h *heading) Ended() { h.conn.Close(nil) }

// Written implements netloop.Handler.
func (h *heading) Written() {}

// HungUp implements netloop.Handler.
func (h *heading) HungUp() {}

// Closed implements netloop.Handler.
func (h *heading) Closed(error) {
	delete(h.w.headers, h)
	h.w.srv.clients.Add(-1)
}

var errNoHeader = errors.New("the PROXY header did not arrive in time")

// tickHeaders closes the connections whose headers take too long.
func (w *worker) tickHeaders() {
	limit := time.Duration(w.conf.cfg.ProxyProtocol.Timeout)
	for h := range w.headers {
		if time.Duration(w.loop.Now()-h.born) > limit && !h.conn.IsClosed() {
			w.srv.noHeader(h.arrival.peer.String(), errNoHeader)
			w.audit.rejected(h.arrival.peer, rejectedHeader, errNoHeader.Error())
			h.conn.Close(errNoHeader)
		}
	}
}

// dropHeaders closes them all: who has not said whom it is for has asked nothing.
func (w *worker) dropHeaders() {
	for h := range w.headers {
		h.conn.Close(nil)
	}
}

// readHeader reads the header ahead of a handshake.
func (s *Server) readHeader(c net.Conn, a *arrival) error {
	c.SetReadDeadline(time.Now().Add(time.Duration(s.conf().cfg.ProxyProtocol.Timeout)))
	h, err := proxyproto.Read(c)
	if err != nil {
		s.noHeader(a.peer.String(), err)
		return err
	}
	s.doors.headers.Add(1)
	a.takes(h)
	return nil
}

// noHeader notes that a load balancer has not said whom it speaks for.
func (s *Server) noHeader(peer string, err error) {
	if s.doors.noHeaders.Add(1) == 1 {
		slog.Warn("a connection from where load balancers are trusted was refused; there may be more, which are counted", "peer", peer, "error", err)
	}
}
