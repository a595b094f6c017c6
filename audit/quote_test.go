package audit

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAppendQuoted(t *testing.T) {
	for in, want := range map[string]string{
		"": `""`, "plain:key-1": `"plain:key-1"`, `a"b`: `"a\"b"`, `a\b`: `"a\\\\b"`, "tab\t": `"tab\\x09"`, "\x00\xff": `"\\x00\\xff"`, "\x7f": `"\\x7f"`,
		"é世🙂": `"é世🙂"`, "\u0080": `"\\xc2\\x80"`, "\u2028": `"\\xe2\\x80\\xa8"`, "é\xc3": `"é\\xc3"`, "\xed\xa0\x80": `"\\xed\\xa0\\x80"`,
	} {
		if got := string(AppendQuoted(nil, in)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// unquoted is what was meant by a string of a record.
func unquoted(t *testing.T, text string) string {
	var b strings.Builder
	for text != "" {
		switch {
		case strings.HasPrefix(text, `\\`):
			b.WriteByte('\\')
			text = text[2:]
		case strings.HasPrefix(text, `\x`):
			n, err := strconv.ParseUint(text[2:4], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteByte(byte(n))
			text = text[4:]
		default:
			b.WriteByte(text[0])
			text = text[1:]
		}
	}
	return b.String()
}

func FuzzAppendQuoted(f *testing.F) {
	f.Add("a\\x00\"é\xff\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		b := AppendQuoted(nil, s)
		var text string
		if err := json.Unmarshal(b, &text); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		if got := unquoted(t, text); got != s {
			t.Fatalf("%q became %s, which is %q", s, b, got)
		}
		if strings.ContainsAny(string(b), "\n\r") {
			t.Fatalf("%q is more than a line", b)
		}
	})
}

func TestStamp(t *testing.T) {
	at := time.Date(2026, 11, 23, 1, 2, 3, 4567, time.FixedZone("", 3600))
	if got := string(appendTime(nil, at)); got != "2026-11-23T00:02:03.000004Z" {
		t.Error(got)
	}
	var s Stamp
	for _, step := range []time.Duration{0, 1, 999, time.Microsecond, 123456 * time.Microsecond, time.Second, 999999 * time.Microsecond, -time.Hour, time.Duration(-at.UnixNano())} {
		at = at.Add(step)
		if got, want := string(s.Of(at)), string(appendTime(nil, at)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Eight bytes at once are judged like one by one.
func TestPlain8(t *testing.T) {
	for place := range 8 {
		for c := range 256 {
			for _, others := range []byte{' ', '!', '#', '[', ']', 'a', '~'} {
				var x uint64
				for i := range 8 {
					b := others
					if i == place {
						b = byte(c)
					}
					x |= uint64(b) << (8 * i)
				}
				if got := plain8(x); got != plain[c] {
					t.Fatalf("%#x at %d beside %q: %v", c, place, others, got)
				}
			}
		}
	}
}

// The same name is the same hash, for one tenant and one secret.
func TestKeyHash(t *testing.T) {
	name := func(secret, tenant, key string) string {
		return string(NewKeyHash([]byte(secret)).Append([]byte("x"), tenant, []byte(key)))
	}
	first := name("s", "acme", "key")
	if len(first) != 1+32 || first[0] != 'x' || strings.Contains(first, "key") {
		t.Error(first)
	}
	h := NewKeyHash([]byte("s"))
	h.Append(nil, "other", []byte("k"))
	if again := "x" + string(h.Append(nil, "acme", []byte("key"))); again != first {
		t.Errorf("%s and %s", first, again)
	}
	for _, other := range []string{name("t", "acme", "key"), name("s", "globex", "key"), name("s", "acme", "kex"), name("s", "acmek", "ey")} {
		if other == first {
			t.Error("a hash twice")
		}
	}
}
