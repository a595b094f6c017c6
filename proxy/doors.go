package proxy

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"riptide-proxy/config"
	"riptide-proxy/netloop"
	"riptide-proxy/tlsterm"
	"riptide-proxy/upstream"
)

// doors are where clients come in.
type doors struct {
	plain, tls, unix *netloop.Listener // nil: none
	socket           string            // the path of unix
	terminator       *tlsterm.Terminator

	headers   atomic.Uint64 // PROXY headers that were taken
	noHeaders atomic.Uint64 // connections refused for want of a good one
	elsewhere atomic.Uint64 // logins refused since the client is not where its tenant's may be
}

// openDoors opens the listeners. Nothing is accepted yet.
func (s *Server) openDoors(cfg *config.Config, o Options) (err error) {
	d := &s.doors
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if t := cfg.TLS; t != nil {
		files, err := tlsterm.ServerFiles(t)
		if err != nil {
			return err
		}
		d.terminator = tlsterm.NewTerminator(t, files)
		if d.tls, err = listenTCP(o, t.Listen); err != nil {
			return fmt.Errorf("tls.listen: %w", err)
		}
	}
	if cfg.Listen != config.NoListener {
		if d.plain, err = listenTCP(o, cfg.Listen); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}
	if u := cfg.Unix; u != nil {
		d.socket = u.Listen
		create := func() (net.Listener, error) { return netloop.NewUnix(u.Listen, fs.FileMode(u.Mode)) }
		if d.unix, err = listen(o, "unix", u.Listen, create); err != nil {
			return fmt.Errorf("unix.listen: %w", err)
		}
	}
	return nil
}

// serveDoors begins to accept, on the first loop.
func (s *Server) serveDoors() error {
	d := &s.doors
	for _, door := range []struct {
		listener *netloop.Listener
		accept   func(fd int, peer netip.AddrPort)
	}{
		{d.plain, func(fd int, peer netip.AddrPort) { s.accept(arrival{fd: fd, peer: peer}) }},
		{d.tls, s.acceptTLS},
		{d.unix, func(fd int, _ netip.AddrPort) { s.accept(arrival{fd: fd, entry: &entry{socket: d.socket}}) }},
	} {
		if door.listener == nil {
			continue
		}
		if err := door.listener.Serve(s.workers[0].loop, door.accept); err != nil {
			return err
		}
	}
	return nil
}

// Addr is the address that clients connect to: in plain text if that is possible, or else with TLS, or else
// the unix socket.
func (s *Server) Addr() net.Addr {
	return cmp.Or(s.doors.plain, s.doors.tls, s.doors.unix).Addr()
}

// AddrTLS is the address for clients that connect with TLS; nil: there is none.
func (s *Server) AddrTLS() net.Addr {
	if s.doors.tls == nil {
		return nil
	}
	return s.doors.tls.Addr()
}

// close stops accepting. To be called on the first loop, once that serves them.
func (d *doors) close() {
	for _, l := range []*netloop.Listener{d.plain, d.tls, d.unix} {
		if l != nil {
			l.Close()
		}
	}
	if d.terminator != nil {
		d.terminator.Drain()
	}
}

// leave is close where another process accepts from now on.
func (d *doors) leave() {
	if d.unix != nil {
		d.unix.Leave()
	}
	d.close()
}

// run keeps what belongs to them up to date, until ctx ends.
func (d *doors) run(ctx context.Context) {
	if d.terminator != nil {
		d.terminator.Run(ctx)
	}
}

// end waits until nothing is left of those who came in, all of whom the loops have let go.
func (d *doors) end(ctx context.Context) {
	if d.terminator != nil {
		d.terminator.Close(ctx)
	}
}

// prepare loads the certificates of a configuration, whether their names have changed or not. Those that are used from the
// next start on are loaded as well, and left: a configuration that a start would refuse is refused now.
func (d *doors) prepare(cfg *config.Config) (*tlsterm.Files, error) {
	if cfg.Upstream.TLS != nil {
		if _, err := upstream.NewTarget(&cfg.Upstream); err != nil {
			return nil, err
		}
	}
	if cfg.TLS == nil {
		return nil, nil
	}
	files, err := tlsterm.ServerFiles(cfg.TLS)
	if err != nil || d.terminator == nil {
		return nil, err
	}
	return files, nil
}

func (d *doors) use(files *tlsterm.Files) {
	if files != nil {
		d.terminator.Use(files)
	}
}

// DoorStats are the counters of where clients come in.
type DoorStats struct {
	TLS            *tlsterm.Stats // nil: there is no encrypted listener
	Headers        uint64         // PROXY headers that were taken
	HeadersRefused uint64         // connections refused for want of a good one
	Elsewhere      uint64         // logins refused for where the client is, or for its certificate
}

func (d *doors) stats() DoorStats {
	x := DoorStats{Headers: d.headers.Load(), HeadersRefused: d.noHeaders.Load(), Elsewhere: d.elsewhere.Load()}
	if d.terminator != nil {
		t := d.terminator.Stats()
		x.TLS = &t
	}
	return x
}

