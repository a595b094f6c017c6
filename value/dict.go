package value

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Dict is a trained dictionary. Its encoder and decoder are made when they are needed first.
type Dict struct {
	ID      uint32 // follows from the blob; never 0
	Pattern string // which keys it was trained for

	keys    pattern
	blob    []byte // with frameDictID for its id
	window  int
	decoder func() *zstd.Decoder

	mu       sync.Mutex
	encoders [len(zstdLevels)]*zstd.Encoder
}

// dictMagic is what a dictionary in the format of zstd begins with.
const dictMagic = "\x37\xa4\x30\xec"

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
	d := &Dict{ID: DictID(blob), Pattern: pattern, keys: newPattern(pattern)}
	d.blob = append([]byte(nil), blob...)
	binary.LittleEndian.PutUint32(d.blob[4:], frameDictID)
	info, err := zstd.InspectDictionary(d.blob)
	if err != nil {
		return nil, fmt.Errorf("not a zstd dictionary: %w", err)
	}
	// A match must reach from the end of the longest value to the beginning of the dictionary.
	d.window = zstd.MinWindowSize
	for d.window < info.ContentSize()+dictLength {
		d.window *= 2
	}
	d.decoder = sync.OnceValue(func() *zstd.Decoder {
		return must(newZstdDecoder(1, zstd.WithDecoderDicts(d.blob)))
	})
	return d, nil
}

// encoder is the encoder of that level.
func (d *Dict) encoder(level int) *zstd.Encoder {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.encoders[level] == nil {
		options := append(zstdOptions(level, 1), zstd.WithWindowSize(d.window), zstd.WithEncoderDict(d.blob))
		d.encoders[level] = must(zstd.NewWriter(nil, options...))
	}
	return d.encoders[level]
}

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
