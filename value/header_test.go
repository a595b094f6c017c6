package value

import (
	"strings"
	"testing"
)

func TestHeader(t *testing.T) {
	for _, h := range []Header{
		{},
		{Length: 127},
		{Algorithm: LZ4, Length: 128},
		{Algorithm: S2, Length: 1 << 29},
		{Algorithm: Zstd, Length: maxLength},
		{Algorithm: Zstd, Length: 300, Dict: 0xdeadbeef},
		{Cipher: AES256GCM, KeyID: 1, Salt: 2, Counter: 3},
		{Algorithm: Zstd, Cipher: ChaCha20Poly1305, Length: 1 << 20, Dict: 7, KeyID: 1 << 31, Salt: 1 << 63, Counter: 1<<64 - 1},
	} {
		b := h.append([]byte("before"))[len("before"):]
		if len(b) != h.size() || len(b) > maxHeader {
			t.Errorf("%+v: %d bytes, size %d", h, len(b), h.size())
		}
		got, n, ok := ParseHeader(append(b, "payload"...))
		if !ok || got != h || n != len(b) {
			t.Errorf("ParseHeader = %+v, %d, %t, want %+v, %d", got, n, ok, h, len(b))
		}
		if length, sealed := Length(b); !sealed || length != h.Length {
			t.Errorf("%+v: Length = %d, %t", h, length, sealed)
		}
		for i := range b { // no bit may be another without being noticed
			for bit := range 8 {
				b[i] ^= 1 << bit
				if _, _, ok := ParseHeader(b); ok {
					t.Errorf("%+v: bit %d of byte %d is not checked", h, bit, i)
				}
				b[i] ^= 1 << bit
			}
		}
		for i := range b {
			if _, _, ok := ParseHeader(b[:i]); ok {
				t.Errorf("%+v: %d of %d bytes are a header", h, i, len(b))
			}
		}
	}
}

func TestNoHeader(t *testing.T) {
	checked := func(s string) string { return s + string([]byte{checkByte([]byte(s))}) }
	for name, stored := range map[string]string{
		"empty":             "",
		"magic":             Magic,
		"magic and text":    Magic + strings.Repeat("x", 50),
		"version":           checked(Magic + "\x20\x00\x05"),
		"algorithm":         checked(Magic + "\x14\x00\x05"),
		"flags":             checked(Magic + "\x10\x08\x05"),
		"cipher":            checked(Magic + "\x10\x06\x05" + strings.Repeat("k", keyFieldSize)),
		"dictionary of lz4": checked(Magic + "\x11\x01\x05abcd"),
		"dictionary 0":      checked(Magic + "\x13\x01\x05\x00\x00\x00\x00"),
		"longer length":     checked(Magic + "\x10\x00\x85\x00"),
		"unending length":   checked(Magic + "\x10\x00" + strings.Repeat("\x80", 12)),
		"too long":          checked(Magic + "\x10\x00\x80\x80\x80\x80\x10"),
	} {
		if h, _, ok := ParseHeader([]byte(stored)); ok {
			t.Errorf("%s: %+v", name, h)
		}
		if n, sealed := Length([]byte(stored)); sealed || n != int64(len(stored)) {
			t.Errorf("%s: Length = %d, %t", name, n, sealed)
		}
	}
	if IsSealed([]byte(Magic)) || !IsSealed([]byte(Magic+"x")) || IsSealed([]byte("plain")) {
		t.Error("IsSealed")
	}
}
