package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
)

// A record is {"n":<number>,<fields>,"chain":"<hash>"}, and its hash that of the hash before it
// and of the line up to the field chain. With a secret it is an HMAC.

// hashSize is that of the chain's hashes, in bytes.
const hashSize = sha256.Size

const (
	lineStart  = `{"n":`
	chainStart = `,"chain":"`
	lineEnd    = `"}`
	// tailSize is how long the end of each line is.
	tailSize = len(chainStart) + 2*hashSize + len(lineEnd)
	// maxLine is the longest line there can be, its end included.
	maxLine = 256 << 10
)

// link is how far a chain has come.
type link struct {
	n    uint64         // of the last record; 0: there is none
	head [hashSize]byte // its hash
}

// sealer makes the ends of records.
type sealer struct {
	link
	hash hash.Hash
}

func newSealer(secret []byte) *sealer { return &sealer{hash: newHash(secret)} }

func newHash(secret []byte) hash.Hash {
	if len(secret) == 0 {
		return sha256.New()
	}
	return hmac.New(sha256.New, secret)
}

// append appends the next record, which has these fields.
func (c *sealer) append(b, fields []byte) []byte {
	from := len(b)
	c.n++
	b = append(b, lineStart...)
	b = strconv.AppendUint(b, c.n, 10)
	b = append(b, ',')
	b = append(b, fields...)
	c.advance(b[from:])
	b = append(b, chainStart...)
	b = hex.AppendEncode(b, c.head[:])
	b = append(b, lineEnd...)
	return append(b, '\n')
}

// advance puts the hash of the next record, less its end, in the head's place.
func (c *sealer) advance(body []byte) {
	c.hash.Reset()
	c.hash.Write(c.head[:])
	c.hash.Write(body)
	c.hash.Sum(c.head[:0])
}

// split takes a line without its line feed apart: the part that is hashed, and what it says of
// itself. ok is false for what is no record.
func split(line []byte) (body []byte, at link, ok bool) {
	if len(line) < len(lineStart)+tailSize || !bytes.HasPrefix(line, []byte(lineStart)) {
		return nil, at, false
	}
	body, tail := line[:len(line)-tailSize], line[len(line)-tailSize:]
	digits, ok := bytes.CutPrefix(tail, []byte(chainStart))
	if !ok || !bytes.HasSuffix(digits, []byte(lineEnd)) {
		return nil, at, false
	}
	if _, err := hex.Decode(at.head[:], digits[:2*hashSize]); err != nil {
		return nil, at, false
	}
	number, _, ok := bytes.Cut(body[len(lineStart):], []byte(","))
	if !ok || len(number) == 0 || number[0] < '1' || number[0] > '9' {
		return nil, at, false
	}
	n, err := strconv.ParseUint(string(number), 10, 64)
	at.n = n
	return body, at, err == nil
}

// fingerprint tells secrets apart without telling anything about them. It is empty for none.
func fingerprint(secret []byte) string {
	if len(secret) == 0 {
		return ""
	}
	h := newHash(secret)
	h.Write([]byte("riptide audit: which secret is it"))
	return hex.EncodeToString(h.Sum(nil)[:8])
}
