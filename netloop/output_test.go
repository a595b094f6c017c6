package netloop

import (
	"bytes"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
)

// TestOutputAgainstModel does random things to an output and compares it with
// a plain slice. Buffers that come back to the pool are written over, so that
// one that is given back too early shows.
func TestOutputAgainstModel(t *testing.T) {
	for seed := range uint64(12) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		var o output
		var pool blocks
		var model []byte
		size := func() int { return 1 + rnd.IntN(1<<(1+rnd.IntN(17))) }
		iov := make([]iovec, 64)
		for step := range 200 {
			n := size()
			switch rnd.IntN(6) {
			case 0, 1:
				b := make([]byte, min(n, 5000))
				stream(uint64(step)).Read(b)
				b[0] = byte(step)
				o.append(&pool, b)
				model = append(model, b...)
			case 2:
				b := bytes.Repeat([]byte{byte(step)}, n-rnd.IntN(2))
				reused := rnd.IntN(2) == 0
				o.refer(b, reused)
				model = append(model, b...)
				if reused {
					o.keep()
					clear(b)
				}
			case 3:
				b := bytes.Repeat([]byte{byte(step)}, n)
				o.append(&pool, b)
				model = append(model, b...)
			default:
				n = min(n, o.size)
				o.sent(&pool, n)
				model = model[n:]
			}
			for _, free := range [][][]byte{pool.first, pool.full} {
				for _, b := range free {
					if b = b[:cap(b)]; b[0] == 0xEE {
						continue // no content of this test begins so
					}
					for i := range b {
						b[i] = 0xEE
					}
				}
			}
			if got := o.bytes(); o.size != len(model) || !bytes.Equal(got, model) {
				t.Fatalf("seed %d, step %d: %d bytes (size %d), want %d, or others", seed, step, len(got), o.size, len(model))
			}
			if k := o.gather(iov); k == 0 && o.size > 0 {
				t.Fatalf("seed %d, step %d: nothing to send of %d bytes", seed, step, o.size)
			}
		}
		o.sent(&pool, o.size)
		if len(o.pieces) > 0 || o.tail != nil {
			t.Fatalf("seed %d: something is kept for no output", seed)
		}
	}
}

// A peer that is always a little behind, and never up to date, must not make
// the output keep what was sent.
func TestOutputOfSlowReaderIsBounded(t *testing.T) {
	var o output
	var pool blocks
	b := make([]byte, 3000)
	for range 100 {
		o.append(&pool, b)
	}
	step := func() {
		o.append(&pool, b)
		o.refer(b, false)
		o.append(&pool, b)
		o.sent(&pool, 3*len(b))
	}
	for range 200 {
		step() // grows what it needs
	}
	if n := testing.AllocsPerRun(3, func() {
		for range 1000 {
			step()
		}
	}); n > 10 {
		t.Errorf("%v allocations per 1000 steps", n)
	}
}

func TestPoolIsBounded(t *testing.T) {
	var p blocks
	for range 20 * maxIdle {
		p.put(make([]byte, 10, blockSize))
		p.put(make([]byte, 0, firstSize))
		p.put(make([]byte, 0, firstSize+1))
		p.put(nil)
	}
	if len(p.full) != maxIdle || len(p.first) != 16*maxIdle {
		t.Errorf("%d and %d buffers wait", len(p.full), len(p.first))
	}
	for _, n := range []int{0, 1, firstSize, firstSize + 1, blockSize, blockSize + 1, 1 << 20} {
		if b := p.get(n); cap(b) < n || len(b) != 0 {
			t.Errorf("a buffer for %d bytes has %d of %d", n, len(b), cap(b))
		}
	}
}

// Output in more pieces than one system call takes is all written in its turn.
func TestManyPieces(t *testing.T) {
	l := startLoop(t)
	var c *Conn
	waited := false
	peer := adopt(t, l, &c, &funcs{written: func() { waited = true }})
	var want []byte
	on(t, l, func() {
		for i := range 200 {
			p := bytes.Repeat([]byte{byte(i)}, 1+i)
			c.WriteShared(p)
			c.WriteShared(nil)
			want = append(want, p...)
		}
		c.Write([]byte("end"))
	})
	mustRead(t, peer, string(want)+"end")
	on(t, l, func() {
		if waited {
			t.Error("the loop waited for a peer that had room")
		}
	})
}

// TestEchoAllocates nothing, once everything has been used.
func TestEchoAllocatesNothing(t *testing.T) {
	l := startLoop(t)
	for name, write := range map[string]func(*Conn, []byte){"Write": (*Conn).Write, "WriteInput": (*Conn).WriteInput} {
		for _, size := range []int{30, 3000, 40_000} {
			var c *Conn
			peer := adopt(t, l, &c, &funcs{received: func(b []byte) (int, Next) {
				if len(b) < size {
					c.Expect(size)
					return 0, More
				}
				write(c, b)
				return len(b), More
			}})
			msg, buf := make([]byte, size), make([]byte, size)
			trip := func(n int) {
				for range n {
					mustWrite(t, peer, msg)
					readFull(t, peer, buf)
				}
			}
			trip(500)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			trip(3000)
			runtime.ReadMemStats(&after)
			if n := after.Mallocs - before.Mallocs; n > 300 {
				t.Errorf("%s of %d bytes: %d allocations for 3000 messages", name, size, n)
			}
		}
	}
}

// readFull is io.ReadFull without the allocation for its interface.
func readFull(t *testing.T, c *net.TCPConn, b []byte) {
	for n := 0; n < len(b); {
		k, err := c.Read(b[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
}
