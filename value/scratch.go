package value

import "sync"

// scratch is the memory that one Seal or Open needs for a moment.
type scratch struct {
	nonce [12]byte
	aad   []byte // what the cipher authenticates beside the payload
	text  []byte // a payload that is decrypted and not yet decompressed
	frame []byte // a zstd frame with its header put back
}

// keepScratch is the largest buffer that is kept for the next value.
const keepScratch = 256 << 10

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func getScratch() *scratch { return scratches.Get().(*scratch) }

func (s *scratch) put() {
	if cap(s.text) > keepScratch {
		s.text = nil
	}
	if cap(s.frame) > keepScratch {
		s.frame = nil
	}
	scratches.Put(s)
}
