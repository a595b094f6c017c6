package dump

import (
	"encoding/binary"
	"strconv"
)

const (
	typeHashListpack = 16
	// listpackVersion is the first version of the format that has listpacks.
	listpackVersion = 10
	// Up to so many fields, none longer than so many bytes, a server by default keeps a
	// hash as a listpack.
	listpackFields = 512
	listpackString = 64
)

// isSmall reports whether a server would keep a hash as a listpack.
func isSmall(fields [][]byte, version int) bool {
	if version < listpackVersion || len(fields)/2 > listpackFields {
		return false
	}
	for _, f := range fields {
		if len(f) > listpackString {
			return false
		}
	}
	return true
}

// listpack is the form of short strings one behind the other, each followed by its
// length: https://github.com/antirez/listpack/blob/master/listpack.md
func listpack(items [][]byte) []byte {
	b := make([]byte, 6, 64)
	for _, s := range items {
		start := len(b)
		b = appendItem(b, s)
		b = append(b, byte(len(b)-start)) // below 128 for what isSmall lets through
	}
	b = append(b, 0xff)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint16(b[4:], uint16(len(items)))
	return b
}

// appendItem appends an item without the length behind it: a number that is
// written as the server would write it in as few bytes as possible, or a string.
func appendItem(b, s []byte) []byte {
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(s) {
		if len(s) < 64 {
			return append(append(b, 0x80|byte(len(s))), s...)
		}
		return append(append(b, 0xe0|byte(len(s)>>8), byte(len(s))), s...)
	}
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], uint64(n))
	switch {
	case n >= 0 && n < 1<<7:
		return append(b, byte(n))
	case n >= -1<<12 && n < 1<<12:
		return append(b, 0xc0|byte(n>>8)&0x1f, byte(n))
	case n >= -1<<15 && n < 1<<15:
		return append(append(b, 0xf1), word[:2]...)
	case n >= -1<<23 && n < 1<<23:
		return append(append(b, 0xf2), word[:3]...)
	case n >= -1<<31 && n < 1<<31:
		return append(append(b, 0xf3), word[:4]...)
	}
	return append(append(b, 0xf4), word[:]...)
}
