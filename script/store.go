package script

import (
	"crypto/sha1"
	"encoding/hex"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Limits bound what a Store keeps for each tenant.
type Limits struct {
	Scripts int // how many
	Bytes   int // their sources and wrapped sources together
}

// DefaultLimits are meant for tenants in their thousands.
var DefaultLimits = Limits{Scripts: 1000, Bytes: 8 << 20}

// Store has the scripts that tenants have loaded or run, so that one tenant does not know another's. The least recently
// used are forgotten. It may be used by several goroutines at once.
type Store struct {
	limits  Limits
	tenants sync.Map // of *shelf by tenant
}

// shelf has one tenant's scripts.
type shelf struct {
	mu    sync.Mutex
	lru   *simplelru.LRU[[sha1.Size]byte, *Script]
	bytes int
}

// NewStore makes an empty store.
func NewStore(limits Limits) *Store { return &Store{limits: limits} }

// Add returns the tenant's script with this source, which it remembers. A script that it has already is found by its
// hash and not wrapped again, unless the tenant's mode has changed.
func (s *Store) Add(tenant string, mode Mode, source []byte) *Script {
	sum := sha1.Sum(source)
	sh := s.shelf(tenant, true)
	if found := sh.get(sum, mode); found != nil {
		return found
	}
	made := New(source, mode)
	sh.put(sum, made, s.limits)
	return made
}

// Get returns the tenant's script with this hash, in hex of any case, or nil.
func (s *Store) Get(tenant string, mode Mode, sha []byte) *Script {
	var sum [sha1.Size]byte
	if !parseSHA(&sum, sha) {
		return nil
	}
	sh := s.shelf(tenant, false)
	if sh == nil {
		return nil
	}
	return sh.get(sum, mode)
}

// Flush forgets all scripts of a tenant.
func (s *Store) Flush(tenant string) { s.tenants.Delete(tenant) }

func (s *Store) shelf(tenant string, make bool) *shelf {
	if v, ok := s.tenants.Load(tenant); ok {
		return v.(*shelf)
	}
	if !make {
		return nil
	}
	sh := new(shelf)
	sh.lru, _ = simplelru.NewLRU(max(1, s.limits.Scripts), func(_ [sha1.Size]byte, old *Script) {
		sh.bytes -= old.size()
	}) // it fails for a negative size only
	v, _ := s.tenants.LoadOrStore(tenant, sh)
	return v.(*shelf)
}

func (sh *shelf) get(sum [sha1.Size]byte, mode Mode) *Script {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	found, ok := sh.lru.Get(sum)
	if !ok {
		return nil
	}
	if found.Mode != mode {
		again := New(found.Source, mode)
		again.taken = found.taken
		sh.bytes += again.size() - found.size()
		sh.lru.Add(sum, again)
		return again
	}
	return found
}

// put adds a script and drops others until all fit. One that is larger than the limit alone is not kept.
func (sh *shelf) put(sum [sha1.Size]byte, made *Script, limits Limits) {
	if made.size() > limits.Bytes {
		return
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.lru.Contains(sum) { // somebody was faster
		sh.lru.Remove(sum)
	}
	sh.lru.Add(sum, made)
	sh.bytes += made.size()
	for sh.bytes > limits.Bytes {
		sh.lru.RemoveOldest()
	}
}

// size is what a script takes in memory, nearly.
func (s *Script) size() int { return len(s.Source) + len(s.Wrapped) + 256 }

// parseSHA reads 40 hex digits.
func parseSHA(sum *[sha1.Size]byte, sha []byte) bool {
	if len(sha) != hex.EncodedLen(len(sum)) {
		return false
	}
	_, err := hex.Decode(sum[:], sha)
	return err == nil
}
