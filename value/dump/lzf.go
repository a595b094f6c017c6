package dump

import (
	"math"
	"sync"
)

// LZF, as the servers have it. Compressed data is a row of pieces, each of
// which begins with a byte whose three upper bits are
//
//   - 0: the lower five, plus 1, are how many bytes follow that stand for themselves;
//   - 1 to 6: that, plus 2, is how many bytes are repeated;
//   - 7: the next byte, plus 9, is how many bytes are repeated.
//
// For what is repeated, the lower five bits and the last byte, plus 1, are how
// far back it is.
const (
	maxLiteral  = 1 << 5
	maxDistance = 1 << 13
	maxRepeat   = 1<<8 + 1<<3
	minRepeat   = 3
	longRepeat  = 7 + 2 // from here on the length has a byte of its own

	// repetition is how many bytes the longest piece that repeats takes.
	repetition = 3
	// maxExpansion is how many bytes one byte can become.
	maxExpansion = maxRepeat / repetition

	// checked is how many bytes behind the first two a server compares at once,
	// without asking whether they are its last ones, which it leaves alone otherwise.
	checked = 16
)

// compressor finds repetitions by the last place where the next three bytes,
// or others of the same hash, were seen.
type compressor struct {
	// last counts places from base on, so that all it has of earlier strings is
	// below that. The first place of a string is not told from nowhere: the
	// servers never find it either.
	last [1 << 16]uint32
	base uint32
	next uint32 // base of the next string
	out  []byte
}

var compressors = sync.Pool{New: func() any { return new(compressor) }}

// release lets others use the compressor. It keeps no large memory.
func (t *compressor) release() {
	if cap(t.out) > 1<<20 {
		t.out = nil
	}
	compressors.Put(t)
}

// hash is the slot for three bytes.
func hash(a, b, c byte) uint16 {
	h := uint32(a)<<16 | uint32(b)<<8 | uint32(c)
	return uint16(h>>8 - 5*h)
}

// advance forgets all strings before one of n bytes, at most 2^31.
func (t *compressor) advance(n int) {
	t.base = t.next
	if uint64(t.base)+uint64(n) > math.MaxUint32 {
		clear(t.last[:])
		t.base = 0
	}
	t.next = t.base + uint32(n)
}

// compress returns s compressed, unless it takes more than limit bytes; up to
// one more is accepted at the very end. The result is valid until the next call.
//
// A string can be compressed in many ways, and this is the servers': which
// repetitions are looked for, when they end, and what a limit is taken for.
// They begin with whatever is in the memory of their table. It makes no
// difference: where three bytes come for the first time their place is always
// entered, so that a slot with an older one can not lead to the same bytes.
func (t *compressor) compress(s []byte, limit int) ([]byte, bool) {
	t.advance(len(s))
	out := append(t.out[:0], 0) // the place for the length of the bytes that stand for themselves
	literal := 0
	i := 0
	for i < len(s)-2 {
		slot := &t.last[hash(s[i], s[i+1], s[i+2])]
		from := int(*slot) - int(t.base)
		*slot = t.base + uint32(i)
		distance := i - from - 1
		if from <= 0 || distance >= maxDistance || s[from] != s[i] || s[from+1] != s[i+1] || s[from+2] != s[i+2] {
			if len(out) >= limit {
				return t.fail(out)
			}
			out = append(out, s[i])
			i++
			if literal++; literal == maxLiteral {
				out = append(endLiteral(out, literal), 0)
				literal = 0
			}
			continue
		}
		if literal == 0 {
			out = out[:len(out)-1]
		}
		if len(out)+repetition+1 >= limit {
			return t.fail(out)
		}
		out = endLiteral(out, literal)
		n := repeated(s, from, i)
		if n < longRepeat {
			out = append(out, byte((n-2)<<5|distance>>8), byte(distance))
		} else {
			out = append(out, byte(7<<5|distance>>8), byte(n-longRepeat), byte(distance))
		}
		out = append(out, 0)
		literal = 0
		i += n
		if i >= len(s)-2 {
			break
		}
		// Of the bytes that were repeated, only the last two can be found again.
		for j := i - 2; j < i; j++ {
			t.last[hash(s[j], s[j+1], s[j+2])] = t.base + uint32(j)
		}
	}
	if len(out)+3 > limit { // the bytes that are left, and a place for a length
		return t.fail(out)
	}
	for ; i < len(s); i++ {
		out = append(out, s[i])
		if literal++; literal == maxLiteral {
			out = append(endLiteral(out, literal), 0)
			literal = 0
		}
	}
	if literal == 0 {
		out = out[:len(out)-1]
	}
	t.out = endLiteral(out, literal)
	return t.out, true
}

func (t *compressor) fail(out []byte) ([]byte, bool) {
	t.out = out
	return nil, false
}

// endLiteral writes how many bytes at the end of out stand for themselves.
func endLiteral(out []byte, n int) []byte {
	if n > 0 {
		out[len(out)-n-1] = byte(n - 1)
	}
	return out
}

// repeated returns how many bytes from i on are the same as those at from, the
// first three of which are known to be.
func repeated(s []byte, from, i int) int {
	most := min(len(s)-i-2, maxRepeat)
	if most > checked {
		most = max(most, checked+minRepeat)
	}
	n := minRepeat
	for n < most && s[from+n] == s[i+n] {
		n++
	}
	return n
}

// decompress takes compressed data apart again. It is ok only if that gives
// exactly size bytes.
func decompress(b []byte, size int) ([]byte, bool) {
	if size/maxExpansion > len(b) {
		return nil, false
	}
	out := make([]byte, 0, size)
	for len(b) > 0 {
		head := int(b[0])
		b = b[1:]
		if head < maxLiteral {
			n := head + 1
			if n > len(b) || n > size-len(out) {
				return nil, false
			}
			out, b = append(out, b[:n]...), b[n:]
			continue
		}
		n := head>>5 + 2
		if n == longRepeat {
			if len(b) == 0 {
				return nil, false
			}
			n, b = n+int(b[0]), b[1:]
		}
		if len(b) == 0 {
			return nil, false
		}
		from := len(out) - (head&0x1f<<8 | int(b[0])) - 1
		b = b[1:]
		if from < 0 || n > size-len(out) {
			return nil, false
		}
		for range n { // one by one, as it may repeat itself
			out = append(out, out[from])
			from++
		}
	}
	if len(out) != size {
		return nil, false
	}
	return out, true
}
