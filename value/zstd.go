package value

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// bareLength is up to where a value is stored without the header of its zstd
// frame: for a short value those 6 to 8 bytes count, and the header of the sealed value says all that is in them.
// Opening puts them back, for which the payload is copied; for a longer value that would
// cost more than the bytes are worth.
const bareLength = 64 << 10

// dictLength is up to where a dictionary is used: a longer value has room enough to be its own.
const dictLength = 64 << 10

// frameDictID is the id that every dictionary has within frames. Which one it is stands in
// the header of the sealed value, and this id takes one byte instead of four.
const frameDictID = 1

// zstdLevels are the library's names of our levels.
var zstdLevels = [...]zstd.EncoderLevel{
	DefaultLevel: zstd.SpeedDefault,
	Fastest:      zstd.SpeedFastest,
	Better:       zstd.SpeedBetterCompression,
	Best:         zstd.SpeedBestCompression,
}

// zstdWindow is how far back a match may lie. It bounds what an encoder keeps.
const zstdWindow = 1 << 20

// zstdEncoders are the shared encoders without dictionary, by level.
var zstdEncoders = [...]func() *zstd.Encoder{
	DefaultLevel: sync.OnceValue(func() *zstd.Encoder { return newZstdEncoder(DefaultLevel) }),
	Fastest:      sync.OnceValue(func() *zstd.Encoder { return newZstdEncoder(Fastest) }),
	Better:       sync.OnceValue(func() *zstd.Encoder { return newZstdEncoder(Better) }),
	Best:         sync.OnceValue(func() *zstd.Encoder { return newZstdEncoder(Best) }),
}

// zstdDecoder is the shared decoder without dictionary.
var zstdDecoder = sync.OnceValue(func() *zstd.Decoder { return must(newZstdDecoder(0)) })

func newZstdEncoder(level int) *zstd.Encoder {
	return must(zstd.NewWriter(nil, append(zstdOptions(level, 0), zstd.WithWindowSize(zstdWindow))...))
}

// zstdOptions are what all encoders have in common. The checksum is left out because the server keeps
// its memory intact, and because a cipher does better.
func zstdOptions(level, concurrency int) []zstd.EOption {
	return []zstd.EOption{
		zstd.WithEncoderLevel(zstdLevels[level]),
		zstd.WithEncoderConcurrency(concurrency),
		zstd.WithLowerEncoderMem(true),
		zstd.WithSingleSegment(true),
		zstd.WithEncoderCRC(false),
		zstd.WithAllLitEntropyCompression(true), // a short value may have no repeats and yet few different bytes
	}
}

// newZstdDecoder is a decoder that never writes more than it is given room for.
func newZstdDecoder(concurrency int, options ...zstd.DOption) (*zstd.Decoder, error) {
	if concurrency == 0 {
		concurrency = runtime.GOMAXPROCS(0)
	}
	return zstd.NewReader(nil, append(options,
		zstd.WithDecoderConcurrency(concurrency),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true))...)
}

// must is for options that are constants.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// appendFrameHeader appends the header of the zstd frame that an encoder writes for a value
// of that length.
func appendFrameHeader(dst []byte, length int, dict bool) []byte {
	const magic, singleSegment, oneByteDictID = "\x28\xb5\x2f\xfd", 1 << 5, 1
	descriptor := byte(singleSegment)
	if dict {
		descriptor |= oneByteDictID
	}
	switch {
	case length < 256:
	case length < 256+1<<16:
		descriptor |= 1 << 6
	default:
		descriptor |= 2 << 6
	}
	dst = append(append(dst, magic...), descriptor)
	if dict {
		dst = append(dst, frameDictID)
	}
	switch descriptor >> 6 {
	case 0:
		return append(dst, byte(length))
	case 1:
		return binary.LittleEndian.AppendUint16(dst, uint16(length-256))
	}
	return binary.LittleEndian.AppendUint32(dst, uint32(length))
}

// compressZstd appends the payload for src, without touching the bytes of dst. Its last
// header bytes of dst are room: a bare frame's own header is put there for a moment.
func compressZstd(dst, src []byte, enc *zstd.Encoder, dict bool) ([]byte, bool) {
	start := len(dst)
	dst = slices.Grow(dst, min(len(src)+32, 1<<20)) // what is longer than that grows as it comes
	if len(src) > bareLength {
		return enc.EncodeAll(src, dst), true
	}
	var room [16]byte
	want := appendFrameHeader(room[:0], len(src), dict)
	at := start - len(want)
	out := enc.EncodeAll(src, dst[:at])
	if !bytes.Equal(out[at:start], want) {
		return dst, false
	}
	return out, true
}

// decompressZstd appends the original of a payload, of exactly that length.
func decompressZstd(dst, payload []byte, length int, dec *zstd.Decoder, dict bool) ([]byte, error) {
	// A block takes four bytes or more and makes at most 128 KiB.
	if length>>17 > len(payload)/4 {
		return dst, ErrCorrupt
	}
	// The library is quicker if it may write some bytes more.
	dst = slices.Grow(dst, length+16)
	room := dst[len(dst) : len(dst) : len(dst)+length+16]
	var out []byte
	var err error
	if length > bareLength {
		out, err = dec.DecodeAll(payload, room)
	} else {
		s := getScratch()
		s.frame = append(appendFrameHeader(s.frame[:0], length, dict), payload...)
		out, err = dec.DecodeAll(s.frame, room)
		s.put()
	}
	if err != nil || len(out) != length {
		return dst, ErrCorrupt
	}
	return dst[:len(dst)+length], nil
}
