package value

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"runtime"

	"github.com/klauspost/compress/zstd"
)

// Dict is a trained dictionary. Its encoder and decoder are made when they are needed first.
type Dict struct {
	ID      uint32 // follows from the blob; never 0
	Pattern string // which keys it was trained for

	keys   pattern
	coders *dictCoders
}

// dictCoders are a dictionary's encoders and decoder. They know nothing of the Dict, so that
// they can go when it does.
type dictCoders struct {
	quick, better coder[zstd.Encoder]
	decoder       coder[zstd.Decoder]
}

// dictMagic is what a dictionary in the format of zstd begins with.
const dictMagic = "\x37\xa4\x30\xec"

// maxDict is the longest dictionary in bytes, many times what is of use for short values.
const maxDict = 1 << 20

// DictID is the id of a dictionary: the first four bytes of the SHA-256 of it, and 1 if these are 0.
func DictID(blob []byte) uint32 {
	sum := sha256.Sum256(blob)
	return max(binary.BigEndian.Uint32(sum[:]), 1)
}

// NewDict is a dictionary for the keys that match a pattern ("" or "*": all). The blob is one in
// the format of zstd --train; an error says what is wrong with it.
func NewDict(pattern string, blob []byte) (*Dict, error) {
	if len(blob) < 8 || string(blob[:4]) != dictMagic {
		return nil, fmt.Errorf("not a zstd dictionary: it does not begin with its magic number")
	}
	if len(blob) > maxDict {
		return nil, fmt.Errorf("a dictionary of %d bytes is longer than %d", len(blob), maxDict)
	}
	own := bytes.Clone(blob)
	binary.LittleEndian.PutUint32(own[4:], frameDictID)
	info, err := zstd.InspectDictionary(own)
	if err != nil {
		return nil, fmt.Errorf("not a zstd dictionary: %w", err)
	}
	// A match must reach from the end of the longest value to the beginning of the dictionary.
	window := zstd.MinWindowSize
	for window < info.ContentSize()+dictLength {
		window *= 2
	}
	c := new(dictCoders)
	c.quick.bytes, c.better.bytes, c.decoder.bytes = quickEncoderBytes, betterEncoderBytes, decoderBytes
	c.quick.make = func() *zstd.Encoder { return newDictEncoder(Fastest, window, own) }
	c.better.make = func() *zstd.Encoder { return newDictEncoder(Better, window, own) }
	c.decoder.make = func() *zstd.Decoder { return must(newZstdDecoder(1, zstd.WithDecoderDicts(own))) }
	d := &Dict{ID: DictID(blob), Pattern: pattern, keys: newPattern(pattern), coders: c}
	runtime.AddCleanup(d, (*dictCoders).forget, c)
	return d, nil
}

func newDictEncoder(level, window int, blob []byte) *zstd.Encoder {
	return must(zstd.NewWriter(nil, append(zstdOptions(level, 1), zstd.WithWindowSize(window), zstd.WithEncoderDict(blob))...))
}

// forget gives back what the coders take.
func (c *dictCoders) forget() {
	dictEncoders.forget(&c.quick)
	dictEncoders.forget(&c.better)
	dictDecoders.forget(&c.decoder)
}

// encoder is the encoder for a level, or nil while others need the memory more. There are
// two only: with a dictionary the default level makes short values neither smaller nor sooner than the
// fastest, and the best one needs 70 MB.
func (d *Dict) encoder(level int) *zstd.Encoder {
	if level == Better || level == Best {
		return dictEncoders.get(&d.coders.better, false)
	}
	return dictEncoders.get(&d.coders.quick, false)
}

// decoder is the decoder.
func (d *Dict) decoder() *zstd.Decoder { return dictDecoders.get(&d.coders.decoder, true) }

// Dicts is a tenant's dictionaries at a time. It does not change.
type Dicts struct {
	byID    map[uint32]*Dict
	current []*Dict
}

// NewDicts are dictionaries to read with and dictionaries to write with. The first of current whose
// pattern matches a key is its; those for all keys come last whatever their place. What is current can be read too.
func NewDicts(all, current []*Dict) *Dicts {
	d := &Dicts{byID: make(map[uint32]*Dict, len(all)+len(current))}
	for _, one := range all {
		d.byID[one.ID] = one
	}
	var general []*Dict
	for _, one := range current {
		d.byID[one.ID] = one
		if one.keys.shape == everything {
			general = append(general, one)
		} else {
			d.current = append(d.current, one)
		}
	}
	d.current = append(d.current, general...)
	return d
}

// Get is the dictionary of that id, or nil.
func (d *Dicts) Get(id uint32) *Dict {
	if d == nil {
		return nil
	}
	return d.byID[id]
}

// For is the dictionary to write a key's value with, or nil.
func (d *Dicts) For(key []byte) *Dict {
	if d == nil {
		return nil
	}
	for _, one := range d.current {
		if one.keys.match(key) {
			return one
		}
	}
	return nil
}
