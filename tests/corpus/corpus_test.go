package corpus

import (
	"bytes"
	"encoding/json"
	"testing"
)

// Values are what they are said to be: the same for the same number, different for
// different ones, well formed, and of the length that tables name.
func TestCorpora(t *testing.T) {
	for _, c := range []struct {
		name     string
		of       func(i int) []byte
		mean     int // bytes; a tenth more or less is fine
		isJSON   bool
		shortest int
	}{
		{name: "HTML", of: HTML, mean: 20 << 10, shortest: 15 << 10},
		{name: "document", of: func(i int) []byte { return Document(i, 1<<10) }, mean: 1 << 10, isJSON: true, shortest: 1 << 10},
		{name: "session", of: Session, mean: 300, isJSON: true, shortest: 200},
		{name: "random", of: func(i int) []byte { return Random(i, 100) }, mean: 100, shortest: 100},
	} {
		const n = 500
		seen := map[string]bool{}
		total := 0
		for i := range n {
			v := c.of(i)
			total += len(v)
			if !bytes.Equal(v, c.of(i)) {
				t.Fatalf("%s %d differs from itself", c.name, i)
			}
			if seen[string(v)] {
				t.Fatalf("%s %d is like another", c.name, i)
			}
			seen[string(v)] = true
			if c.isJSON && !json.Valid(v) {
				t.Fatalf("%s %d is no JSON: %s", c.name, i, v)
			}
			if len(v) < c.shortest {
				t.Errorf("%s %d has %d bytes", c.name, i, len(v))
			}
		}
		t.Logf("%s: %d bytes", c.name, total/n)
	}
}
