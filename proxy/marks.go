package proxy

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"riptide-proxy/value"
)

// marks remember for a while which keys' values were made plain since somebody
// looks inside them: sealed again by the next write, they would have to be made plain again
// by the next look. It is a table without chains: who comes later takes the place of
// who was there, and one that is taken for another only stays plain for a while.
type marks struct {
	seed  maphash.Seed
	any   atomic.Bool
	slots [1 << 14]atomic.Uint64 // hash above, second of the end below
	born  time.Time
}

const (
	// markTime is how long a mark lasts.
	markTime = time.Minute
	markBits = 24 // of a slot that hold the second at which it ends: half a year
)

func newMarks() *marks { return &marks{seed: maphash.MakeSeed(), born: time.Now()} }

func (m *marks) hash(prefix, key []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	h.Write(prefix)
	h.Write(key)
	return h.Sum64()
}

func (m *marks) now() uint64 { return uint64(time.Since(m.born)/time.Second) & (1<<markBits - 1) }

// add marks a key by its stored name.
func (m *marks) add(stored []byte) {
	h := m.hash(stored, nil)
	ends := (m.now() + uint64(markTime/time.Second)) & (1<<markBits - 1)
	m.slots[h%uint64(len(m.slots))].Store(h>>markBits<<markBits | ends)
	m.any.Store(true)
}

// has reports whether a key is marked. While there are no marks at all it costs next to
// nothing.
func (m *marks) has(name value.Name) bool {
	if !m.any.Load() {
		return false
	}
	h := m.hash(name.Prefix, name.Key)
	v := m.slots[h%uint64(len(m.slots))].Load()
	return v>>markBits == h>>markBits && v&(1<<markBits-1) > m.now()
}
