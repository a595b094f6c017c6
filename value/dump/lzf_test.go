package dump

import (
	"bytes"
	"math"
	"testing"
)

// TestCompressorAgain compresses with what earlier strings have left, also
// where the places begin again.
func TestCompressorAgain(t *testing.T) {
	texts := [][]byte{
		bytes.Repeat([]byte("abcdefgh"), 40), bytes.Repeat([]byte("a"), 600), []byte("no repetition at all in it"), bytes.Repeat([]byte("habcdefg"), 40),
	}
	used := new(compressor)
	for i := range 40 {
		if i == 20 {
			used.next = math.MaxUint32 - 700
		}
		s := texts[i%len(texts)]
		fresh, ok1 := new(compressor).compress(s, len(s)-minSaving)
		again, ok2 := used.compress(s, len(s)-minSaving)
		if ok1 != ok2 || !bytes.Equal(fresh, again) {
			t.Fatalf("%d: %x, not %x", i, again, fresh)
		}
		if !ok1 {
			continue
		}
		if plain, ok := decompress(fresh, len(s)); !ok || !bytes.Equal(plain, s) {
			t.Fatalf("%d: read back as %q", i, plain)
		}
	}
	if used.base > 1<<20 {
		t.Error("the places did not begin again")
	}
}
