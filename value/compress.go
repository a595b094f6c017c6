package value

import (
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/pierrec/lz4/v4"
)

// Levels of compression, from the quickest to the smallest. What each means depends on the algorithm.
const (
	DefaultLevel = iota
	Fastest
	Better
	Best
)

// Level is the level of that name, as the configuration has it.
func Level(name string) (level int, ok bool) {
	level = slices.Index([]string{"default", "fastest", "better", "best"}, name)
	return max(level, 0), level >= 0
}

// lz4Fast are the tables of the quick compressor of LZ4; those of the others belong to their
// level.
var lz4Fast = sync.Pool{New: func() any { return new(lz4.Compressor) }}

// lz4High are the compressors that look for longer matches, by level.
var lz4High = [...]sync.Pool{
	Better: {New: func() any { return &lz4.CompressorHC{Level: lz4.Level1} }},
	Best:   {New: func() any { return &lz4.CompressorHC{Level: lz4.Level9} }},
}

// compressLZ4 appends the block of LZ4 for src, if it is at most limit bytes long.
func compressLZ4(dst, src []byte, level, limit int) ([]byte, bool) {
	dst = slices.Grow(dst, limit)
	room := dst[len(dst) : len(dst)+limit]
	var n int
	var err error
	if level == Fastest || level == DefaultLevel {
		c := lz4Fast.Get().(*lz4.Compressor)
		n, err = c.CompressBlock(src, room)
		lz4Fast.Put(c)
	} else {
		c := lz4High[level].Get().(*lz4.CompressorHC)
		n, err = c.CompressBlock(src, room)
		lz4High[level].Put(c)
	}
	return dst[:len(dst)+n], err == nil && n > 0
}

// compressS2 appends the block of S2 for src, if there can be one.
func compressS2(dst, src []byte, level int) ([]byte, bool) {
	most := s2.MaxEncodedLen(len(src))
	if most < 0 {
		return dst, false
	}
	dst = slices.Grow(dst, most)
	room := dst[len(dst) : len(dst)+most]
	var block []byte
	switch level {
	case Better:
		block = s2.EncodeBetter(room, src)
	case Best:
		block = s2.EncodeBest(room, src)
	default:
		block = s2.Encode(room, src)
	}
	return dst[:len(dst)+len(block)], true
}

// decompressLZ4 appends the original of a block of LZ4, of exactly that length.
func decompressLZ4(dst, block []byte, length int) ([]byte, error) {
	// One byte of a block makes at most 255 of the original.
	if length/255 > len(block) {
		return dst, ErrCorrupt
	}
	dst = slices.Grow(dst, length)
	n, err := lz4.UncompressBlock(block, dst[len(dst):len(dst)+length])
	if err != nil || n != length {
		return dst, ErrCorrupt
	}
	return dst[:len(dst)+length], nil
}

// s2MaxCopy is the longest copy that an element of S2, of at least two bytes, can ask for.
const s2MaxCopy = 1<<24 + 1<<16

// decompressS2 appends the original of a block of S2, of exactly that length.
func decompressS2(dst, block []byte, length int) ([]byte, error) {
	n, err := s2.DecodedLen(block)
	if err != nil || n != length || length/s2MaxCopy > len(block)/2 {
		return dst, ErrCorrupt
	}
	dst = slices.Grow(dst, length)
	out, err := s2.Decode(dst[len(dst):len(dst)+length], block)
	if err != nil || len(out) != length {
		return dst, ErrCorrupt
	}
	return dst[:len(dst)+length], nil
}
