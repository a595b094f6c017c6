package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"strconv"
	"time"
)

// A block is some records and the seal behind them:
//
//	{"time":"...","event":"seal","block":<number>,"records":<how many>,"last":<number of the last one>,"chain":"<hash>"}
//
// The hash is that of the hash before it and of all of the block up to the field chain. With a secret it is an HMAC.

// hashSize is that of the chain's hashes, in bytes.
const hashSize = sha256.Size

const (
	chainStart = `,"chain":"`
	lineEnd    = `"}`
	// tailSize is how long the end of a seal is.
	tailSize = len(chainStart) + 2*hashSize + len(lineEnd)
	// blockSize is how many bytes of records have one seal, more or less: as exact is Verify in telling a place.
	blockSize = ChunkSize / 2
	// maxLine is the longest line there can be, its end included.
	maxLine = 512 << 10

	sealEvent = "seal"
)

// link is how far a chain has come.
type link struct {
	block  uint64         // the last one; 0: there is none
	record uint64         // the last one
	head   [hashSize]byte // hash of the last block
}

// sealer makes blocks.
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

// seal appends the seal of a block to so many records, which stand at the end of b from a position on.
func (c *sealer) seal(b []byte, from, records int, at time.Time) []byte {
	c.block++
	c.record += uint64(records)
	b = append(b, `{"time":"`...)
	b = appendTime(b, at)
	b = append(b, `","event":"`+sealEvent+`","block":`...)
	b = strconv.AppendUint(b, c.block, 10)
	b = append(b, `,"records":`...)
	b = strconv.AppendInt(b, int64(records), 10)
	b = append(b, `,"last":`...)
	b = strconv.AppendUint(b, c.record, 10)
	c.begin()
	c.hash.Write(b[from:])
	c.end()
	b = append(b, chainStart...)
	b = hex.AppendEncode(b, c.head[:])
	b = append(b, lineEnd...)
	return append(b, '\n')
}

// begin begins the hash of the next block, and end puts it in the head's place.
func (c *sealer) begin() {
	c.hash.Reset()
	c.hash.Write(c.head[:])
}

func (c *sealer) end() { c.hash.Sum(c.head[:0]) }

// seal is what a seal says.
type seal struct {
	Event   string `json:"event"`
	Block   uint64 `json:"block"`
	Records uint64 `json:"records"`
	Last    uint64 `json:"last"`
}

func (s *seal) link(head [hashSize]byte) link { return link{s.Block, s.Last, head} }

// parseSeal reads a line, without its line feed, that is a seal: the part of it that is hashed, and what it says. ok is
// false for all other lines.
func parseSeal(line []byte) (body []byte, says seal, head [hashSize]byte, ok bool) {
	if len(line) < tailSize {
		return nil, says, head, false
	}
	body, tail := line[:len(line)-tailSize], line[len(line)-tailSize:]
	digits, ok := bytes.CutPrefix(tail, []byte(chainStart))
	if !ok || !bytes.HasSuffix(digits, []byte(lineEnd)) {
		return nil, says, head, false
	}
	if _, err := hex.Decode(head[:], digits[:2*hashSize]); err != nil {
		return nil, says, head, false
	}
	err := json.Unmarshal(line, &says)
	return body, says, head, err == nil && says.Event == sealEvent && says.Block > 0 && says.Records <= says.Last
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
