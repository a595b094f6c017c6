package dictionary

import "container/heap"

// The content of a dictionary is chosen from the sampled values themselves: whole ones, if they are short, else
// pieces. A value with a fixed layout, as JSON from one program has, then finds all its fixed parts at
// nearly the same distance, which zstd writes in a few bits; that makes such values a fifth smaller than
// a dictionary of the strings that occur most often.
//
// A piece is worth as much as the strings in it that occur in other values and that no piece
// before it has. What a piece has to itself is blotted out: it would be of no use, and a dictionary must not
// keep somebody's token after the value is gone.

const (
	gramSize   = 6   // length of the strings that are counted, in bytes
	shared     = 3   // in how many values a string must occur to be kept
	pieceSize  = 512 // length of a piece of a long value, in bytes
	wholeValue = 1024
)

// cover is the strings of a sample, numbered, and in how many values each occurs.
type cover struct {
	values [][]byte
	grams  [][]int32 // by value: the number of the string at each place
	counts []int32   // by string
}

// newCover counts the strings of values.
func newCover(values [][]byte) *cover {
	c := &cover{values: values, grams: make([][]int32, len(values))}
	numbers := map[uint64]int32{}
	var last []int32 // by string: the value that it was counted for last, and one
	for i, v := range values {
		if len(v) < gramSize {
			continue
		}
		c.grams[i] = make([]int32, len(v)-gramSize+1)
		for at := range c.grams[i] {
			key := uint64(0)
			for _, b := range v[at : at+gramSize] {
				key = key<<8 | uint64(b)
			}
			n, ok := numbers[key]
			if !ok {
				n = int32(len(c.counts))
				numbers[key] = n
				c.counts, last = append(c.counts, 0), append(last, 0)
			}
			c.grams[i][at] = n
			if last[n] != int32(i+1) {
				last[n] = int32(i + 1)
				c.counts[n]++
			}
		}
	}
	return c
}

// piece is a part of a value.
type piece struct {
	value, from, to int
	worth           float64 // for each byte, when it was last looked at
}

// pieces are all there are to choose from.
func (c *cover) pieces() []piece {
	var all []piece
	for i, v := range c.values {
		if len(v) < gramSize {
			continue
		}
		if len(v) <= wholeValue {
			all = append(all, piece{value: i, to: len(v)})
			continue
		}
		for from := 0; from+gramSize <= len(v); from += pieceSize / 2 {
			all = append(all, piece{value: i, from: from, to: min(from+pieceSize, len(v))})
		}
	}
	return all
}

// choose returns pieces of up to size bytes in all, blotted, the best one first.
func (c *cover) choose(size int) [][]byte {
	left := append([]int32(nil), c.counts...)
	seen := make([]int, len(left))
	look := 0
	worth := func(p *piece) float64 {
		look++
		sum := 0
		for _, n := range c.grams[p.value][p.from : p.to-gramSize+1] {
			if left[n] >= shared && seen[n] != look {
				seen[n] = look
				sum += int(left[n])
			}
		}
		return float64(sum) / float64(p.to-p.from+16) // a piece costs a little by being one
	}
	queue := pieceHeap(c.pieces())
	for i := range queue {
		queue[i].worth = worth(&queue[i])
	}
	heap.Init(&queue)
	var chosen [][]byte
	for total := 0; len(queue) > 0; {
		p := &queue[0]
		// A worth only ever falls, so the first that keeps its place is the best.
		if now := worth(p); now < p.worth {
			p.worth = now
			heap.Fix(&queue, 0)
			continue
		}
		best := heap.Pop(&queue).(piece)
		if best.worth == 0 {
			break
		}
		if total += best.to - best.from; total > size {
			break
		}
		chosen = append(chosen, c.blotted(best))
		for _, n := range c.grams[best.value][best.from : best.to-gramSize+1] {
			left[n] = 0
		}
	}
	return chosen
}

// blotted is a copy of a piece without what only it has. The layout stays.
func (c *cover) blotted(p piece) []byte {
	out := append([]byte(nil), c.values[p.value][p.from:p.to]...)
	keep := 0 // up to where bytes are part of a shared string
	grams := c.grams[p.value]
	for i := range out {
		if at := p.from + i; at < len(grams) && c.counts[grams[at]] >= shared {
			keep = i + gramSize
		}
		if i < keep {
			continue
		}
		switch b := out[i]; {
		case '0' <= b && b <= '9':
			out[i] = '0'
		case 'a' <= b|0x20 && b|0x20 <= 'z':
			out[i] = 'x'
		case b >= 0x80 || b < 0x20:
			out[i] = 0
		}
	}
	return out
}

// pieceHeap has the piece of the highest worth first.
type pieceHeap []piece

func (h pieceHeap) Len() int           { return len(h) }
func (h pieceHeap) Less(i, j int) bool { return h[i].worth > h[j].worth }
func (h pieceHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *pieceHeap) Push(x any)        { *h = append(*h, x.(piece)) }
func (h *pieceHeap) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	*h = (*h)[:last]
	return p
}
