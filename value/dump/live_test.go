package dump

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"riptide-proxy/resp"
	"riptide-proxy/tests/harness"
)

func dial(t testing.TB) *harness.Conn {
	t.Helper()
	c, err := harness.Dial(harness.StartRedis(t, "--sanitize-dump-payload", "yes").Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func do(t testing.TB, c *harness.Conn, args ...string) string {
	t.Helper()
	reply, err := c.Do(args...)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// bulk returns what a bulk reply holds.
func bulk(t testing.TB, reply string) []byte {
	t.Helper()
	_, b, ok := strings.Cut(reply, "\r\n")
	if !ok || reply[0] != '$' {
		t.Fatalf("reply %.100q", reply)
	}
	return []byte(strings.TrimSuffix(b, "\r\n"))
}

// sample makes a string up, of one of several kinds.
func sample(g *rand.Rand) string {
	n := g.IntN(60)
	switch g.IntN(8) {
	case 0:
		n = g.IntN(20000)
		if g.IntN(30) == 0 {
			n *= 30
		}
	case 1, 2:
		n = g.IntN(2000)
	}
	var b []byte
	switch g.IntN(9) {
	case 0:
		return strconv.FormatInt(int64(g.Uint64())>>g.IntN(64), 10)
	case 1:
		for range n {
			b = append(b, byte(g.Uint32()))
		}
	case 2, 3, 4: // repeats some of itself
		letters := 1 + g.IntN(255)
		for len(b) < n {
			if k := 1 + g.IntN(300); g.IntN(3) == 0 && len(b) > 0 {
				from := g.IntN(len(b))
				for range k {
					b = append(b, b[from])
					from++
				}
			} else {
				for range k % 40 {
					b = append(b, byte(g.IntN(letters)))
				}
			}
		}
		b = b[:n]
	case 5:
		b = bytes.Repeat([]byte{byte(g.IntN(256))}, n)
	case 6:
		for i := 0; len(b) < n; i++ {
			b = fmt.Appendf(b, `{"id":%d,"name":"user-%d","active":%v},`, i, g.IntN(1000), g.IntN(2) == 0)
		}
	default:
		letters := 2 + g.IntN(4)
		for range n {
			b = append(b, byte('a'+g.IntN(letters)))
		}
	}
	return string(b)
}

func TestStringAsServer(t *testing.T) {
	c := dial(t)
	g := rand.New(rand.NewPCG(1, 2))
	version := 0
	for i := range stringSteps {
		s := sample(g)
		do(t, c, "SET", "k", s)
		want := bulk(t, do(t, c, "DUMP", "k"))
		if version = Version(want); version < 6 || version > 1000 {
			t.Fatalf("version %d", version)
		}
		if got, ok := FromString(want, len(s)); !ok || string(got) != s {
			t.Fatalf("FromString of %q: %q, %v, not %q", want, got, ok, s)
		}
		if got, ok := FromString(want, len(s)-1); ok {
			t.Fatalf("FromString of %q: %q in spite of the limit", want, got)
		}
		payload := String([]byte(s), version)
		if !bytes.Equal(payload, want) {
			t.Fatalf("of %.1000q (%d bytes): %.1000x, the server gives %.1000x", s, len(s), payload, want)
		}
		if i%10 == 0 {
			if reply := do(t, c, "RESTORE", "r", "0", string(payload), "REPLACE"); reply != "+OK\r\n" {
				t.Fatalf("RESTORE of %q: %q", payload, reply)
			}
			if got := bulk(t, do(t, c, "GET", "r")); string(got) != s {
				t.Fatalf("%q is restored as %q", s, got)
			}
		}
	}
}

// stringSteps is how many strings are compared.
const stringSteps = 4000

func TestHashAsServer(t *testing.T) {
	c := dial(t)
	g := rand.New(rand.NewPCG(3, 4))
	do(t, c, "SET", "k", "x")
	version := Version(bulk(t, do(t, c, "DUMP", "k")))
	for i := range 200 {
		n := 1 + g.IntN(30)
		if i%50 == 0 {
			n = 700
		}
		var fields [][]byte
		for j := range n {
			name := fmt.Sprint(j)
			if j%2 == 0 {
				name += ":" + sample(g)
			}
			fields = append(fields, []byte(name), []byte(sample(g)))
		}
		if reply := do(t, c, "RESTORE", "h", "0", string(Hash(fields, version)), "REPLACE"); reply != "+OK\r\n" {
			t.Fatalf("RESTORE of %d fields: %q", n, reply)
		}
		if reply := do(t, c, "HLEN", "h"); reply != fmt.Sprintf(":%d\r\n", n) {
			t.Fatalf("HLEN: %q, not %d", reply, n)
		}
		for len(fields) > 0 {
			want := string(resp.AppendBulk(nil, fields[1]))
			if got := do(t, c, "HGET", "h", string(fields[0])); got != want {
				t.Fatalf("field %q: %.200q, not %.200q", fields[0], got, want)
			}
			fields = fields[2:]
		}
	}
	if reply := do(t, c, "RESTORE", "h", "0", string(Hash(nil, version)), "REPLACE"); reply[0] != '-' {
		t.Errorf("RESTORE of an empty hash: %q", reply)
	}
}
