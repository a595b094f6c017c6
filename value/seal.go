package value

import (
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Seal appends the sealed form of a value to dst. If sealed is false the value is to be
// stored as it is, and out has the bytes of dst (maybe with more capacity). dst and plain must not overlap.
func (c *Codec) Seal(n *Counters, dst, plain []byte, name Name) (out []byte, sealed bool) {
	if n.seals++; n.seals%sampleEvery != 0 {
		out, _, sealed = c.seal(n, dst, plain, name)
		return out, sealed
	}
	began := time.Now()
	out, tried, sealed := c.seal(n, dst, plain, name)
	n.Sealed[tried].Nanos += sampleEvery * uint64(time.Since(began))
	return out, sealed
}

// seal says in addition which algorithm the time went to.
func (c *Codec) seal(n *Counters, dst, plain []byte, name Name) (out []byte, tried Algorithm, sealed bool) {
	encrypts := c.Encrypts()
	if c.algorithm != None {
		if len(plain) < c.smallest {
			n.Skipped[SkipSmall]++
		} else if skip := c.skip(plain, name, encrypts); skip < SkipReasons {
			n.Skipped[skip]++
		} else {
			tried = c.algorithm
			if dst, sealed = c.compressed(n, dst, plain, name); sealed {
				return dst, tried, true
			}
		}
	}
	if !encrypts && !IsSealed(plain) {
		return dst, tried, false
	}
	h := Header{Length: int64(len(plain))}
	c.prepare(&h)
	out = slices.Grow(dst, h.size()+len(plain)+tagSize)[:len(dst)+h.size()]
	return c.finish(n, &h, dst, append(out, plain...), name), tried, true
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
func (c *Codec) compressed(n *Counters, dst, plain []byte, name Name) (out []byte, ok bool) {
	var dict *Dict
	var enc *zstd.Encoder
	if c.algorithm == Zstd && len(plain) <= dictLength && len(plain) >= c.settings.DictMinSize {
		if f := c.sampler.Load(); f != nil {
			(*f)(name, plain)
		}
		if dict = c.dicts.Load().For(name.Key); dict != nil {
			if enc = dict.encoder(c.settings.Level); enc == nil {
				dict = nil
				n.DictMissed++
			}
		}
	}
	if dict == nil && len(plain) < c.settings.MinSize {
		n.Skipped[SkipSmall]++
		return dst, false
	}
	h := Header{Algorithm: c.algorithm, Length: int64(len(plain))}
	if dict != nil {
		h.Dict = dict.ID
	}
	longest := c.longest(len(plain))
	if !c.prepare(&h) {
		longest -= h.size() // an encrypted value has a header anyway
	}
	if longest <= 0 {
		n.Skipped[SkipNoGain]++
		return dst, false
	}
	start := len(dst) + h.size()
	out = slices.Grow(dst, h.size()+tagSize)[:start]
	switch c.algorithm {
	case LZ4:
		out, ok = compressLZ4(out, plain, c.settings.Level, longest)
	case S2:
		out, ok = compressS2(out, plain, c.settings.Level)
	case Zstd:
		if enc == nil {
			enc = zstdEncoders[c.settings.Level]()
		}
		out, ok = compressZstd(out, plain, enc, dict != nil)
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
	return c.finish(n, &h, dst, out, name), true
}

// longest is the longest payload that saves enough.
func (c *Codec) longest(plain int) int {
	if c.settings.MinSaving < 0 {
		return 2*plain + maxHeader + 64
	}
	return plain - max(plain*c.settings.MinSaving/100, 1)
}

// prepare reports whether a value is to be encrypted, and sets what that means for
// the size of its header.
func (c *Codec) prepare(h *Header) bool {
	if !c.Encrypts() {
		return false
	}
	h.Cipher = c.settings.Keys.current.cipher
	return true
}

// finish puts the header into the room behind dst, encrypts the payload that follows it in place, and
// counts.
func (c *Codec) finish(n *Counters, h *Header, dst, out []byte, name Name) []byte {
	at := len(dst) + h.size()
	if h.Cipher != NoCipher {
		key := c.settings.Keys.current
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
