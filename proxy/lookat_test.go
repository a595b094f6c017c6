package proxy

import (
	"fmt"
	"testing"
)

// What is asked beside the loop does not change when the loop reads what others send.
func TestLookArgsAreKept(t *testing.T) {
	r := request(t, "SORT", "k", "BY", "nosort", "STORE", "to")
	keys, rest := lookArgs(r, []int32{1, 5}, []byte("t:acme:0:"))
	want := fmt.Sprintf("%q %q", keys, rest)
	for i := range r.Raw {
		r.Raw[i] = 'x'
	}
	if got := fmt.Sprintf("%q %q", keys, rest); got != want {
		t.Errorf("%s became %s", want, got)
	}
}
