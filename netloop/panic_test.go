package netloop

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A panic in any method of a handler costs its own connection, and the loop
// and the others live on.
func TestPanicClosesOneConnection(t *testing.T) {
	for _, where := range []string{"Received", "Ended", "Written", "Closed"} {
		t.Run(where, func(t *testing.T) {
			l := startLoop(t)
			var other *Conn
			echoed := adopt(t, l, &other, &funcs{received: func(b []byte) (int, Next) {
				other.WriteInput(b)
				return len(b), More
			}})
			var c *Conn
			closed := make(chan error, 2)
			h := &funcs{closed: func(err error) {
				closed <- err
				if where == "Closed" {
					panic(where)
				}
			}}
			switch where {
			case "Received":
				h.received = func([]byte) (int, Next) { panic(where) }
			case "Written":
				h.written = func() { panic(where) }
				h.received = func([]byte) (int, Next) { c.Write([]byte("x")); return 0, Hold }
			case "Ended":
				h.ended = func() { panic(where) }
			case "Closed":
				h.ended = func() { c.Close(nil) }
			}
			peer := adopt(t, l, &c, h)
			mustWrite(t, peer, []byte("x"))
			peer.CloseWrite()
			err := await(t, closed, "the close")
			if where != "Closed" && (err == nil || !strings.Contains(err.Error(), where)) {
				t.Errorf("closed for %v", err)
			}
			for range 3 {
				mustWrite(t, echoed, []byte("alive"))
				mustRead(t, echoed, "alive")
			}
			on(t, l, func() {
				if l.Conns() != 1 || len(closed) > 0 {
					t.Errorf("%d connections are left, and Closed was called %d times more", l.Conns(), len(closed))
				}
			})
		})
	}
}

// byHand makes connections of a loop that the test itself takes turns of, so
// that it can say what comes in which order.
func byHand(t *testing.T, handlers ...*funcs) (l *Loop, conns []*Conn, peers []interface {
	Write([]byte) (int, error)
	Read([]byte) (int, error)
}) {
	t.Helper()
	l = newLoop(t)
	t.Cleanup(l.end)
	for _, h := range handlers {
		fd, peer := tcpPair(t)
		c, err := l.Adopt(fd, netip.AddrPort{}, h)
		if err != nil {
			t.Fatal(err)
		}
		conns, peers = append(conns, c), append(peers, peer)
	}
	return l, conns, peers
}

// turns lets the loop run until f has been called from a timer with nothing
// else to do, or has returned true.
func turns(t *testing.T, l *Loop, until func() bool) {
	t.Helper()
	for n := 0; !until(); n++ {
		if n > 10_000 {
			t.Fatal("it does not happen")
		}
		l.stopped = false
		l.BeforeWrite(func() { l.stopped = true }) // one turn
		if err := l.runTurns(); err != nil {
			t.Fatal(err)
		}
	}
}

// What others were given in a turn that a panic cuts short reaches them, and
// not what later input puts in its place.
func TestPanicLeavesOthersOutput(t *testing.T) {
	var l *Loop
	var c []*Conn
	text := strings.Repeat("kept ", 2000)
	boom := &funcs{received: func(b []byte) (int, Next) {
		c[1].WriteInput(b[:5000])
		c[2].Write(b[:5000])
		c[1].WriteInput(b[5000:])
		panic("with output for others")
	}}
	quiet := func() *funcs { return &funcs{} }
	l, c, p := byHand(t, boom, quiet(), quiet(), quiet())
	mustWrite(t, p[0], []byte(text))
	l.turn([]event{{fd: l.wakeR}}) // begins the clock
	// The panic, with input of another connection right behind it.
	mustWrite(t, p[3], bytes.Repeat([]byte("overwritten "), 2000))
	fds := []event{{fd: c[0].fd, readable: true}}
	func() {
		defer func() { recover() }()
		l.turn(fds)
		t.Error("no panic")
	}()
	l.turn([]event{{fd: c[3].fd, readable: true}})
	mustRead(t, p[1], text)
	mustRead(t, p[2], text[:5000])
}

