package dictionary

import (
	"encoding/binary"
	"math"

	"github.com/klauspost/compress/zstd"

	"riptide-proxy/value"
)

// MinGain is by how many percent values must be shorter with a new dictionary than without it, or with the
// present one, for keeping it. Less would not pay for one more dictionary that has to
// stay as long as values need it.
const MinGain = 10

// Gain says what a dictionary saves, in bytes as they are stored, on values that it was not trained with.
type Gain struct {
	Values  int   `json:"values"`
	Plain   int64 `json:"plain"`             // not compressed at all
	Without int64 `json:"without"`           // as stored without a dictionary
	Present int64 `json:"present,omitempty"` // with the one used so far, if there is one
	With    int64 `json:"with"`              // with the new one
}

// Enough reports whether the dictionary is worth keeping.
func (g Gain) Enough() bool {
	best := g.Without
	if g.Present > 0 {
		best = min(best, g.Present)
	}
	return g.Values > 0 && g.With*100 <= best*(100-MinGain)
}

// Saved is by how many percent the dictionary makes the values shorter than they would be without it.
func (g Gain) Saved() float64 { return percent(g.With, g.Without) }

// Total is by how many percent the values are shorter than the originals.
func (g Gain) Total() float64 { return percent(g.With, g.Plain) }

func percent(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return math.Round(1000*(1-float64(part)/float64(whole))) / 10
}

// sealedSize is how many bytes values take as a tenant with these settings stores them, encryption aside.
// blob is the dictionary, or empty.
func sealedSize(s value.Settings, values [][]byte, blob []byte) (int64, error) {
	s.Keys, s.Exclude = nil, nil
	codec, err := value.NewCodec(s)
	if err != nil {
		return 0, err
	}
	least := s.DictMinSize
	if least <= 0 {
		least = s.MinSize
	}
	var enc *zstd.Encoder
	if len(blob) > 0 {
		if enc, err = newEncoder(level(s.Level), blob); err != nil {
			return 0, err
		}
		defer enc.Close()
	}
	var n value.Counters
	var buf []byte
	total := int64(0)
	for _, v := range values {
		if enc != nil && len(v) >= least {
			buf = enc.EncodeAll(v, buf[:0])
			size, err := withDict(buf, len(v), s.MinSaving)
			if err != nil {
				return 0, err
			}
			total += int64(size)
			continue
		}
		out, sealed := codec.Seal(&n, buf[:0], v, value.Name{})
		if buf = out; !sealed {
			out = v
		}
		total += int64(len(out))
	}
	return total, nil
}

// newEncoder compresses as package value does with that dictionary. It is not that package's own,
// since those are few and the values of clients need them.
func newEncoder(l zstd.EncoderLevel, blob []byte) (*zstd.Encoder, error) {
	window := zstd.MinWindowSize
	for window < len(blob)+longestSample {
		window *= 2
	}
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(l), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false), zstd.WithAllLitEntropyCompression(true),
		zstd.WithWindowSize(window), zstd.WithEncoderDict(blob))
}

// withDict is how long the sealed form of a value of that length is whose frame this is. The frame's own header is
// not stored.
func withDict(frame []byte, length, minSaving int) (int, error) {
	var in zstd.Header
	if err := in.Decode(frame); err != nil {
		return 0, err
	}
	size := len(frame) - in.HeaderSize
	size += len(value.Magic) + 2 + len(binary.AppendUvarint(nil, uint64(length))) + 4 + 1
	if size > length-length*minSaving/100 {
		return length, nil
	}
	return size, nil
}
