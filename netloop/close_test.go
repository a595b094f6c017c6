package netloop

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The last answer arrives although there is input that nobody has read.
func TestCloseAfterWrite(t *testing.T) {
	const size = 6 << 20
	l := startLoop(t)
	var c *Conn
	closed := make(chan error, 2)
	peer := adopt(t, l, &c, &funcs{
		received: func(b []byte) (int, Next) {
			out := make([]byte, size)
			stream(3).Read(out)
			c.WriteShared(out[:size-10])
			c.Write(out[size-10:])
			c.CloseAfterWrite()
			c.Write([]byte("too late"))
			return 1, Again
		},
		ended:  func() { t.Error("Ended was called on a connection that was closed") },
		closed: func(err error) { closed <- err },
	})
	go peer.Write(make([]byte, 3<<20)) // far more than is handled
	if err := check(peer, 3, size, 50_000); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, peer)
	select {
	case err := <-closed:
		t.Errorf("closed before the peer was: %v", err)
	default:
	}
	peer.Close()
	if err := await(t, closed, "the close"); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}

// A peer that reads slowly has all the time it needs; one that has stopped
// reading, or does not stop sending, has not.
func TestLinger(t *testing.T) {
	start := func(t *testing.T, size int) (*Loop, *Conn, *net.TCPConn, chan error) {
		l := startLoop(t)
		var c *Conn
		closed := make(chan error, 2)
		peer := adopt(t, l, &c, &funcs{closed: func(err error) { closed <- err }})
		on(t, l, func() {
			c.Write(make([]byte, size))
			c.CloseAfterWrite()
		})
		return l, c, peer, closed
	}
	t.Run("slow reader", func(t *testing.T) {
		const size = 32 << 20
		l, c, peer, _ := start(t, size)
		total, buf := 0, make([]byte, 256<<10)
		for range 5 {
			var before uint64
			on(t, l, func() { before = c.Sent() })
			for sent := before; sent == before && total < size; {
				n, err := peer.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				total += n
				on(t, l, func() { sent = c.Sent() })
			}
			ahead(t, l, lingerTime+time.Second)
		}
		n, err := io.Copy(io.Discard, peer)
		if total += int(n); err != nil || total != size {
			t.Errorf("%d bytes of %d arrived: %v", total, size, err)
		}
	})
	t.Run("stopped reader", func(t *testing.T) {
		l, c, _, closed := start(t, 32<<20)
		eventually(t, l, "the buffers to fill", func() bool { return c.w })
		ahead(t, l, lingerTime+time.Second) // some of it was taken in this time
		ahead(t, l, lingerTime+time.Second)
		await(t, closed, "the close")
	})
	t.Run("peer that stays", func(t *testing.T) {
		l, _, peer, closed := start(t, 3)
		mustRead(t, peer, "\x00\x00\x00")
		mustEnd(t, peer)
		ahead(t, l, lingerTime+time.Second)
		ahead(t, l, lingerTime+time.Second)
		await(t, closed, "the close")
	})
}

