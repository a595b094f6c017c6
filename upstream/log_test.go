package upstream

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestLogAgainstModel drives a log as a link does, next to a model that keeps
// the whole output in one slice. Whatever was not forgotten must be found, and
// what was handed must not change before it is answered.
func TestLogAgainstModel(t *testing.T) {
	type command struct {
		start, end uint64
		large      bool // not all of it is in the log
	}
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var g log
		var out []byte       // all output
		var handed int       // how much of out was written
		var pieces []segment // what was written and is not answered
		var flight []command
		hand := func(b []byte) {
			if want := out[handed:][:len(b)]; !bytes.Equal(b, want) {
				t.Fatalf("seed %d: wrote other bytes at %d", seed, handed)
			}
			pieces = append(pieces, segment{uint64(handed), b})
			handed += len(b)
		}
		add := func(n int) {
			hint := n
			if rnd.IntN(4) == 0 {
				hint = rnd.IntN(2*n + 1) // no more than a guess
			}
			b := g.room(hint, hand)
			at := len(out)
			out = append(out, make([]byte, n)...)
			for i := range (n + 3) / 4 {
				out[at+4*i%n] = byte(rnd.Uint32())
			}
			g.add(append(b, out[at:]...))
		}
		for step := range 1500 {
			start := uint64(len(out))
			switch rnd.IntN(8) {
			case 0, 1, 2, 3:
				add(1 + rnd.IntN(1<<(1+rnd.IntN(10))))
				flight = append(flight, command{start, uint64(len(out)), false})
			case 4:
				if rnd.IntN(20) == 0 {
					add(1 + rnd.IntN(3*blockSize))
					flight = append(flight, command{start, uint64(len(out)), false})
				}
			case 5: // a command with a part that is not in the log
				add(1 + rnd.IntN(50))
				g.hand(hand)
				part := make([]byte, 1+rnd.IntN(9000))
				out, handed = append(out, part...), handed+len(part)
				g.skip(len(part))
				add(2)
				g.hand(hand)
				flight = append(flight, command{start, uint64(len(out)), true})
			default: // the end of a turn, with some replies before it
				whole := 0 // commands that the connection has all of
				for whole < len(flight) && flight[whole].end <= uint64(handed) {
					whole++
				}
				n := rnd.IntN(whole + 1)
				if rnd.IntN(10) == 0 {
					n = whole
				}
				flight = slices.Delete(flight, 0, n)
				g.hand(hand)
				answered := uint64(len(out))
				if len(flight) > 0 {
					answered = flight[0].start
				}
				g.forget(answered)
				for len(pieces) > 0 && pieces[0].pos+uint64(len(pieces[0].b)) <= answered {
					pieces = pieces[1:]
				}
			}
			if g.pos != uint64(len(out)) {
				t.Fatalf("seed %d, step %d: position %d, want %d", seed, step, g.pos, len(out))
			}
			if step%20 > 0 {
				continue
			}
			for _, p := range pieces {
				if !bytes.Equal(p.b, out[p.pos:][:len(p.b)]) {
					t.Fatalf("seed %d, step %d: output at %d has changed before it was answered", seed, step, p.pos)
				}
			}
			for _, c := range flight {
				got := g.bytes(c.start, c.end)
				switch {
				case c.end > uint64(handed): // still in the buffer
				case c.large && got != nil:
					t.Fatalf("seed %d, step %d: a command that is not in the log was found there", seed, step)
				case !c.large && !bytes.Equal(got, out[c.start:c.end]):
					t.Fatalf("seed %d, step %d: %d bytes found of the command at %d to %d, or others", seed, step, len(got), c.start, c.end)
				}
			}
		}
		flight = nil
		g.hand(hand)
		g.forget(g.pos)
		if len(g.segs)+len(g.old) > 0 {
			t.Fatalf("seed %d: %d stretches and %d buffers are kept of nothing", seed, len(g.segs), len(g.old))
		}
		if g.reset(); g.pos != 0 || g.buf != nil {
			t.Fatal("something is left after a reset")
		}
	}
}

// In the steady state the same few buffers go round.
func TestLogAllocatesNothing(t *testing.T) {
	var g log
	var written int
	hand := func(b []byte) { written += len(b) }
	text := bytes.Repeat([]byte("x"), 700)
	var ends []uint64
	turn := func() {
		for range 50 {
			g.add(append(g.room(len(text), hand), text...))
		}
		g.hand(hand)
		if ends = append(ends, g.pos); len(ends) > 4 {
			g.forget(ends[0])
			ends = append(ends[:0], ends[1:]...)
		}
	}
	for range 100 {
		turn()
	}
	if n := testing.AllocsPerRun(1000, turn); n > 0 {
		t.Errorf("%v allocations per turn", n)
	}
	if len(g.free) > maxFree {
		t.Errorf("%d spare buffers", len(g.free))
	}
}

func TestRingAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		var r ring[int]
		r.head = 0
		var model []int
		for step := range 5000 {
			if len(model) > 0 && rnd.IntN(100) < 30+int(seed)*2 {
				if r.front().t != model[0] {
					t.Fatalf("front is %d, want %d", r.front().t, model[0])
				}
				r.pop()
				model = model[1:]
			} else {
				r.push(entry[int]{t: step, start: uint64(step)})
				model = append(model, step)
			}
			if int(r.n) != len(model) {
				t.Fatalf("%d entries, want %d", r.n, len(model))
			}
			if k := rnd.IntN(len(model) + 1); k < len(model) && r.at(uint32(k)).t != model[k] {
				t.Fatalf("entry %d is %d, want %d", k, r.at(uint32(k)).t, model[k])
			}
		}
		held := 0
		for _, e := range r.a {
			if e.t != 0 {
				held++
			}
		}
		if held > len(model) {
			t.Errorf("%d entries are held on to, of %d", held, len(model))
		}
	}
}
