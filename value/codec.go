package value

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"riptide-proxy/config"
)

// Settings is how a tenant's values are stored.
type Settings struct {
	Tenant    string
	Algorithm config.Algorithm
	Level     int // DefaultLevel, Fastest, Better or Best

	MinSize     int // the shortest value that is compressed, in bytes
	DictMinSize int // the same where there is a dictionary; 0: as without one
	Limit       int // the longest original in bytes: limits.bulk

	// MinSaving is by how many percent a value has to become shorter for being compressed.
	// With less than 0 it may even become longer, which is of use in tests.
	MinSaving int

	Exclude []string // glob patterns over Name.Key: what they match is not compressed
	Streams bool     // also the values of stream fields
	Keys    *Keyring // nil: no encryption, and none can be read
}

// Codec seals and opens the values of one tenant. It is safe for concurrent use.
type Codec struct {
	Settings
	algorithm Algorithm
	exclude   []pattern
	smallest  int // below this no value needs a second look

	dicts   atomic.Pointer[Dicts]
	sampler atomic.Pointer[func(Name, []byte)]
}

// NewCodec checks the settings.
func NewCodec(s Settings) (*Codec, error) {
	c := &Codec{Settings: s}
	names := [Algorithms]config.Algorithm{config.NoCompression, config.LZ4, config.S2, config.Zstd}
	at := slices.Index(names[:], s.Algorithm)
	if at < 0 {
		return nil, fmt.Errorf("unknown compression algorithm %q", s.Algorithm)
	}
	c.algorithm = Algorithm(at)
	if s.Level < DefaultLevel || s.Level > Best {
		return nil, fmt.Errorf("unknown compression level %d", s.Level)
	}
	if s.Limit <= 0 || s.Limit > maxLength {
		return nil, fmt.Errorf("limit of %d bytes is not between 1 and %d", s.Limit, maxLength)
	}
	for _, glob := range s.Exclude {
		c.exclude = append(c.exclude, newPattern(glob))
	}
	if c.DictMinSize <= 0 {
		c.DictMinSize = c.MinSize
	}
	c.smallest = max(c.MinSize, 1)
	if c.algorithm == Zstd {
		c.smallest = max(min(c.MinSize, c.DictMinSize), 1)
	}
	return c, nil
}

// Compresses reports whether new values may be compressed.
func (c *Codec) Compresses() bool { return c.algorithm != None }

// Encrypts reports whether new values are encrypted, all of them.
func (c *Codec) Encrypts() bool { return c.Keys.Writes() }

// Streams reports whether the values of stream fields are sealed too.
func (c *Codec) Streams() bool { return c.Settings.Streams }

// SetDicts replaces the tenant's dictionaries; nil: none.
func (c *Codec) SetDicts(d *Dicts) { c.dicts.Store(d) }

// Dicts is the tenant's dictionaries, or nil.
func (c *Codec) Dicts() *Dicts { return c.dicts.Load() }

// SetSampler has f called with every value that a dictionary could compress, before it is compressed. It
// runs within Seal, must not keep what it is given, and may be called by many goroutines at once. nil ends it.
func (c *Codec) SetSampler(f func(name Name, plain []byte)) {
	if f == nil {
		c.sampler.Store(nil)
		return
	}
	c.sampler.Store(&f)
}

// Seal appends the sealed form of a value to dst. If sealed is false the value is to be
// stored as it is, and out has the bytes of dst (maybe with more capacity). dst and plain must not overlap.
func (c *Codec) Seal(n *Counters, dst, plain []byte, name Name) (out []byte, sealed bool) {
	encrypts := c.Encrypts()
	var h Header
	if c.algorithm != None && len(plain) >= c.smallest {
		if skip := c.skip(plain, name, encrypts); skip < SkipReasons {
			n.Skipped[skip]++
		} else if out, ok := c.compressed(n, &h, dst, plain, name, encrypts); ok {
			return out, true
		} else {
			dst = out
		}
	} else if c.algorithm != None {
		n.Skipped[SkipSmall]++
	}
	if !encrypts && !IsSealed(plain) {
		return dst, false
	}
	h = Header{Length: int64(len(plain))}
	out = c.start(&h, dst, len(plain))
	out = append(out, plain...)
	return c.finish(n, &h, dst, out, name), true
}

