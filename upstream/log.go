package upstream

// blockSize is how much a log gathers before it begins a new buffer.
const blockSize = 64 << 10

// segment is a stretch of output that was handed to the connection.
type segment struct {
	pos uint64 // in the connection's output
	b   []byte
}

// log holds the bytes of the commands that a link has sent until they are
// answered. They are what the connection writes, without a copy, and what a
// read-only command is sent again from when the connection breaks.
type log struct {
	pos    uint64 // in the connection's output, of the end
	buf    []byte // being filled
	handed int    // buf[:handed] was given to the connection
	segs   []segment
	old    []block // full buffers that unanswered commands lie in
	free   [][]byte
}

type block struct {
	buf []byte
	end uint64 // position of what follows its last byte
}

// maxFree bounds the spare buffers a log keeps.
const maxFree = 8

// room returns the buffer being filled, with room for n more bytes.
func (g *log) room(n int, hand func([]byte)) []byte {
	if cap(g.buf)-len(g.buf) < n {
		g.hand(hand)
		if g.buf != nil {
			g.old = append(g.old, block{g.buf, g.pos})
		}
		g.buf, g.handed = g.fresh(n), 0
	}
	return g.buf
}

func (g *log) fresh(n int) []byte {
	if n <= blockSize {
		if k := len(g.free); k > 0 {
			b := g.free[k-1]
			g.free = g.free[:k-1]
			return b
		}
	}
	return make([]byte, 0, max(n, blockSize))
}

// add takes the buffer back, with a command appended.
func (g *log) add(b []byte) {
	g.pos += uint64(len(b) - len(g.buf))
	g.buf = b
}

// hand gives what is new to the connection.
func (g *log) hand(write func([]byte)) {
	if len(g.buf) == g.handed {
		return
	}
	b := g.buf[g.handed:len(g.buf):len(g.buf)]
	g.segs = append(g.segs, segment{g.pos - uint64(len(b)), b})
	g.handed = len(g.buf)
	write(b)
}

// skip accounts for bytes that went to the connection by themselves. What was
// in the log must have been handed before.
func (g *log) skip(n int) { g.pos += uint64(n) }

// forget lets go of everything before a position.
func (g *log) forget(pos uint64) {
	k := 0
	for k < len(g.segs) && g.segs[k].pos+uint64(len(g.segs[k].b)) <= pos {
		k++
	}
	if k > 0 {
		rest := copy(g.segs, g.segs[k:])
		clear(g.segs[rest:])
		g.segs = g.segs[:rest]
	}
	k = 0
	for k < len(g.old) && g.old[k].end <= pos {
		if b := g.old[k].buf; cap(b) == blockSize && len(g.free) < maxFree {
			g.free = append(g.free, b[:0])
		}
		k++
	}
	if k > 0 {
		rest := copy(g.old, g.old[k:])
		clear(g.old[rest:])
		g.old = g.old[:rest]
	}
	if pos == g.pos && len(g.buf) == g.handed && cap(g.buf) == blockSize {
		g.buf, g.handed = g.buf[:0], 0 // all answered: stay in the cache
	}
}

// bytes returns the output from start to end, or nil when it is not held.
func (g *log) bytes(start, end uint64) []byte {
	for _, s := range g.segs {
		if start >= s.pos && end <= s.pos+uint64(len(s.b)) {
			return s.b[start-s.pos : end-s.pos]
		}
	}
	return nil
}

func (g *log) reset() { *g = log{free: g.free} }
