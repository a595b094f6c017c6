package value

import (
	"bytes"
	"testing"

	"riptide-proxy/config"
)

func TestRoundTrip(t *testing.T) {
	for _, a := range []config.Algorithm{config.NoCompression, config.LZ4, config.S2, config.Zstd} {
		for _, enc := range []string{"", "aes-256-gcm", "chacha20-poly1305"} {
			s := Settings{Tenant: "acme", Algorithm: a, MinSize: 1, MinSaving: 10, Limit: 1 << 29}
			if enc != "" {
				k, err := NewKeyring("acme", enc, "k", map[string][]byte{"k": bytes.Repeat([]byte{7}, 32)})
				if err != nil {
					t.Fatal(err)
				}
				s.Keys = k
			}
			c, err := NewCodec(s)
			if err != nil {
				t.Fatal(err)
			}
			var n Counters
			for _, size := range []int{0, 1, 3, 100, 1000, 1 << 16, 1<<16 + 1, 70000, 1 << 20, 3 << 20} {
				for _, unit := range []string{"hello, world. ", "a", Magic + "x"} {
					plain := bytes.Repeat([]byte(unit), size/len(unit)+1)[:size]
					name := Name{[]byte("t:acme:0:"), []byte("k")}
					out, sealed := c.Seal(&n, []byte("pre"), plain, name)
					if !sealed {
						if string(out) != "pre" {
							t.Fatal("not the prefix")
						}
						out = append(out, plain...)
					}
					t.Log(a, enc, size, len(out)-3, sealed)
					back, err := c.Open(&n, []byte("x"), out[3:], name)
					if err != nil || !bytes.Equal(back[1:], plain) {
						t.Fatal(a, enc, size, err)
					}
				}
			}
		}
	}
}
