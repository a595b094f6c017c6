package netloop

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Listener accepts connections on a loop.
type Listener struct {
	loop    *Loop
	fd      int
	addr    net.Addr
	socket  *socketFile // of a unix socket
	accept  func(fd int, peer netip.AddrPort)
	closed  bool
	failing bool // the last attempt failed, which has been logged
}

// acceptPause is how long accepting rests when the process has run out of
// descriptors: the pending connection stays ready, and trying at once again
// would only burn the processor.
const acceptPause = 100 * time.Millisecond

// Listen opens a listening socket on a TCP address. It may be called from any
// goroutine; Serve starts it on a loop.
func Listen(address string) (*Listener, error) {
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	return TakeOver(ln)
}

// TakeOver makes a Listener of one of package net, which is closed.
func TakeOver(ln net.Listener) (*Listener, error) {
	socket, err := socketOf(ln)
	defer ln.Close()
	if err != nil {
		return nil, err
	}
	conn, ok := ln.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("listen %s: %T has no descriptor", ln.Addr(), ln)
	}
	fd, err := Detach(conn)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", ln.Addr(), err)
	}
	return &Listener{fd: fd, addr: ln.Addr(), socket: socket}, nil
}

// Addr is the address that is listened on.
func (ln *Listener) Addr() net.Addr { return ln.addr }

// Serve gives every accepted descriptor, non-blocking and with Nagle's
// algorithm off, to accept. The peer of a unix socket has no address.
func (ln *Listener) Serve(l *Loop, accept func(fd int, peer netip.AddrPort)) error {
	ln.loop, ln.accept = l, accept
	l.register(ln.fd, ln)
	return l.poll.add(ln.fd, true, false)
}

// Leave is Close for a socket that another process has as well: its name stays.
func (ln *Listener) Leave() {
	ln.socket = nil
	ln.Close()
}

// Close stops accepting. To be called on the loop once served.
func (ln *Listener) Close() {
	if ln.closed {
		return
	}
	ln.closed = true
	if ln.loop != nil {
		ln.loop.unregister(ln.fd)
		ln.loop.poll.remove(ln.fd) // another process may have the socket as well, and then closing does not do it
	}
	unix.Close(ln.fd)
	ln.socket.remove()
}

func (ln *Listener) abort(err error) {
	if err == ErrStopped {
		ln.Close()
	}
}

// ready accepts a bounded number, so that a storm of connections leaves room
// for the ones that are there.
func (ln *Listener) ready(event) {
	for range 64 {
		fd, sa, err := sysAccept(ln.fd)
		if err != nil {
			ln.failed(err)
			return
		}
		ln.failing = false
		if ln.socket == nil {
			if err := tune(fd); err != nil { // the peer has gone already
				unix.Close(fd)
				continue
			}
		}
		ln.accept(fd, addrPort(sa))
		if ln.closed {
			return
		}
	}
}

func (ln *Listener) failed(err error) {
	switch err {
	case unix.EAGAIN, unix.EINTR, unix.ECONNABORTED:
		return
	}
	if !ln.failing {
		ln.failing = true
		slog.Error("accepting connections failed", "address", ln.addr.String(), "error", err)
	}
	if ln.loop.poll.set(ln.fd, true, false, false, false) != nil {
		return
	}
	ln.loop.After(acceptPause, func() {
		if !ln.closed {
			ln.loop.poll.set(ln.fd, false, false, true, false)
		}
	})
}

// tune sets what both ends of a proxy want: no waiting for fuller packets,
// and a peer that has vanished found out in a few minutes.
func tune(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, tcpKeepIdle, 120); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 30); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4)
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// Detach returns a descriptor of its own for a socket of package net, which
// can then be closed. It stays non-blocking.
func Detach(s syscall.Conn) (fd int, err error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(p uintptr) {
		fd, err = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 0)
	}); e != nil {
		return -1, e
	}
	return fd, err
}

// Dial connects from a goroutine of its own, since that can block, and reports the
// descriptor on the loop, non-blocking. If the loop has ended meanwhile the
// connection is closed and nothing is reported.
func (l *Loop) Dial(connect func() (fd int, err error), done func(fd int, err error)) {
	go func() {
		fd, err := connect()
		if !l.Post(func() { done(fd, err) }) && err == nil {
			unix.Close(fd)
		}
	}()
}
