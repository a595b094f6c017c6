package value

import (
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// Encoders and decoders with a dictionary are large (see below), and there may be a dictionary
// or more for each of thousands of tenants. So all dictionaries of a process share these bounds: what has not been used for
// the longest is dropped, and made again when it is needed.
var (
	dictEncoders = coders[zstd.Encoder]{limit: 128 << 20}
	dictDecoders = coders[zstd.Decoder]{limit: 64 << 20}
)

// What one takes, measured with a dictionary of 16 KiB, in bytes.
const (
	quickEncoderBytes  = 900 << 10
	betterEncoderBytes = 8800 << 10
	decoderBytes       = 100 << 10
)

// coders is a bounded set of encoders, or of decoders. Which are dropped is decided as a clock
// does it: the hand passes over those that were used since it came by last.
type coders[T any] struct {
	limit int

	mu    sync.Mutex
	bytes int
	hand  int
	ring  []*coder[T]
}

// coder is the place of an encoder or a decoder that can be made at any time. While
// it is there, getting it takes no lock.
type coder[T any] struct {
	ready  atomic.Pointer[T]
	used   atomic.Bool
	misses atomic.Uint32
	bytes  int
	make   func() *T
}

// rebuild is how many values have to ask for an encoder before another's is dropped for it. Making
// one takes as long as compressing dozens of values.
const rebuild = 16

// get is what c holds. Where that takes another's place, it is nil, except
// with must or for one of several calls.
func (s *coders[T]) get(c *coder[T], must bool) *T {
	if p := c.ready.Load(); p != nil {
		if !c.used.Load() {
			c.used.Store(true)
		}
		return p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := c.ready.Load(); p != nil {
		return p
	}
	if s.bytes+c.bytes > s.limit {
		if !must && c.misses.Add(1)%rebuild != 0 {
			return nil
		}
		s.evict(c.bytes)
	}
	p := c.make()
	c.used.Store(true)
	c.ready.Store(p)
	s.bytes += c.bytes
	s.ring = append(s.ring, c)
	return p
}

// evict drops coders until there is room.
func (s *coders[T]) evict(room int) {
	for len(s.ring) > 0 && s.bytes+room > s.limit {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		if s.ring[s.hand].used.Swap(false) {
			s.hand++
			continue
		}
		s.remove(s.hand)
	}
}

// remove drops the coder at a place in the ring. Whoever is using it at the moment
// goes on with it.
func (s *coders[T]) remove(i int) {
	c, last := s.ring[i], len(s.ring)-1
	c.ready.Store(nil)
	s.bytes -= c.bytes
	s.ring[i] = s.ring[last]
	s.ring[last] = nil
	s.ring = s.ring[:last]
}

// forget drops a coder whose dictionary is gone.
func (s *coders[T]) forget(c *coder[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, one := range s.ring {
		if one == c {
			s.remove(i)
			return
		}
	}
}