// perClient is how many descriptors a client may take: that of a connection with TLS, and the pair that leads
// from it to the loop.
func perClient(cfg *config.Config) int {
	if cfg.TLS != nil {
		return 3
	}
	return 1
}

// perUpstream is the same for a connection to the upstream.
func perUpstream(t *upstream.Target) int {
	if t.TLS != nil {
		return 3
	}
	return 1
}

// extra is how many descriptors there are besides one for each client.
func (d *doors) extra() int64 {
	if d.terminator == nil {
		return 0
	}
	return 2 * int64(d.terminator.Open())
}

var tooMany = []byte("-ERR max number of clients reached\r\n")

// arrival is a client's connection that was accepted.
type arrival struct {
	fd    int
	peer  netip.AddrPort // not valid: it came by the unix socket
	local netip.AddrPort // not valid: the one that the descriptor has
	entry *entry         // nil: in plain text, and not by a socket
}

// entry is what is remembered of how a client came in, unless it was the plain way.
type entry struct {
	socket string        // path of the unix socket; empty: another way
	secure *tlsterm.Conn // nil: not encrypted
	names  []string      // of its certificate, which was verified
}

// countIn reports whether there may be one more client.
func (s *Server) countIn() bool {
	if s.clients.Add(1) > int64(s.conf().cfg.Limits.Clients) {
		s.clients.Add(-1)
		s.rejected.Add(1)
		return false
	}
	s.accepted.Add(1)
	return true
}

// accept runs on the first loop.
func (s *Server) accept(a arrival) {
	if !s.countIn() {
		s.workers[0].audit.rejected(a.peer, rejectedFull, "")
		unix.Write(a.fd, tooMany)
		unix.Close(a.fd)
		return
	}
	if s.trusts(a.peer, a.entry != nil) {
		s.deal(a, (*worker).awaitHeader)
		return
	}
	s.deal(a, (*worker).adopt)
}

// trusts tells whether a connection is that of a load balancer.
func (s *Server) trusts(peer netip.AddrPort, socket bool) bool {
	trusted := s.conf().cfg.ProxyProtocol.Trusted
	return len(trusted) > 0 && trusted.Has(peer.Addr(), socket)
}

// deal gives connections to the loops in turn. It may be called from any goroutine.
func (s *Server) deal(a arrival, to func(*worker, arrival)) {
	w := s.workers[int(s.dealt.Add(1))%len(s.workers)]
	if !w.loop.Post(func() { to(w, a) }) {
		s.clients.Add(-1)
		unix.Close(a.fd)
		if a.entry != nil && a.entry.secure != nil {
			a.entry.secure.Leave()
		}
	}
}

// acceptTLS runs on the first loop. What takes time happens elsewhere.
func (s *Server) acceptTLS(fd int, peer netip.AddrPort) {
	t := s.doors.terminator
	// Those who have left may have goroutines that are busy parting; they count too.
	if t.Open() >= s.conf().cfg.Limits.Clients || !s.countIn() {
		s.workers[0].audit.rejected(peer, rejectedFull, "")
		unix.Close(fd)
		return
	}
	a := arrival{peer: peer}
	var before func(net.Conn) error
	var noHeader error
	if s.trusts(peer, false) {
		before = func(c net.Conn) error {
			noHeader = s.readHeader(c, &a)
			return noHeader
		}
	}
	t.Take(fd, before, func(loopEnd int, c *tlsterm.Conn, err error) {
		if err != nil {
			s.clients.Add(-1)
			slog.Debug("no handshake", "client", a.peer.String(), "error", err)
			s.turnedAway(a, noHeader != nil, err)
			return
		}
		a.fd, a.entry = loopEnd, &entry{secure: c, names: c.Names()}
		if !a.local.IsValid() {
			a.local = c.Local()
		}
		s.deal(a, (*worker).adopt)
	})
}

// adopt has the loop serve a client.
func (w *worker) adopt(a arrival) {
	s := w.meet(a)
	conn, err := w.loop.Adopt(a.fd, a.peer, s)
	if err != nil {
		s.left()
		return
	}
	if a.entry != nil && a.entry.secure != nil {
		a.entry.secure.OnHangUp(func() {
			w.loop.Post(func() {
				if !s.gone {
					s.HungUp()
				}
			})
		})
	}
	w.settle(s, conn)
}

// meet makes the session of a client.
func (w *worker) meet(a arrival) *session {
	s := newSession(w, w.srv.sessions.Add(1))
	s.entry, s.about.local = a.entry, a.local
	return s
}

// settle begins to serve a session.
func (w *worker) settle(s *session, conn *netloop.Conn) {
	s.conn = conn
	w.sessions[s.id] = s
	s.stats.enter(s)
	if w.draining {
		s.drain()
		return
	}
	s.certify()
}

// left is the end of what came in.
func (s *session) left() {
	s.w.srv.clients.Add(-1)
	if s.entry != nil && s.entry.secure != nil {
		s.entry.secure.Leave()
	}
}
