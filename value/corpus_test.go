package value

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	zdict "github.com/klauspost/compress/dict"
	"github.com/klauspost/compress/zstd"
)

// pick is one of the words.
func pick(r *rand.Rand, words ...string) string { return words[r.IntN(len(words))] }

// sessionJSON is a web session of about 300 bytes.
func sessionJSON(r *rand.Rand) []byte {
	return fmt.Appendf(nil, `{"session_id":"%016x%016x","user":{"id":%d,"name":"%s %s","email":"%s%d@example.%s","roles":["%s"]},`+
		`"csrf":"%016x","locale":"%s","created_at":"2026-%02d-%02dT%02d:%02d:%02dZ","cart":{"items":%d,"currency":"%s"},"flags":{"beta":%t,"dark":%t}}`,
		r.Uint64(), r.Uint64(), r.IntN(1e7), pick(r, "Ada", "Alan", "Grace", "Edsger", "Barbara"), pick(r, "Lovelace", "Turing", "Hopper", "Dijkstra", "Liskov"),
		pick(r, "ada", "alan", "grace"), r.IntN(1000), pick(r, "com", "org", "net"), pick(r, "admin", "customer", "guest"), r.Uint64(),
		pick(r, "en-GB", "de-DE", "fr-FR"), 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(20), pick(r, "EUR", "USD"), r.IntN(2) == 0, r.IntN(2) == 0)
}

// documentJSON is an answer of an API of at least size bytes, cut to that size.
func documentJSON(r *rand.Rand, size int) []byte {
	var b strings.Builder
	b.WriteString(`{"page":1,"results":[`)
	for b.Len() < size {
		fmt.Fprintf(&b, `{"id":%d,"sku":"%08X","title":"%s %s %s","price":{"amount":%d.%02d,"currency":"EUR"},"stock":%d,"tags":["%s","%s"],"updated_at":"2026-%02d-%02dT%02d:%02d:00Z"},`,
			r.IntN(1e7), r.Uint32(), pick(r, "Red", "Blue", "Large", "Small"), pick(r, "wooden", "steel", "cotton", "glass"), pick(r, "chair", "table", "lamp", "shirt", "bottle"),
			r.IntN(900), r.IntN(100), r.IntN(500), pick(r, "new", "sale", "home"), pick(r, "garden", "office", "kitchen"), 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60))
	}
	return []byte(b.String())[:size]
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// sessionBlob is a dictionary trained with sessions.
var sessionBlob = sync.OnceValue(func() []byte {
	r := newRand(99)
	var samples [][]byte
	for range 2000 {
		samples = append(samples, sessionJSON(r))
	}
	blob, err := zdict.BuildZstdDict(samples, zdict.Options{MaxDictSize: 16 << 10, HashBytes: 6, ZstdLevel: zstd.SpeedBetterCompression, ZstdDictID: 12345})
	if err != nil {
		panic(err)
	}
	return blob
})

func sessionDict(t testing.TB) *Dict {
	t.Helper()
	d, err := NewDict("", sessionBlob())
	if err != nil {
		t.Fatal(err)
	}
	return d
}
