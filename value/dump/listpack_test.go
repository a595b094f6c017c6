package dump

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"riptide-proxy/resp"
)

// A short hash's payload is the server's own, byte for byte.
func TestShortHashAsServer(t *testing.T) {
	c := dial(t)
	rng := rand.New(rand.NewPCG(1, 2))
	item := func() string {
		switch rng.IntN(4) {
		case 0:
			return strconv.FormatInt(rng.Int64()>>rng.IntN(64), 10)
		case 1:
			return strconv.FormatInt(-(rng.Int64() >> rng.IntN(64)), 10)
		case 2:
			return fmt.Sprintf("%0*d", 1+rng.IntN(30), rng.IntN(1000))
		}
		b := make([]byte, rng.IntN(65))
		for i := range b {
			b[i] = byte(rng.IntN(4)) + 'a'
		}
		return string(b)
	}
	for i := range 2000 {
		do(t, c, "DEL", "k")
		args := []string{"HSET", "k"}
		for range 1 + rng.IntN(20) {
			args = append(args, item(), item())
		}
		do(t, c, args...)
		all, ok := resp.Fields(nil, []byte(do(t, c, "HGETALL", "k")))
		if !ok {
			t.Fatal("HGETALL has no fields")
		}
		for j := range all {
			all[j] = bulk(t, string(all[j]))
		}
		payload := bulk(t, do(t, c, "DUMP", "k"))
		if got := Hash(all, Version(payload)); string(got) != string(payload) {
			t.Fatalf("%d: %q:\n got %q\nwant %q", i, all, got, payload)
		}
	}
}
