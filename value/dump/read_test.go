package dump

import (
	"bytes"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"testing"
)

// payload is a payload of anything, with a footer that is right.
func payload(body string) []byte { return appendFooter([]byte(body), 10) }

func TestString(t *testing.T) {
	tests := []struct{ plain, body string }{
		{"", "00" + "00"},
		{"0", "00" + "c000"},
		{"-128", "00" + "c080"},
		{"128", "00" + "c18000"},
		{"32768", "00" + "c200800000"},
		{"-2147483648", "00" + "c200000080"},
		{"2147483648", "00" + "0a" + hex.EncodeToString([]byte("2147483648"))},
		{"007", "00" + "03" + "303037"},
		{"abc", "00" + "03" + "616263"},
		{strings.Repeat("a", 20), "00" + "14" + strings.Repeat("61", 20)},
		{strings.Repeat("a", 21), "00" + "c3" + "06" + "15" + "016161" + "e00a00"},
	}
	for _, tt := range tests {
		got := String([]byte(tt.plain), 10)
		if body := hex.EncodeToString(got[:len(got)-footerSize]); body != tt.body {
			t.Errorf("%q: %s, not %s", tt.plain, body, tt.body)
		}
		if v := Version(got); v != 10 {
			t.Errorf("version %d", v)
		}
		if plain, ok := FromString(got, len(tt.plain)); !ok || string(plain) != tt.plain {
			t.Errorf("%q is read as %q, %v", tt.plain, plain, ok)
		}
	}
	// As a server gave it.
	if got := string(String([]byte("hello"), 10)); got != "\x00\x05hello\n\x00cr\xdfve4 \n" {
		t.Errorf("hello: %q", got)
	}
}

func TestFromString(t *testing.T) {
	tests := []struct {
		payload []byte
		plain   string
		ok      bool
	}{
		{payload("\x00\x03abc"), "abc", true},
		{payload("\x00\x40\x03abc"), "abc", true},
		{payload("\x00\x80\x00\x00\x00\x03abc"), "abc", true},
		{payload("\x00\x81\x00\x00\x00\x00\x00\x00\x00\x03abc"), "abc", true},
		{payload("\x00\x81\xff\xff\xff\xff\xff\xff\xff\xffabc"), "", false},
		{payload("\x00\x03abcd"), "", false},
		{payload("\x00\x04abc"), "", false},
		{payload("\x00"), "", false},
		{payload("\x00\xc0"), "", false},
		{payload("\x00\xc2\x01\x02\x03"), "", false},
		{payload("\x00\xc2\xff\xff\xff\xff"), "-1", true},
		{payload("\x00\xc4"), "", false},
		{payload("\x00\xc3\x05\x05\x01ab\x20\x01"), "ababa", true},
		{payload("\x00\xc3\x05\x06\x01ab\x20\x01"), "", false},
		{payload("\x00\xc3\x05\x04\x01ab\x20\x01"), "", false},
		{payload("\x00\xc3\x05\x05\x01ab\x20\x02"), "", false},
		{payload("\x00\xc3\x04\x05\x01ab\x20"), "", false},
		{payload("\x00\xc3\x04\x05\x01ab\xe0"), "", false},
		{payload("\x00\xc3\x02\x0a\x05a"), "", false},
		{payload("\x00\xc3\x0f\x05\x01ab\x20\x01"), "", false},
		{payload("\x00\xc3\x01\x81\x00\x00\x00\xff\xff\xff\xff\xff\x00"), "", false},
		{payload("\x00\xc3\x00\x80\x00\x10\x00\x00"), "", false},
		{payload("\x04\x01\x01a\x01b"), "", false},
		{[]byte("\x00\x03abc\x0a\x00........"), "", false},
		{[]byte("\x00"), "", false},
		{nil, "", false},
	}
	for _, tt := range tests {
		if plain, ok := FromString(tt.payload, math.MaxInt); ok != tt.ok || string(plain) != tt.plain {
			t.Errorf("%q: %q, %v", tt.payload, plain, ok)
		}
	}
	if Version([]byte("short")) != 0 {
		t.Error("a version of what is too short")
	}
	long := strings.Repeat("x", 1<<15)
	if plain, ok := FromString(String([]byte(long), 10), len(long)); !ok || string(plain) != long {
		t.Error("a long string is not read back")
	}
	if _, ok := FromString(String([]byte(long), 10), len(long)-1); ok {
		t.Error("a string longer than the limit is read")
	}
}

// FuzzFromString checks that no payload, right or not, is read as more than
// the limit allows, and that what is read survives being written again.
func FuzzFromString(f *testing.F) {
	for _, s := range []string{"\x00\x03abc", "\x00\x40\x03abc", "\x00\xc0\x05", "\x00\xc3\x05\x05\x01ab\x20\x01", "\x00\xc3\x09\x15\x01aa\xe0\x09\x00\x01aa", "\x04\x01\x01a\x01b", ""} {
		f.Add([]byte(s), uint16(100))
	}
	f.Fuzz(func(t *testing.T, body []byte, limit uint16) {
		FromString(body, int(limit))
		plain, ok := FromString(appendFooter(bytes.Clone(body), 9), int(limit))
		if !ok {
			return
		}
		if len(plain) > int(limit) {
			t.Fatalf("%d bytes, more than %d", len(plain), limit)
		}
		again, ok := FromString(String(plain, 9), int(limit))
		if !ok || !bytes.Equal(again, plain) {
			t.Fatalf("%q is read back as %q, %v", plain, again, ok)
		}
	})
}

// FuzzString checks that every string can be read back from its payload, and
// that it is not made longer.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "-1", "99999999999", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "abcabcabcabcabcdabcdabcd", strconv.Itoa(math.MinInt32)} {
		f.Add([]byte(s), byte(1))
	}
	f.Fuzz(func(t *testing.T, s []byte, times byte) {
		s = bytes.Repeat(s, int(times))
		b := String(s, 12)
		if got, ok := FromString(b, len(s)); !ok || !bytes.Equal(got, s) {
			t.Fatalf("%q is read back as %q, %v", s, got, ok)
		}
		if len(b) > 1+5+len(s)+footerSize {
			t.Fatalf("%d bytes for %d", len(b), len(s))
		}
	})
}
