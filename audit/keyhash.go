package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// KeyHash names keys by a hash that only those can find a key's name by who have the
// secret. It is for one goroutine.
type KeyHash struct {
	hash hash.Hash
	sum  [sha256.Size]byte
}

// NewKeyHash makes one. The secret must not be empty.
func NewKeyHash(secret []byte) *KeyHash {
	return &KeyHash{hash: newHash(append([]byte("riptide audit: names of keys\x00"), secret...))}
}

// Append appends the name of a tenant's key: 32 hexadecimal digits. The same name is another
// one for another tenant.
func (k *KeyHash) Append(b []byte, tenant string, key []byte) []byte {
	k.hash.Reset()
	b = append(b, tenant...) // as a scratch, so that nothing is allocated
	from := len(b) - len(tenant)
	b = append(b, 0)
	k.hash.Write(b[from:])
	b = b[:from]
	k.hash.Write(key)
	return hex.AppendEncode(b, k.hash.Sum(k.sum[:0])[:16])
}