// skip is why a value is not worth trying, or SkipReasons.
func (c *Codec) skip(plain []byte, name Name, encrypts bool) Skip {
	if !encrypts && isNative(plain) {
		return SkipNative
	}
	if isCompressed(plain) {
		return SkipCompressed
	}
	for i := range c.exclude {
		if c.exclude[i].match(name.Key) {
			return SkipExcluded
		}
	}
	return SkipReasons
}

// compressed appends a compressed value. Where it is not worth it, ok is false and out has the
// bytes of dst.
func (c *Codec) compressed(n *Counters, h *Header, dst, plain []byte, name Name, encrypts bool) (out []byte, ok bool) {
	var dict *Dict
	if c.algorithm == Zstd && len(plain) <= dictLength && len(plain) >= c.DictMinSize {
		if f := c.sampler.Load(); f != nil {
			(*f)(name, plain)
		}
		dict = c.dicts.Load().For(name.Key)
	}
	if dict == nil && len(plain) < c.MinSize {
		n.Skipped[SkipSmall]++
		return dst, false
	}
	flow := &n.Sealed[c.algorithm]
	timed := flow.Values%sampleEvery == sampleEvery/2
	var began time.Time
	if timed {
		began = time.Now()
	}

	*h = Header{Algorithm: c.algorithm, Length: int64(len(plain))}
	if dict != nil {
		h.Dict = dict.ID
	}
	longest := len(plain) - len(plain)*c.MinSaving/100
	room := h.size()
	if encrypts {
		room = 0 // all values have a header then
		h.Cipher = c.Keys.current.cipher
	}
	if longest -= room; longest <= 0 {
		n.Skipped[SkipNoGain]++
		return dst, false
	}
	start := len(dst) + h.size()
	out = slices.Grow(dst, h.size()+longest)[:start]
	switch c.algorithm {
	case LZ4:
		out, ok = compressLZ4(out, plain, c.Level, longest)
	case S2:
		out, ok = compressS2(out, plain, c.Level)
	case Zstd:
		enc := zstdEncoders[c.Level]
		if dict != nil {
			out, ok = compressZstd(out, plain, dict.encoder(c.Level), true)
		} else {
			out, ok = compressZstd(out, plain, enc(), false)
		}
	}
	if size := len(out) - start; !ok || size > longest {
		reason := SkipNoGain
		if !ok || size >= len(plain) {
			reason = SkipIncompressible
		}
		n.Skipped[reason]++
		return out[:len(dst)], false
	}
	if dict != nil {
		n.DictSealed++
	}
	out = c.finish(n, h, dst, out, name)
	if timed {
		flow.Sampled++
		flow.Nanos += uint64(time.Since(began))
	}
	return out, true
}

// start appends room for a header and makes room for as many bytes of payload.
func (c *Codec) start(h *Header, dst []byte, payload int) []byte {
	if c.Encrypts() {
		h.Cipher = c.Keys.current.cipher
		payload += tagSize
	}
	return slices.Grow(dst, h.size()+payload)[:len(dst)+h.size()]
}

// finish puts the header into the room behind dst, encrypts the payload that follows it in place, and
// counts.
func (c *Codec) finish(n *Counters, h *Header, dst, out []byte, name Name) []byte {
	at := len(dst) + h.size()
	if h.Cipher != NoCipher {
		key := c.Keys.current
		key.fill(h)
		h.append(out[:len(dst)])
		s := getScratch()
		s.setNonce(h.Counter)
		s.setAAD(out[len(dst):at], name)
		out = key.aead.Seal(out[:at], s.nonce[:], out[at:], s.aad)
		s.put()
		n.Encrypted++
	} else {
		h.append(out[:len(dst)])
	}
	flow := &n.Sealed[h.Algorithm]
	flow.Values++
	flow.In += uint64(h.Length)
	flow.Out += uint64(len(out) - len(dst))
	return out
}
