package dump

import (
	"encoding/binary"
	"strconv"
)

// FromString returns the string that a payload is of. It is not ok for a
// payload of anything else, a damaged one, or if the string is longer than
// limit bytes. The string may share memory with the payload.
func FromString(payload []byte, limit int) (plain []byte, ok bool) {
	end := len(payload) - footerSize
	if end < 1 || payload[0] != typeString {
		return nil, false
	}
	sum := len(payload) - 8
	if binary.LittleEndian.Uint64(payload[sum:]) != checksum(payload[:sum]) {
		return nil, false
	}
	plain, rest, ok := readString(payload[1:end], limit)
	if !ok || len(rest) != 0 {
		return nil, false
	}
	return plain, true
}

func readString(b []byte, limit int) (s, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, nil, false
	}
	width := 0
	switch b[0] {
	case encodedInt8:
		width = 1
	case encodedInt16:
		width = 2
	case encodedInt32:
		width = 4
	case encodedLZF:
		return readCompressed(b[1:], limit)
	default:
		n, b, ok := readLength(b, limit)
		if !ok || n > len(b) {
			return nil, nil, false
		}
		return b[:n:n], b[n:], true
	}
	if len(b) < 1+width {
		return nil, nil, false
	}
	var raw [8]byte
	copy(raw[8-width:], b[1:1+width])
	n := int64(binary.LittleEndian.Uint64(raw[:])) >> (64 - 8*width)
	s = strconv.AppendInt(nil, n, 10)
	return s, b[1+width:], len(s) <= limit
}

func readCompressed(b []byte, limit int) (s, rest []byte, ok bool) {
	packed, b, ok := readLength(b, len(b))
	if !ok {
		return nil, nil, false
	}
	size, b, ok := readLength(b, limit)
	if !ok || packed > len(b) {
		return nil, nil, false
	}
	s, ok = decompress(b[:packed], size)
	return s, b[packed:], ok
}

// readLength reads a length of at most limit.
func readLength(b []byte, limit int) (n int, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	var long uint64
	switch head := b[0]; {
	case head < length14:
		long, b = uint64(head), b[1:]
	case head < length32 && len(b) >= 2:
		long, b = uint64(head&0x3f)<<8|uint64(b[1]), b[2:]
	case head == length32 && len(b) >= 5:
		long, b = uint64(binary.BigEndian.Uint32(b[1:])), b[5:]
	case head == length64 && len(b) >= 9:
		long, b = binary.BigEndian.Uint64(b[1:]), b[9:]
	default:
		return 0, nil, false
	}
	if limit < 0 || long > uint64(limit) {
		return 0, nil, false
	}
	return int(long), b, true
}
