package value

import "time"

// Open appends the original of a stored value to dst; a plain one is its own. After an error out has the
// bytes of dst. The errors are ErrCorrupt, ErrTooLong, *MissingDictError, *MissingKeyError and
// *WrongKeyError (which is ErrWrongKey). dst and stored must not overlap.
func (c *Codec) Open(n *Counters, dst, stored []byte, name Name) (out []byte, err error) {
	h, at, sealed := ParseHeader(stored)
	if !sealed {
		return append(dst, stored...), nil
	}
	flow := &n.Opened[h.Algorithm]
	if n.opens++; n.opens%sampleEvery != 0 {
		out, err = c.open(dst, stored[:at], stored[at:], &h, name)
	} else {
		began := time.Now()
		out, err = c.open(dst, stored[:at], stored[at:], &h, name)
		flow.Nanos += sampleEvery * uint64(time.Since(began))
	}
	if err != nil {
		n.Failed++
		return dst, err
	}
	flow.Values++
	flow.In += uint64(len(stored))
	flow.Out += uint64(h.Length)
	if h.Dict != 0 {
		n.DictOpened++
	}
	if h.Cipher != NoCipher {
		n.Decrypted++
	}
	return out, nil
}

// open decrypts and decompresses.
func (c *Codec) open(dst, header, payload []byte, h *Header, name Name) (out []byte, err error) {
	if h.Length > int64(c.settings.Limit) {
		return dst, ErrTooLong
	}
	if h.Cipher == NoCipher {
		return c.decompress(dst, payload, h)
	}
	if len(payload) < tagSize {
		return dst, ErrCorrupt
	}
	s := getScratch()
	defer s.put()
	if h.Algorithm == None {
		if int64(len(payload)-tagSize) != h.Length {
			return dst, ErrCorrupt
		}
		return c.settings.Keys.open(s, dst, header, payload, h, name)
	}
	text, err := c.settings.Keys.open(s, s.text[:0], header, payload, h, name)
	if err != nil {
		return dst, err
	}
	s.text = text
	return c.decompress(dst, text, h)
}

// decompress appends the original of a payload.
func (c *Codec) decompress(dst, payload []byte, h *Header) ([]byte, error) {
	length := int(h.Length)
	if length == 0 && h.Algorithm != None {
		return dst, ErrCorrupt // nothing is never compressed, and the decoder of LZ4 fails for want of room
	}
	switch h.Algorithm {
	case LZ4:
		return decompressLZ4(dst, payload, length)
	case S2:
		return decompressS2(dst, payload, length)
	case Zstd:
		if h.Dict == 0 {
			return decompressZstd(dst, payload, length, zstdDecoder(), false)
		}
		dict := c.Dicts().Get(h.Dict)
		if dict == nil {
			return dst, &MissingDictError{h.Dict}
		}
		return decompressZstd(dst, payload, length, dict.decoder(), true)
	}
	if len(payload) != length {
		return dst, ErrCorrupt
	}
	return append(dst, payload...), nil
}