// Without any further event, what a turn left undone is done in the next one.
func TestPanicIsFollowedByATurn(t *testing.T) {
	l := startLoop(t)
	var other, c *Conn
	patient := adopt(t, l, &other, &funcs{})
	closed := make(chan error, 1)
	peer := adopt(t, l, &c, &funcs{
		received: func(b []byte) (int, Next) {
			other.WriteInput(b)
			panic("after output")
		},
		closed: func(err error) { closed <- err },
	})
	mustWrite(t, peer, []byte("last words"))
	mustRead(t, patient, "last words")
	await(t, closed, "the close")
}

// Connections that wait for their next portion still get it.
func TestPanicKeepsTheQueue(t *testing.T) {
	calls := 0
	queued := func() *funcs {
		return &funcs{received: func(b []byte) (int, Next) { calls++; return 1, Again }}
	}
	bomb := &funcs{received: func(b []byte) (int, Next) {
		if len(b) > 1 {
			return 1, Again
		}
		panic("in a portion")
	}}
	l, c, p := byHand(t, queued(), bomb, queued())
	for _, peer := range p {
		mustWrite(t, peer, []byte("12"))
	}
	turns(t, l, func() bool { return calls >= 4 && c[1].closed })
	if len(c[0].in)+len(c[2].in) > 0 {
		t.Error("input is left")
	}
	for _, peer := range []int{0, 2} {
		mustWrite(t, p[peer], []byte("3"))
	}
	turns(t, l, func() bool { return calls == 6 })
}

// A panic right after the loop had to write in the middle of a turn closes
// the connection that was being served.
func TestPanicAfterEarlyWrite(t *testing.T) {
	l, c, p := byHand(t, &funcs{received: func([]byte) (int, Next) { panic("in Received") }}, &funcs{})
	mustWrite(t, p[0], []byte("x"))
	l.in.pos = len(l.in.arena) - 10
	c[1].Write([]byte("early"))
	turns(t, l, func() bool { return c[0].closed })
	mustRead(t, p[1], "early")
}

// The same in BeforeWrite, in timers and in posted functions.
func TestPanicElsewhere(t *testing.T) {
	l := newLoop(t)
	times := 0
	l.BeforeWrite(func() {
		if times++; times%2 == 1 {
			panic("in BeforeWrite")
		}
	})
	begin(t, l)
	var c *Conn
	peer := adopt(t, l, &c, &funcs{received: func(b []byte) (int, Next) {
		c.WriteInput(b)
		return len(b), More
	}})
	series := make(chan int, 100)
	ticks := 0
	on(t, l, func() {
		l.After(1, func() { panic("in a timer") })
		l.Every(1000, func() {
			if ticks++; ticks < 10 {
				series <- ticks
				panic("in a series")
			}
		})
	})
	for range 9 {
		await(t, series, "the series to go on")
	}
	behind := make(chan bool, 1)
	on(t, l, func() {
		l.Post(func() { panic("in the mail") })
		l.Post(func() { behind <- true })
	})
	await(t, behind, "the mail behind")
	for range 10 {
		mustWrite(t, peer, []byte("alive"))
		mustRead(t, peer, "alive")
	}
}

// An event of a descriptor that nobody has any more is ignored.
func TestStaleEvent(t *testing.T) {
	l, c, _ := byHand(t, &funcs{})
	fd := c[0].fd
	c[0].Close(nil)
	l.turn([]event{{fd: fd, readable: true, failed: true}})
	l.turn([]event{{fd: fd, readable: true}, {fd: 1 << 20, writable: true}})
	if l.Conns() != 0 {
		t.Error("the connection is still counted")
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
		t.Error("the descriptor is open")
	}
}
