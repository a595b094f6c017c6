package netloop

import (
	"bytes"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// idle counts the turns that a loop takes while a timer runs.
func idle(t *testing.T, l *Loop, turns *int) int {
	t.Helper()
	n := make(chan int, 1)
	on(t, l, func() {
		before := *turns
		l.After(100*time.Millisecond, func() { n <- *turns - before })
	})
	return await(t, n, "the timer")
}

func TestHoldKeepsInputInTheKernel(t *testing.T) {
	l := newLoop(t)
	turns := 0
	l.BeforeWrite(func() { turns++ })
	begin(t, l)
	var c *Conn
	var got bytes.Buffer
	calls, holding := 0, true
	peer := adopt(t, l, &c, &funcs{received: func(b []byte) (int, Next) {
		calls++
		if holding {
			return 0, Hold
		}
		got.Write(b)
		return len(b), More
	}})
	peer.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	sent, src := 0, stream(1)
	for err := error(nil); err == nil && sent < 256<<20; {
		b := make([]byte, 64<<10)
		src.Read(b)
		var n int
		n, err = peer.Write(b)
		sent += n
	}
	if sent >= 256<<20 {
		t.Fatal("a connection on hold took everything")
	}
	if n := idle(t, l, &turns); n > 10 {
		t.Errorf("%d turns for a connection on hold", n)
	}
	on(t, l, func() {
		if calls != 1 {
			t.Errorf("the handler was asked %d times while on hold", calls)
		}
		if len(c.in) > readSize {
			t.Errorf("%d bytes were read while on hold", len(c.in))
		}
		holding = false
		c.Resume()
		c.Resume() // once is enough, twice is no harm
	})
	eventually(t, l, "all input", func() bool { return got.Len() == sent })
	on(t, l, func() {
		if err := check(&got, 1, sent, 100_000); err != nil {
			t.Error(err)
		}
	})
}

// A peer that closes or half-closes while the connection is on hold, and one
// that has half-closed a connection that stays open, must not keep the loop
// busy.
func TestNoSpinWithIdlePeers(t *testing.T) {
	l := newLoop(t)
	turns := 0
	l.BeforeWrite(func() { turns++ })
	begin(t, l)
	held := &funcs{received: func([]byte) (int, Next) { return 0, Hold }}
	ended := 0
	open := &funcs{ended: func() { ended++ }}
	for range 3 {
		var c *Conn
		peer := adopt(t, l, &c, held)
		mustWrite(t, peer, []byte("x"))
		eventually(t, l, "the hold", func() bool { return c.held })
		peer.CloseWrite()
		peer = adopt(t, l, &c, held)
		mustWrite(t, peer, []byte("x"))
		eventually(t, l, "the hold", func() bool { return c.held })
		peer.Close()
		adopt(t, l, &c, open).CloseWrite()
		adopt(t, l, &c, open).Close()
		adopt(t, l, &c, open)
	}
	eventually(t, l, "the ends to be seen", func() bool { return ended == 6 })
	if n := idle(t, l, &turns); n > 10 {
		t.Errorf("%d turns with nothing to do", n)
	}
}

// A reset is noticed though the connection is on hold and not read.
func TestResetWhileOnHold(t *testing.T) {
	l := startLoop(t)
	var c *Conn
	closed := make(chan error, 2)
	peer := adopt(t, l, &c, &funcs{
		received: func([]byte) (int, Next) { return 0, Hold },
		closed:   func(err error) { closed <- err },
	})
	mustWrite(t, peer, []byte("x"))
	eventually(t, l, "the hold", func() bool { return c.held })
	mustWrite(t, peer, []byte("y"))
	eventually(t, l, "reading to stop", func() bool { return !c.r })
	peer.SetLinger(0)
	peer.Close()
	if err := await(t, closed, "the close"); err == nil {
		t.Error("a reset counts as a regular end")
	}
}

// Again is for work that is left; others have their turn meanwhile, and the
// socket is not read.
func TestAgainTakesTurns(t *testing.T) {
	l := startLoop(t)
	var order []byte
	var c [3]*Conn
	var peers [3]net.Conn
	for i := range c {
		peers[i] = adopt(t, l, &c[i], &funcs{received: func(b []byte) (int, Next) {
			order = append(order, b[0])
			return 1, Again
		}})
	}
	on(t, l, func() { // while the loop is here all inputs come together
		for i, p := range peers {
			p.Write(bytes.Repeat([]byte{'a' + byte(i)}, 50))
		}
	})
	eventually(t, l, "all input", func() bool { return len(order) == 150 })
	on(t, l, func() {
		for i := 0; i < 150; i += 3 {
			if turn := slices.Sorted(slices.Values(order[i : i+3])); string(turn) != "abc" {
				t.Fatalf("turn %d handled %q", i/3, turn)
			}
		}
	})
}

// What is held back for the sake of output is taken up when that is sent,
// also when the kernel took it at once.
func TestWrittenEndsAHoldForOutput(t *testing.T) {
	for _, size := range []int{1, 100_000, 8 << 20} {
		l := startLoop(t)
		var c *Conn
		n := 0
		h := &funcs{}
		h.received = func(b []byte) (int, Next) {
			if c.Unsent() > 0 {
				t.Error("resumed with output left")
			}
			n++
			c.Write(make([]byte, size))
			return 1, Hold
		}
		h.written = func() { c.Resume() }
		peer := adopt(t, l, &c, h)
		mustWrite(t, peer, make([]byte, 5))
		if _, err := io.ReadFull(peer, make([]byte, 5*size)); err != nil {
			t.Errorf("answers of %d bytes: %v after %d", size, err, n)
		}
	}
}

func TestExpect(t *testing.T) {
	l := startLoop(t)
	var c *Conn
	var lengths []int
	peer := adopt(t, l, &c, &funcs{received: func(b []byte) (int, Next) {
		lengths = append(lengths, len(b))
		if len(b) < 1000 {
			c.Expect(1000)
			return 0, More
		}
		c.Write(b[:1000])
		return 1000, More
	}})
	want := make([]byte, 1000)
	stream(9).Read(want)
	for i := range want {
		mustWrite(t, peer, want[i:i+1])
		if i == 0 {
			eventually(t, l, "the first byte", func() bool { return len(lengths) == 1 })
		}
	}
	mustRead(t, peer, string(want))
	on(t, l, func() {
		if !slices.Equal(lengths, []int{1, 1000}) {
			t.Errorf("the handler was given %v bytes", lengths)
		}
	})
}

// Resume, Again and Hold on a connection that is about to be closed.
func TestHoldThenClose(t *testing.T) {
	l := startLoop(t)
	var c *Conn
	closed, calls := 0, 0
	peer := adopt(t, l, &c, &funcs{
		received: func([]byte) (int, Next) { calls++; return 0, Hold },
		closed:   func(error) { closed++ },
	})
	mustWrite(t, peer, []byte("x"))
	eventually(t, l, "the hold", func() bool { return c.held })
	on(t, l, func() {
		c.Resume() // comes back in the next turn, but is gone by then
		c.Close(nil)
		c.Resume()
		c.Write([]byte("nobody reads this"))
	})
	mustEnd(t, peer)
	on(t, l, func() {
		if closed != 1 || calls != 1 {
			t.Errorf("Closed was called %d times, Received %d times", closed, calls)
		}
	})
}
