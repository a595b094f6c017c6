package value

import "encoding/binary"

// The header of a sealed value, version 1:
//
//	Magic
//	1 byte    version << 4 | algorithm
//	1 byte    flags: bit 0 dictionary, bits 1 and 2 cipher
//	uvarint   length of the original, in its shortest form
//	4 bytes   id of the dictionary, if there is one; big endian, as all that follows
//	20 bytes  id of the key, salt, counter, if there is a cipher: 4, 8 and 8 bytes
//	1 byte    check over all of the above
//
// The check tells a header from a plain value that begins with Magic. It protects nothing.
const (
	version = 1

	flagDict    = 1 << 0
	cipherShift = 1
	knownFlags  = flagDict | 3<<cipherShift

	dictIDSize   = 4
	keyFieldSize = 4 + 8 + 8
	minHeader    = len(Magic) + 2 + 1 + 1
	maxHeader    = len(Magic) + 2 + 5 + dictIDSize + keyFieldSize + 1

	// maxLength is far beyond what a server stores; a header that says more is none.
	maxLength = 1<<32 - 1
)

// Algorithm is how the payload of a sealed value is compressed.
type Algorithm uint8

const (
	None Algorithm = iota // only wrapped, or only encrypted
	LZ4                   // a block of LZ4
	S2                    // a block of S2
	Zstd                  // a frame of zstd; see zstd.go for what short values leave out
)

// Algorithms is how many values Algorithm has.
const Algorithms = 4

func (a Algorithm) String() string { return [Algorithms]string{"none", "lz4", "s2", "zstd"}[a] }

// Cipher is how the payload of a sealed value is encrypted.
type Cipher uint8

const (
	NoCipher Cipher = iota
	AES256GCM
	ChaCha20Poly1305
)

func (c Cipher) String() string {
	return [...]string{"none", "aes-256-gcm", "chacha20-poly1305"}[c]
}

// Header is what a sealed value says about itself. Anybody who can write to the
// upstream can write one, so none of it can be relied on.
type Header struct {
	Algorithm Algorithm
	Cipher    Cipher
	Length    int64  // of the original, in bytes
	Dict      uint32 // id of the dictionary; 0: none
	KeyID     uint32 // with a cipher: id of the master key
	Salt      uint64 // with a cipher: what the key was derived with
	Counter   uint64 // with a cipher: the nonce
}

// ParseHeader is the header of a sealed value and where the payload begins. It is
// false for a plain value, also for one that begins with Magic.
func ParseHeader(stored []byte) (Header, int, bool) {
	var h Header
	if len(stored) < minHeader || !IsSealed(stored) {
		return h, 0, false
	}
	kind, flags := stored[3], stored[4]
	h.Algorithm, h.Cipher = Algorithm(kind&15), Cipher(flags>>cipherShift&3)
	hasDict := flags&flagDict != 0
	if kind>>4 != version || h.Algorithm > Zstd || flags&^knownFlags != 0 || h.Cipher > ChaCha20Poly1305 ||
		hasDict && h.Algorithm != Zstd {
		return Header{}, 0, false
	}
	length, n := binary.Uvarint(stored[5:])
	if n <= 0 || n > 1 && stored[5+n-1] == 0 || length > maxLength {
		return Header{}, 0, false
	}
	h.Length = int64(length)
	at := 5 + n
	end := at
	if hasDict {
		end += dictIDSize
	}
	if h.Cipher != NoCipher {
		end += keyFieldSize
	}
	if len(stored) <= end || stored[end] != checkByte(stored[:end]) {
		return Header{}, 0, false
	}
	if hasDict {
		h.Dict = binary.BigEndian.Uint32(stored[at:])
		at += dictIDSize
		if h.Dict == 0 {
			return Header{}, 0, false
		}
	}
	if h.Cipher != NoCipher {
		h.KeyID = binary.BigEndian.Uint32(stored[at:])
		h.Salt = binary.BigEndian.Uint64(stored[at+4:])
		h.Counter = binary.BigEndian.Uint64(stored[at+12:])
	}
	return h, end + 1, true
}

// Length is the length of the original of a stored value, in bytes, as its header says;
// for a plain value it is its own.
func Length(stored []byte) (n int64, sealed bool) {
	h, _, ok := ParseHeader(stored)
	if !ok {
		return int64(len(stored)), false
	}
	return h.Length, true
}

// size is how many bytes the header takes.
func (h *Header) size() int {
	n := minHeader
	for v := h.Length >> 7; v != 0; v >>= 7 {
		n++
	}
	if h.Dict != 0 {
		n += dictIDSize
	}
	if h.Cipher != NoCipher {
		n += keyFieldSize
	}
	return n
}

// append appends the header.
func (h *Header) append(dst []byte) []byte {
	start := len(dst)
	flags := byte(h.Cipher) << cipherShift
	if h.Dict != 0 {
		flags |= flagDict
	}
	dst = append(dst, Magic[0], Magic[1], Magic[2], version<<4|byte(h.Algorithm), flags)
	dst = binary.AppendUvarint(dst, uint64(h.Length))
	if h.Dict != 0 {
		dst = binary.BigEndian.AppendUint32(dst, h.Dict)
	}
	if h.Cipher != NoCipher {
		dst = binary.BigEndian.AppendUint32(dst, h.KeyID)
		dst = binary.BigEndian.AppendUint64(dst, h.Salt)
		dst = binary.BigEndian.AppendUint64(dst, h.Counter)
	}
	return append(dst, checkByte(dst[start:]))
}

// checkByte is an FNV-1a hash folded to a byte.
func checkByte(header []byte) byte {
	h := uint32(2166136261)
	for _, b := range header {
		h = (h ^ uint32(b)) * 16777619
	}
	return byte(h ^ h>>8 ^ h>>16 ^ h>>24)
}
