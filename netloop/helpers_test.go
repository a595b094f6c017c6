package netloop

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. It is a deadline
// for failing, never a pause.
const patience = 30 * time.Second

// funcs is a Handler made of functions; those left out do nothing.
type funcs struct {
	received func(b []byte) (int, Next)
	ended    func()
	hungUp   func()
	written  func()
	closed   func(error)
}

func (f *funcs) Received(b []byte) (int, Next) {
	if f.received == nil {
		return len(b), More
	}
	return f.received(b)
}

func (f *funcs) Ended() {
	if f.ended != nil {
		f.ended()
	}
}

func (f *funcs) HungUp() {
	if f.hungUp != nil {
		f.hungUp()
	}
}

func (f *funcs) Written() {
	if f.written != nil {
		f.written()
	}
}

func (f *funcs) Closed(err error) {
	if f.closed != nil {
		f.closed(err)
	}
}

// newLoop makes a loop that begin is to run.
func newLoop(t testing.TB) *Loop {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// begin runs a loop until the test ends, or stop is called.
func begin(t testing.TB, l *Loop) (stop func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		l.Post(l.StopRun)
		if err := await(t, done, "the loop to end"); err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func startLoop(t testing.TB) *Loop {
	t.Helper()
	l := newLoop(t)
	begin(t, l)
	return l
}

// on runs f on the loop and waits for it.
func on(t testing.TB, l *Loop, f func()) {
	t.Helper()
	done := make(chan struct{})
	if !l.Post(func() { defer close(done); f() }) {
		t.Fatal("the loop has ended")
	}
	await(t, done, "a posted function")
}

func await[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		buf := make([]byte, 1<<20)
		t.Fatalf("waited in vain for %s\n%s", what, buf[:runtime.Stack(buf, true)])
	}
	return v
}

// eventually asks the loop again and again until ok holds there.
func eventually(t testing.TB, l *Loop, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); runtime.Gosched() {
		yes := false
		on(t, l, func() { yes = ok() })
		if yes {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

// tcpPair returns a descriptor to adopt and the other end of its connection.
func tcpPair(t testing.TB) (fd int, peer *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if fd, err = Detach(s.(*net.TCPConn)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return fd, c.(*net.TCPConn)
}

// adopt connects a handler to a peer. The handler can find its connection in
// *conn from the first call on.
func adopt(t testing.TB, l *Loop, conn **Conn, h Handler) (peer *net.TCPConn) {
	t.Helper()
	fd, peer := tcpPair(t)
	on(t, l, func() {
		c, err := l.Adopt(fd, netip.AddrPort{}, h)
		if err != nil {
			t.Error(err)
			return
		}
		*conn = c
	})
	return peer
}

// ahead moves the loop's clock, so that no test has to wait for a long timer.
func ahead(t testing.TB, l *Loop, d time.Duration) {
	t.Helper()
	on(t, l, func() { l.start = l.start.Add(-d) })
	on(t, l, func() {}) // a turn that sees it has begun
}

func mustWrite(t testing.TB, w io.Writer, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t testing.TB, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(r, b); err != nil {
		t.Fatalf("%v after %q, want %q", err, b[:n], want)
	}
	if string(b) != want {
		t.Fatalf("read %q, want %q", b, want)
	}
}

func mustEnd(t testing.TB, r io.Reader) {
	t.Helper()
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("read %d bytes and %v, want the end", n, err)
	}
}

// dialing is what Loop.Dial connects with.
func dialing(address string) func() (int, error) {
	return func() (int, error) {
		conn, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			return -1, err
		}
		defer conn.Close()
		return Detach(conn.(*net.TCPConn))
	}
}
