package keys

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/value"
)

// configured is a configuration whose tenant acme has these fields.
func configured(t *testing.T, fields string) *config.Config {
	t.Helper()
	c, _, err := config.Parse("f", []byte("upstream: {mode: embedded}\nencryption_keys: {one: {env: ONE}, two: {env: TWO}}\n"+
		"tenants:\n  acme: {"+fields+"}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var masters = map[string][]byte{"one": key, "two": bytes.Repeat([]byte("ab"), Size/2)}

func TestCodec(t *testing.T) {
	name := value.Name{Prefix: []byte("t:acme:0:"), Key: []byte("page:1")}
	text := []byte(strings.Repeat("some text, ", 200))
	for fields, want := range map[string]string{
		"compression: {algorithm: lz4}":                                                                  "lz4 none",
		"compression: {algorithm: s2, level: best}":                                                      "s2 none",
		"compression: {algorithm: zstd, level: fastest}":                                                 "zstd none",
		"compression: {algorithm: zstd, min_size: 4KiB}":                                                 "plain",
		"compression: {algorithm: zstd, exclude: ['page:*']}":                                            "plain",
		"compression: {algorithm: zstd}, encryption: {algorithm: none, key: one}":                        "zstd none",
		"compression: {algorithm: zstd}, encryption: {algorithm: aes-256-gcm, key: one}":                 "zstd aes-256-gcm one",
		"encryption: {algorithm: chacha20-poly1305, key: two}":                                           "none chacha20-poly1305 two",
		"encryption: {algorithm: aes-256-gcm, key: one}, compression: {algorithm: none}":                 "none aes-256-gcm one",
		"compression: {algorithm: none}, encryption: {algorithm: none}, databases: 2":                    "no codec",
		"encryption: {algorithm: aes-256-gcm, key: two}, compression: {algorithm: zstd, exclude: ['*']}": "none aes-256-gcm two",
	} {
		cfg := configured(t, fields)
		c, err := Codec(cfg, "acme", masters)
		if err != nil {
			t.Fatal(fields, err)
		}
		got := "no codec"
		if c != nil {
			got = sealed(t, cfg, c, text, name)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", fields, got, want)
		}
	}
}

// sealed says how a codec seals a text, and makes sure that whoever may has to
// be able to open it can.
func sealed(t *testing.T, cfg *config.Config, c *value.Codec, text []byte, name value.Name) string {
	t.Helper()
	var n value.Counters
	out, is := c.Seal(&n, nil, text, name)
	if !is {
		return "plain"
	}
	off, err := Codec(configured(t, "compression: {algorithm: lz4}"), "acme", masters)
	if err != nil {
		t.Fatal(err)
	}
	opener, err := Opener(cfg, "acme", masters)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []*value.Codec{c, off, opener} {
		if back, err := by.Open(&n, nil, out, name); err != nil || !bytes.Equal(back, text) {
			t.Errorf("not opened: %v", err)
		}
	}
	h, _, _ := value.ParseHeader(out)
	for key := range masters {
		if h.Cipher != value.NoCipher && h.KeyID == value.KeyID(key) {
			return fmt.Sprint(h.Algorithm, " ", h.Cipher, " ", key)
		}
	}
	return fmt.Sprint(h.Algorithm, " ", h.Cipher)
}

func TestCodecErrors(t *testing.T) {
	cfg := configured(t, "encryption: {algorithm: aes-256-gcm, key: one}")
	for _, c := range []struct {
		id      string
		masters map[string][]byte
		want    string
	}{
		{"globex", masters, `there is no tenant "globex"`},
		{"acme", nil, `tenant acme: encryption key "one" is not configured`},
		{"acme", map[string][]byte{"one": key[:16]}, `tenant acme: encryption key "one" has 16 bytes instead of 32`},
	} {
		if got, err := Codec(cfg, c.id, c.masters); got != nil || err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

func TestFingerprint(t *testing.T) {
	seen := map[string]string{}
	for _, fields := range []string{
		"", "compression: {algorithm: lz4}", "compression: {algorithm: lz4, level: best}", "compression: {algorithm: lz4, exclude: [a]}",
		"encryption: {algorithm: aes-256-gcm, key: one}", "encryption: {algorithm: aes-256-gcm, key: two}",
		"compression: {algorithm: zstd}", "compression: {algorithm: zstd, dictionaries: {enabled: false}}",
	} {
		f := Fingerprint(configured(t, fields).Tenants["acme"])
		if other, again := seen[f]; again {
			t.Errorf("%q is the same as %q", fields, other)
		}
		seen[f] = fields
	}
	if a, b := configured(t, "databases: 1"), configured(t, "databases: 2"); Fingerprint(a.Tenants["acme"]) != Fingerprint(b.Tenants["acme"]) {
		t.Error("what has nothing to do with values counts")
	}
}
