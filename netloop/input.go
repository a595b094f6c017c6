package netloop

const (
	// readSize is how much is read from a connection at a time. What a
	// connection has beyond it waits for the next turn, behind the others.
	readSize = 64 << 10
	// trunkSize is the same for a trunk.
	trunkSize = 256 << 10
	// arenaSize bounds how much input can be referred to by output before
	// the loop writes early.
	arenaSize = 1 << 20
	// smallSize is the most unfinished input that a connection keeps in
	// memory of its own size; more goes to a block.
	smallSize = 512
	// blockSize is the size of pooled buffers.
	blockSize = 64 << 10
	// firstSize is that of the pooled buffers in which output begins.
	firstSize = 2 << 10
	// trustSize is how much memory an announced length gets at once. A
	// longer one gets it as its bytes arrive.
	trustSize = 1<<20 + 8<<10
)

// input is the loop's state about the input being handled.
type input struct {
	arena   []byte
	pos     int      // arena[:pos] is referred to by unwritten output
	retired [][]byte // blocks referred to by unwritten output
	kept    bool     // the input being handled has been referred to
	pooled  bool     // and lies in the arena or a block, which will be reused
}

// space returns at least n free bytes of the arena.
func (l *Loop) space(n int) []byte {
	if len(l.in.arena)-l.in.pos < n {
		if l.beforeWrite != nil {
			guard(l.beforeWrite)
		}
		l.flush()
	}
	return l.in.arena[l.in.pos:]
}

// blocks is the loop's pool of buffers of two sizes.
type blocks struct {
	first, full [][]byte
}

// maxIdle bounds how many buffers of a size wait in the pool, so that a burst
// does not hold its memory for ever.
const maxIdle = 128

// get returns an empty buffer with room for n bytes or more.
func (p *blocks) get(n int) []byte {
	switch {
	case n <= firstSize:
		if k := len(p.first); k > 0 {
			b := p.first[k-1]
			p.first = p.first[:k-1]
			return b
		}
		return make([]byte, 0, firstSize)
	case n <= blockSize:
		if k := len(p.full); k > 0 {
			b := p.full[k-1]
			p.full = p.full[:k-1]
			return b
		}
		return make([]byte, 0, blockSize)
	}
	return make([]byte, 0, n)
}

// put takes a buffer back; one of another size is left to the collector.
func (p *blocks) put(b []byte) {
	switch {
	case cap(b) == firstSize && len(p.first) < 16*maxIdle:
		p.first = append(p.first, b[:0])
	case cap(b) == blockSize && len(p.full) < maxIdle:
		p.full = append(p.full, b[:0])
	}
}
