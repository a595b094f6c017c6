package value

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/config"
)

func TestKeyringErrors(t *testing.T) {
	keys := map[string][]byte{"k": testKey}
	for name, test := range map[string]struct {
		algorithm, current string
		masters            map[string][]byte
		want               string
	}{
		"short":     {"aes-256-gcm", "k", map[string][]byte{"k": testKey[:31]}, "31 bytes"},
		"algorithm": {"rot13", "k", keys, "rot13"},
		"unknown":   {"aes-256-gcm", "other", keys, "other"},
	} {
		if _, err := NewKeyring("acme", test.algorithm, test.current, test.masters); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeys(t *testing.T) {
	other := bytes.Repeat([]byte{9}, keySize)
	codec := func(tenant, algorithm, current string, masters map[string][]byte) *Codec {
		s := testSettings(config.LZ4)
		s.Keys = newKeyring(t, tenant, algorithm, current, masters)
		return newCodec(t, s)
	}
	var n Counters
	writer := codec("acme", "aes-256-gcm", "old", map[string][]byte{"old": testKey})
	plain := []byte(strings.Repeat("secret text ", 30))
	stored, _ := writer.Seal(&n, nil, plain, testName)
	opens := func(c *Codec, stored []byte, name Name) error {
		out, err := c.Open(&n, []byte("x"), stored, name)
		switch {
		case err == nil && string(out[1:]) != string(plain):
			t.Fatal("garbage")
		case err != nil && string(out) != "x":
			t.Fatal("something beside an error")
		}
		return err
	}
	both := map[string][]byte{"old": testKey, "new": other}
	for name, c := range map[string]*Codec{
		"the same":          writer,
		"made anew":         codec("acme", "aes-256-gcm", "old", map[string][]byte{"old": testKey}),
		"rotated":           codec("acme", "chacha20-poly1305", "new", both),
		"only reading":      codec("acme", "", "", both),
		"another algorithm": codec("acme", "chacha20-poly1305", "old", both),
	} {
		if err := opens(c, stored, testName); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := codec("acme", "", "", both); c.Encrypts() {
		t.Error("encrypts without a current key")
	}

	var missing *MissingKeyError
	if err := opens(codec("acme", "aes-256-gcm", "new", map[string][]byte{"new": other}), stored, testName); !errors.As(err, &missing) || missing.ID != KeyID("old") {
		t.Errorf("missing key: %v", err)
	}
	if err := opens(newCodec(t, testSettings(config.LZ4)), stored, testName); !errors.As(err, &missing) {
		t.Errorf("no keys at all: %v", err)
	}
	moved := Name{Prefix: testName.Prefix, Key: []byte("user:2")}
	altered := bytes.Clone(stored)
	altered[len(altered)-20] ^= 1
	for name, err := range map[string]error{
		"wrong key":      opens(codec("acme", "aes-256-gcm", "old", map[string][]byte{"old": other}), stored, testName),
		"another tenant": opens(codec("acme2", "aes-256-gcm", "old", map[string][]byte{"old": testKey}), stored, testName),
		"another key":    opens(writer, stored, moved),
		"altered":        opens(writer, altered, testName),
		"cut":            opens(writer, stored[:len(stored)-1], testName),
	} {
		var wrong *WrongKeyError
		if !errors.Is(err, ErrWrongKey) || !errors.As(err, &wrong) || wrong.Key != "old" || !strings.Contains(err.Error(), `"old"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A header that is altered and checks again is not authentic either.
	h, at, _ := ParseHeader(stored)
	h.Length--
	if err := opens(writer, append(h.append(nil), stored[at:]...), testName); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another length: %v", err)
	}
	if n.Failed != 8 {
		t.Errorf("%d failures counted", n.Failed)
	}
}

// TestNonces: no two values are encrypted with the same nonce, also when a Keyring
// is made again from the same keys.
func TestNonces(t *testing.T) {
	seen := map[Header]bool{}
	for range 5 {
		s := testSettings(config.NoCompression)
		s.Keys = newKeyring(t, "acme", "aes-256-gcm", "k", map[string][]byte{"k": testKey})
		c := newCodec(t, s)
		for range 20 {
			h, _, _ := ParseHeader(roundTrip(t, c, []byte("same"), testName))
			if seen[h] {
				t.Fatalf("again: %+v", h)
			}
			seen[h] = true
		}
	}
}

// TestForgedSalts: they do not fill the memory, and the own key survives them.
func TestForgedSalts(t *testing.T) {
	s := testSettings(config.NoCompression)
	s.Keys = newKeyring(t, "acme", "aes-256-gcm", "k", map[string][]byte{"k": testKey})
	c := newCodec(t, s)
	var n Counters
	stored, _ := c.Seal(&n, nil, []byte("text"), testName)
	for i := range 3 * maxDerived {
		h := Header{Cipher: AES256GCM, Length: 3, KeyID: KeyID("k"), Salt: uint64(i)}
		if _, err := c.Open(&n, nil, fmt.Append(h.append(nil), "abc0123456789012345"[:19]), testName); !errors.Is(err, ErrWrongKey) {
			t.Fatal(err)
		}
	}
	if kept := len(*s.Keys.derived.Load()); kept > maxDerived {
		t.Errorf("%d derived keys", kept)
	}
	if out, err := c.Open(&n, nil, stored, testName); err != nil || string(out) != "text" {
		t.Error(err)
	}
}
