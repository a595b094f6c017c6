package value

import (
	"strings"
	"testing"
)

func TestIsNative(t *testing.T) {
	for _, s := range []string{"0", "-17", "+5", "12345678901234567890", "3.14", ".5", "5.", "-1e10", "1E+400", "1.5e-3", "0x1F", "0x1.8p3", "-0X1P-4",
		strings.Repeat("9", 5000), "HYLL\x01\x00\x00\x00"} {
		if !isNative([]byte(s)) {
			t.Errorf("%.20q is not native", s)
		}
	}
	for _, s := range []string{"-", "+", ".", "1a", "1e", "1e+", "1.2.3", "0x", "0xg", "e5", "{}", "HYL", "Hello", " 1", "1 ", "2026-01-01", "127.0.0.1", "abc",
		strings.Repeat("9", 6000)} {
		if isNative([]byte(s)) {
			t.Errorf("%.20q is native", s)
		}
	}
}

func TestIsCompressed(t *testing.T) {
	const rest = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	for name, s := range map[string]string{
		"JPEG": "\xff\xd8\xff\xe0", "PNG": "\x89PNG\r\n\x1a\n", "GIF": "GIF89a", "WebP": "RIFF\x01\x02\x03\x04WEBP", "RAR": "Rar!\x1a\x07",
		"gzip": "\x1f\x8b\x08", "zstd": "\x28\xb5\x2f\xfd", "lz4": "\x04\x22\x4d\x18", "bzip2": "BZh91AY&SY", "xz": "\xfd7zXZ\x00",
		"zip": "PK\x03\x04", "7z": "7z\xbc\xaf\x27\x1c", "Ogg": "OggS", "woff2": "wOF2", "FLAC": "fLaC", "MP3": "ID3\x04", "WebM": "\x1a\x45\xdf\xa3",
		"MP4": "\x00\x00\x00\x20ftypisom",
	} {
		if !isCompressed([]byte(s + rest)) {
			t.Errorf("%s is not told", name)
		}
	}
	for _, s := range []string{"", "PNG", "<html><body>", `{"a":"bbbbbbbbbbbbbbb"}`, "RIFF\x01\x02\x03\x04WAVE" + rest, "GIFTS for everybody", "BZh is a name", "PKs and more text", rest} {
		if isCompressed([]byte(s)) {
			t.Errorf("%q is taken for compressed", s)
		}
	}
}

func TestPattern(t *testing.T) {
	for _, test := range []struct {
		glob, yes, no string // keys, separated by spaces
	}{
		{"*", "a abc", ""},
		{"img:*", "img: img:1", "img im ximg:1"},
		{"*.png", ".png a.png", "png a.png2"},
		{"exact", "exact", "exact1 xact"},
		{"a?c", "abc a?c", "ac abbc"},
		{"a*c*e", "ace abcde axxcyye acce", "ac ae aec"},
		{"*mid*", "mid amid midb amidb", "mi md"},
		{"h[ae]llo", "hello hallo", "hillo hllo"},
		{"h[^e]llo", "hallo hbllo", "hello"},
		{"h[a-c]llo", "hallo hcllo", "hdllo"},
		{"h[c-a]llo", "hallo", "hdllo"},
		{`a\*b`, "a*b", "aab a"},
		{`a[\]]b`, "a]b", `a\b`},
		{"a[bc", "ab ac", "a ad"},
		{"**a**", "a bab", "b"},
		{"{user}:*", "{user}:1", "user:1"},
	} {
		p := newPattern(test.glob)
		for _, key := range strings.Fields(test.yes) {
			if !p.match([]byte(key)) || !matchGlob(test.glob, []byte(key)) {
				t.Errorf("%q does not match %q", test.glob, key)
			}
		}
		for _, key := range strings.Fields(test.no) {
			if p.match([]byte(key)) || matchGlob(test.glob, []byte(key)) {
				t.Errorf("%q matches %q", test.glob, key)
			}
		}
	}
	slow := strings.Repeat("*a", 1000) + "b"
	if matchGlob(slow, []byte(strings.Repeat("a", 100000))) {
		t.Error("a slow pattern matches")
	}
}
