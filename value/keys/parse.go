package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
)

// What a source can hold instead of a key. They follow the source's name.
var (
	errEmpty = errors.New("is empty")
	errForm  = errors.New("is not a key of 32 bytes (64 hexadecimal digits, 44 characters of base64, or 32 raw bytes)")
)

// parse reads a key in one of its forms: 32 bytes as they are, in hexadecimal, or
// in base64 of either alphabet. A newline may follow.
func parse(data []byte) ([]byte, error) {
	// Exactly 32 bytes are never cut: the last of them may happen to be a newline.
	if len(data) != Size {
		data = bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
	}
	key := make([]byte, Size, 2*Size)
	switch len(data) {
	case 0:
		return nil, errEmpty
	case Size:
		return bytes.Clone(data), nil
	case 2 * Size:
		if _, err := hex.Decode(key, data); err != nil {
			return nil, errForm
		}
		return key, nil
	case base64.StdEncoding.EncodedLen(Size), base64.RawStdEncoding.EncodedLen(Size):
		data = bytes.TrimSuffix(data, []byte("="))
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if n, err := encoding.Strict().Decode(key[:cap(key)], data); err == nil && n == Size {
				return key[:Size], nil
			}
		}
	}
	return nil, errForm
}

// weak says what makes it likely that a key is not 32 random bytes; empty: nothing does.
func weak(key []byte) string {
	switch {
	case bytes.Count(key, key[:1]) == len(key):
		return "it is the same byte 32 times"
	case printable(key):
		return "it is 32 characters of text: a password, or half as many bytes in hexadecimal as there should be"
	}
	return ""
}

// printable tells text from random bytes, of which one key in 10^13 looks so.
func printable(data []byte) bool {
	for _, c := range data {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
