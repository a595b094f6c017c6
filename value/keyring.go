package value

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	keySize   = 32
	tagSize   = 16
	nonceSize = 12
	keyInfo   = "riptide value v1|"

	// maxDerived is how many derived keys a Keyring keeps for reading. There is one for each
	// process that has written what is read.
	maxDerived = 64
)

// A nonce must never be used twice with the same key, also not after a Keyring was made anew.
// So each process derives its keys with a salt of its own and counts all that it encrypts.
var (
	processSalt = func() uint64 {
		var b [8]byte
		rand.Read(b[:]) // never fails: it ends the process instead
		return binary.BigEndian.Uint64(b[:])
	}()
	processCounter atomic.Uint64
)

// KeyID is the id that headers have for the master key of that name.
func KeyID(name string) uint32 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint32(sum[:])
}

// Keyring is the keys of one tenant. It is safe for concurrent use.
type Keyring struct {
	keys    map[uint32]*tenantKey
	current *derivedKey // nil: new values are not encrypted

	mu      sync.Mutex // held while a key is added to derived
	derived atomic.Pointer[map[derivation]cipher.AEAD]
}

// tenantKey is what a tenant has of a master key.
type tenantKey struct {
	name   string
	secret []byte
}

// derivation is what a derived key depends on beside the tenant.
type derivation struct {
	id     uint32
	cipher Cipher
	salt   uint64
}

// derivedKey is a key that values are written with.
type derivedKey struct {
	derivation
	aead cipher.AEAD
}

// NewKeyring derives a tenant's keys from the master keys by name, of 32 bytes each. New
// values are encrypted by that algorithm (aes-256-gcm or chacha20-poly1305) with the current key. Without
// current only what is encrypted already is read.
func NewKeyring(tenant, algorithm, current string, masters map[string][]byte) (*Keyring, error) {
	k := &Keyring{keys: make(map[uint32]*tenantKey, len(masters))}
	k.derived.Store(&map[derivation]cipher.AEAD{})
	for name, master := range masters {
		if len(master) != keySize {
			return nil, fmt.Errorf("encryption key %q has %d bytes instead of %d", name, len(master), keySize)
		}
		id := KeyID(name)
		if other, ok := k.keys[id]; ok {
			return nil, fmt.Errorf("encryption keys %q and %q have the same id %08x: one needs another name", name, other.name, id)
		}
		secret, err := hkdf.Key(sha256.New, master, nil, keyInfo+tenant, keySize)
		if err != nil {
			return nil, err
		}
		k.keys[id] = &tenantKey{name, secret}
	}
	if current == "" {
		return k, nil
	}
	how := AES256GCM
	switch algorithm {
	case AES256GCM.String():
	case ChaCha20Poly1305.String():
		how = ChaCha20Poly1305
	default:
		return nil, fmt.Errorf("unknown encryption algorithm %q", algorithm)
	}
	if _, ok := masters[current]; !ok {
		return nil, fmt.Errorf("encryption key %q is not configured", current)
	}
	d := derivation{KeyID(current), how, processSalt}
	aead, err := k.get(d)
	if err != nil {
		return nil, err
	}
	k.current = &derivedKey{d, aead}
	return k, nil
}

// Writes reports whether new values are encrypted.
func (k *Keyring) Writes() bool { return k != nil && k.current != nil }

// get is the key for a derivation. The error is a MissingKeyError.
func (k *Keyring) get(d derivation) (cipher.AEAD, error) {
	if k == nil {
		return nil, &MissingKeyError{d.id}
	}
	if aead, ok := (*k.derived.Load())[d]; ok {
		return aead, nil
	}
	master, ok := k.keys[d.id]
	if !ok {
		return nil, &MissingKeyError{d.id}
	}
	aead, err := master.derive(d)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	old := *k.derived.Load()
	next := make(map[derivation]cipher.AEAD, len(old)+1)
	// Salts are anybody's to forge: too many of them cost time, never memory.
	if len(old) < maxDerived {
		maps.Copy(next, old)
	}
	next[d] = aead
	k.derived.Store(&next)
	return aead, nil
}

// derive is the key itself.
func (t *tenantKey) derive(d derivation) (cipher.AEAD, error) {
	salt := binary.BigEndian.AppendUint64(nil, d.salt)
	key, err := hkdf.Key(sha256.New, t.secret, salt, keyInfo+d.cipher.String(), keySize)
	if err != nil {
		return nil, err
	}
	if d.cipher == ChaCha20Poly1305 {
		return chacha20poly1305.New(key)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// setNonce makes the nonce for a counter.
func (s *scratch) setNonce(counter uint64) { binary.BigEndian.PutUint64(s.nonce[4:], counter) }

// setAAD sets what is authenticated: the header and the name that the value is stored under,
// unless it may move.
func (s *scratch) setAAD(header []byte, name Name) {
	s.aad = append(s.aad[:0], header...)
	if !name.Stream {
		s.aad = append(append(s.aad, name.Prefix...), name.Key...)
	}
}

// seal fills in the header's fields about the key.
func (k *derivedKey) fill(h *Header) {
	h.Cipher, h.KeyID, h.Salt = k.cipher, k.id, k.salt
	h.Counter = processCounter.Add(1)
}

// open appends the decrypted payload to dst, which must not overlap with it.
func (k *Keyring) open(s *scratch, dst, header, payload []byte, h *Header, name Name) ([]byte, error) {
	aead, err := k.get(derivation{h.KeyID, h.Cipher, h.Salt})
	if err != nil {
		return dst, err
	}
	s.setNonce(h.Counter)
	s.setAAD(header, name)
	out, err := aead.Open(dst, s.nonce[:], payload, s.aad)
	if err != nil {
		return dst, &WrongKeyError{k.keys[h.KeyID].name}
	}
	return out, nil
}
