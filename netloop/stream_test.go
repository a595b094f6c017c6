package netloop

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stream is an endless sequence of bytes that both ends of a test can make.
func stream(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// feed writes the first n bytes of a stream in chunks of random length.
func feed(w io.Writer, seed uint64, n, chunk int) error {
	src, r := stream(seed), rand.New(rand.NewPCG(seed, 1))
	buf := make([]byte, chunk)
	for n > 0 {
		b := buf[:min(n, 1+r.IntN(chunk))]
		src.Read(b)
		if _, err := w.Write(b); err != nil {
			return err
		}
		n -= len(b)
	}
	return nil
}

// check reads n bytes in pieces of random length and compares them.
func check(r io.Reader, seed uint64, n, chunk int) error {
	src, rnd := stream(seed), rand.New(rand.NewPCG(seed, 2))
	got, want := make([]byte, chunk), make([]byte, chunk)
	for at := 0; at < n; {
		k, err := r.Read(got[:min(n-at, 1+rnd.IntN(chunk))])
		src.Read(want[:k])
		if !bytes.Equal(got[:k], want[:k]) {
			return fmt.Errorf("stream %d differs between %d and %d", seed, at, at+k)
		}
		at += k
		if err != nil && at < n {
			return fmt.Errorf("stream %d: %w after %d of %d bytes", seed, err, at, n)
		}
	}
	return nil
}

// echo sends back what it gets, in random portions and in one of three ways,
// and holds while the peer has much to read.
type echo struct {
	conn  *Conn
	rnd   *rand.Rand
	limit int
	how   int // of writing; 3 changes among them
}

func (e *echo) Received(b []byte) (int, Next) {
	n := len(b)
	if e.rnd.IntN(3) == 0 {
		n = 1 + e.rnd.IntN(len(b))
	}
	put(e.conn, b[:n], e.how, e.rnd)
	switch {
	case e.conn.Unsent() > e.limit:
		return n, Hold
	case n < len(b):
		return n, Again
	}
	return n, More
}

func put(c *Conn, b []byte, how int, rnd *rand.Rand) {
	if how == 3 {
		how = rnd.IntN(3)
	}
	switch how {
	case 0:
		c.Write(b)
	case 1:
		c.WriteInput(b)
	case 2:
		c.WriteShared(bytes.Clone(b))
	}
}

func (e *echo) Ended()       { e.conn.CloseAfterWrite() }
func (e *echo) Written()     { e.conn.Resume() }
func (e *echo) HungUp()      {}
func (e *echo) Closed(error) {}

func TestEchoIsByteExact(t *testing.T) {
	l := startLoop(t)
	var wg sync.WaitGroup
	for i := range 48 {
		e := &echo{rnd: rand.New(rand.NewPCG(uint64(i), 3)), limit: 1 << (10 + i%12), how: i % 4}
		peer := adopt(t, l, &e.conn, e)
		chunk := []int{7, 300, 5000, 100_000}[i/4%4]
		size := min(chunk*200, 1<<20)
		if i%3 == 0 {
			on(t, l, func() { unix.SetsockoptInt(e.conn.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<10) }) // so that output waits
		}
		wg.Go(func() {
			if err := feed(peer, uint64(i), size, chunk); err != nil {
				t.Error(err)
			}
			peer.CloseWrite()
		})
		wg.Go(func() {
			if err := check(peer, uint64(i), size, chunk); err != nil {
				t.Error(err)
			}
			mustEnd(t, peer)
		})
	}
	wg.Wait()
	eventually(t, l, "all connections to close", func() bool { return l.Conns() == 0 })
}

// framed echoes whole messages: a length of four bytes, then as many.
type framed struct {
	conn   *Conn
	how    int
	expect bool
	calls  int
}

func (f *framed) Received(b []byte) (off int, next Next) {
	f.calls++
	for {
		rest := b[off:]
		need := 4
		if len(rest) >= 4 {
			need += int(binary.BigEndian.Uint32(rest))
		}
		if len(rest) < need {
			if f.expect {
				f.conn.Expect(need)
			}
			return off, More
		}
		put(f.conn, rest[:need], f.how, nil)
		off += need
	}
}

func (f *framed) Ended()       { f.conn.CloseAfterWrite() }
func (f *framed) Written()     {}
func (f *framed) HungUp()      {}
func (f *framed) Closed(error) {}

func TestLargeMessages(t *testing.T) {
	l := startLoop(t)
	var wg sync.WaitGroup
	for i, sizes := range [][]int{
		{32 << 20}, {1 << 20, 1<<20 + 1, 3}, {100, 5 << 20, 65536, 65532, 70_000, 1},
		{blockSize - 4, blockSize - 3, blockSize, smallSize - 4, smallSize - 3, smallSize, trustSize}, {0, 2 << 20, 0},
	} {
		for how := range 3 {
			if i == 0 && how != 1 {
				continue // once is enough
			}
			f := &framed{how: how, expect: (i+how)%2 == 0}
			peer := adopt(t, l, &f.conn, f)
			var all []byte
			for _, n := range sizes {
				all = binary.BigEndian.AppendUint32(all, uint32(n))
				at := len(all)
				all = append(all, make([]byte, n)...)
				stream(uint64(n)).Read(all[at:])
			}
			wg.Go(func() {
				peer.Write(all)
				peer.CloseWrite()
			})
			wg.Go(func() {
				got, err := io.ReadAll(peer)
				if err != nil || !bytes.Equal(got, all) {
					t.Errorf("messages %v in way %d: %d bytes of %d came back, %v", sizes, how, len(got), len(all), err)
				}
			})
		}
	}
	wg.Wait()
}

// Input that grows without an announced length, or by small announced steps,
// must be read and copied a number of times that does not grow with it.
func TestInputGrowsInProportion(t *testing.T) {
	const size = 16 << 20
	for name, step := range map[string]int{"nothing expected": 0, "one byte more": 1, "a small argument": 1000} {
		t.Run(name, func(t *testing.T) {
			l := startLoop(t)
			var c *Conn
			grown, last := 0, 0
			done := make(chan struct{})
			h := &funcs{received: func(b []byte) (int, Next) {
				if cap(c.in) != last {
					grown, last = grown+1, cap(c.in)
				}
				if len(b) < size {
					if step > 0 {
						c.Expect(len(b) + step)
					}
					return 0, More
				}
				close(done)
				return len(b), More
			}}
			peer := adopt(t, l, &c, h)
			mustWrite(t, peer, make([]byte, size))
			await(t, done, "all input")
			on(t, l, func() {
				if grown > 60 {
					t.Errorf("the buffer was replaced %d times", grown)
				}
				if c.in != nil {
					t.Errorf("a buffer of %d bytes is kept for no input", cap(c.in))
				}
			})
		})
	}
}

// What is left of a long request must not keep its buffer.
func TestLongInputIsLetGo(t *testing.T) {
	l := startLoop(t)
	var c *Conn
	const size = 4 << 20
	h := &funcs{received: func(b []byte) (int, Next) {
		if len(b) < size {
			c.Expect(size + 100)
			return 0, More
		}
		return size, More
	}}
	peer := adopt(t, l, &c, h)
	mustWrite(t, peer, make([]byte, size+100))
	eventually(t, l, "the request to be taken", func() bool { return len(c.in) == 100 })
	on(t, l, func() {
		if cap(c.in) > blockSize {
			t.Errorf("100 bytes are kept in %d", cap(c.in))
		}
	})
}

// relay passes what it gets to another connection of its loop, and now and
// then takes a rest that a timer ends.
type relay struct {
	conn, other *Conn
	rnd         *rand.Rand
}

func (r *relay) Received(b []byte) (int, Next) {
	if r.other == nil {
		return 0, Hold // until the other side is connected
	}
	n := 1 + r.rnd.IntN(len(b))
	if r.rnd.IntN(2) == 0 {
		n = len(b)
	}
	put(r.other, b[:n], 3, r.rnd)
	switch {
	case r.other.Unsent() > 256<<10 || r.rnd.IntN(20) == 0:
		r.rest()
		return n, Hold
	case r.rnd.IntN(4) == 0 || n < len(b):
		return n, Again
	}
	return n, More
}

func (r *relay) rest() {
	r.conn.loop.After(time.Duration(r.rnd.IntN(int(time.Millisecond))), func() {
		if r.other.Unsent() > 128<<10 {
			r.rest()
			return
		}
		r.conn.Resume()
	})
}

func (r *relay) Ended() {
	r.conn.Close(nil)
	r.other.Close(nil)
}

func (r *relay) Written()     {}
func (r *relay) HungUp()      {}
func (r *relay) Closed(error) {}

// TestRelay has one loop proxy to another one, which echoes, with chunks,
// portions and rests drawn from the seed.
func TestRelay(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			front, back := startLoop(t), startLoop(t)
			server, err := Listen("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			on(t, back, func() {
				server.Serve(back, acceptEcho(t, back, seed))
			})
			var wg sync.WaitGroup
			for i := range 8 {
				id := seed<<8 | uint64(i)
				rnd := rand.New(rand.NewPCG(id, 4))
				down := &relay{rnd: rand.New(rand.NewPCG(id, 6))}
				up := &relay{rnd: down.rnd}
				peer := adopt(t, front, &down.conn, down)
				on(t, front, func() {
					up.other = down.conn
					front.Dial(dialing(server.Addr().String()), func(fd int, err error) {
						if err != nil {
							t.Error(err)
							return
						}
						up.conn, _ = front.Adopt(fd, down.conn.Peer(), up)
						down.other = up.conn
						down.conn.Resume()
					})
				})
				size, chunk := 1<<20, 1<<(3+2*rnd.IntN(8))
				if chunk < 1000 {
					size = chunk * 1000
				}
				wg.Go(func() {
					if err := feed(peer, id, size, chunk); err != nil {
						t.Error(err)
					}
				})
				wg.Go(func() {
					defer peer.Close()
					if err := check(peer, id, size, chunk); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if !t.Failed() {
				eventually(t, front, "the front to be empty", func() bool { return front.Conns() == 0 })
				eventually(t, back, "the back to be empty", func() bool { return back.Conns() == 0 })
			}
		})
	}
}