// CloseAfterWrite in Written sends what Written wrote.
func TestCloseAfterWriteInWritten(t *testing.T) {
	l := startLoop(t)
	var c *Conn
	once := false
	peer := adopt(t, l, &c, &funcs{written: func() {
		if !once {
			once = true
			c.Write([]byte("goodbye"))
			c.CloseAfterWrite()
		}
	}})
	const size = 8 << 20
	on(t, l, func() { c.Write(make([]byte, size)) })
	if _, err := io.ReadFull(peer, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	mustRead(t, peer, "goodbye")
	mustEnd(t, peer)
}

// A peer that has closed its sending end still gets its answers.
func TestHalfClose(t *testing.T) {
	l := startLoop(t)
	var c *Conn
	got, ended := "", 0
	peer := adopt(t, l, &c, &funcs{
		received: func(b []byte) (int, Next) { got += string(b); return len(b), More },
		ended:    func() { ended++ },
	})
	mustWrite(t, peer, []byte("question"))
	peer.CloseWrite()
	eventually(t, l, "the end", func() bool { return ended == 1 })
	on(t, l, func() {
		c.Write([]byte("answer to " + got))
		c.CloseAfterWrite()
	})
	mustRead(t, peer, "answer to question")
	mustEnd(t, peer)
	eventually(t, l, "the close", func() bool { return l.Conns() == 0 })
}

func TestCloseDropsOutput(t *testing.T) {
	l := startLoop(t)
	var c *Conn
	reason := errors.New("reason")
	var unsent, sent int
	closed := make(chan error, 2)
	peer := adopt(t, l, &c, &funcs{closed: func(err error) {
		unsent, sent = len(c.UnsentBytes()), int(c.Sent())
		closed <- err
	}})
	on(t, l, func() {
		c.Write([]byte("never seen"))
		c.Close(reason)
		c.Close(nil)
		c.CloseAfterWrite()
	})
	if err := await(t, closed, "the close"); err != reason {
		t.Errorf("closed for %v", err)
	}
	mustEnd(t, peer)
	on(t, l, func() {
		if unsent != 10 || sent != 0 {
			t.Errorf("%d bytes sent, %d unsent", sent, unsent)
		}
	})
}

// Sent and UnsentBytes tell exactly what was not taken of the output.
func TestUnsentBytes(t *testing.T) {
	l := startLoop(t)
	var c *Conn
	peer := adopt(t, l, &c, &funcs{})
	const size = 16 << 20
	out := make([]byte, size)
	stream(4).Read(out)
	on(t, l, func() {
		c.Write(out[:1000])
		c.WriteShared(out[1000 : size/2])
		c.Write(out[size/2:])
	})
	eventually(t, l, "the buffers to fill", func() bool { return c.w })
	on(t, l, func() {
		if rest := c.UnsentBytes(); len(rest) != c.Unsent() || string(rest) != string(out[c.Sent():]) {
			t.Errorf("%d bytes sent and %d unsent of %d, or others", c.Sent(), len(rest), size)
		}
	})
	if err := check(peer, 4, size, 1<<20); err != nil {
		t.Error(err)
	}
}

// descriptors counts those of the process.
func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(d)
}

// StopRun closes whatever there is and tells each handler once. Connections
// that come with the last mail are closed as well, and Post says no after it.
func TestStopRun(t *testing.T) {
	await := func(ok func() bool) bool {
		for end := time.Now().Add(patience); time.Now().Before(end); runtime.Gosched() {
			if ok() {
				return true
			}
		}
		return false
	}
	before := 0
	for round := range 2 { // the first is for what the runtime opens once
		l := newLoop(t)
		stop := begin(t, l)
		ln, err := Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		on(t, l, func() { ln.Serve(l, acceptEcho(t, l, 1)) })
		closed := map[*Conn]int{}
		var peers []net.Conn
		count := func(c **Conn) func(error) {
			return func(err error) {
				closed[*c]++
				if err != ErrStopped {
					t.Errorf("closed for %v", err)
				}
			}
		}
		for i := range 20 {
			c, late := new(*Conn), new(*Conn)
			h := &funcs{received: func([]byte) (int, Next) { return 0, Hold }}
			tell := count(c)
			h.closed = func(err error) {
				tell(err)
				if i == 0 {
					panic("in Closed")
				}
				fd, peer := tcpPair(t)
				peers = append(peers, peer)
				l.Post(func() { *late, _ = l.Adopt(fd, netip.AddrPort{}, &funcs{closed: count(late)}) })
			}
			peers = append(peers, adopt(t, l, c, h))
			mustWrite(t, peers[i], []byte("x"))
			on(t, l, func() { (*c).Write(make([]byte, 1<<20)) })
		}
		stop()
		if len(closed) != 39 {
			t.Errorf("%d connections were closed, want 39", len(closed))
		}
		for _, n := range closed {
			if n != 1 {
				t.Errorf("Closed was called %d times", n)
			}
		}
		if l.Post(func() { t.Error("mail was taken after the end") }) {
			t.Error("Post after the end returns true")
		}
		for _, p := range peers {
			p.Close()
		}
		if round == 0 {
			before = descriptors(t)
		} else if !await(func() bool { return descriptors(t) <= before }) {
			t.Errorf("%d descriptors, %d before", descriptors(t), before)
		}
	}
}
