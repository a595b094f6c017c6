// Package dump writes and reads the payload that DUMP gives and RESTORE takes,
// for strings and hashes: what a value is in an RDB file, and a footer with the
// file format's version and a checksum.
package dump

import (
	"encoding/binary"
	"hash/crc64"
	"math"

	"riptide-proxy/resp"
)

// What a payload begins with.
const (
	typeString = 0
	typeHash   = 4 // field by field, in no order; every server reads it
)

// A length takes 6, 14, 32 or 64 bits, which its first two bits tell, or the
// whole first byte. With both bits set it is no length, but tells what
// encoding follows instead.
const (
	length14 = 0x40
	length32 = 0x80
	length64 = 0x81
	encoded  = 0xc0

	encodedInt8  = encoded
	encodedInt16 = encoded | 1
	encodedInt32 = encoded | 2
	encodedLZF   = encoded | 3
)

const (
	versionSize = 2
	footerSize  = versionSize + 8

	// maxIntegerText is as long as the longest text of an integer of 32 bits.
	maxIntegerText = 11
	// Strings that are not longer than notCompressed are stored as they are.
	notCompressed = 20
	// minSaving is how many bytes compression has to save at least.
	minSaving = 4
)

// jones is the checksum's polynomial, in the order of bits that hash/crc64 has.
var jones = crc64.MakeTable(0x95ac9329ac4bc9b5)

// checksum is the CRC-64 that begins with 0 and ends as it is, while that of hash/crc64 inverts both.
func checksum(b []byte) uint64 { return ^crc64.Update(^uint64(0), jones, b) }

// String returns the payload of a string, as a server whose rdbcompression is
// on gives it. version is that of the server's RDB format; see Version.
func String(plain []byte, version int) []byte {
	b := make([]byte, 0, 1+9+len(plain)+footerSize)
	b = append(b, typeString)
	b = appendString(b, plain)
	return appendFooter(b, version)
}

// Hash returns a payload of a hash: name, value, name, value... No name may
// occur twice, and there must be at least one, as RESTORE refuses such a hash.
// A short one has the form that the server gives it by default, byte for byte if the
// fields are in the server's order.
func Hash(fields [][]byte, version int) []byte {
	if isSmall(fields, version) {
		b := appendString([]byte{typeHashListpack}, listpack(fields))
		return appendFooter(b, version)
	}
	size := 1 + 9 + footerSize
	for _, f := range fields {
		size += 5 + len(f)
	}
	b := make([]byte, 0, size)
	b = append(b, typeHash)
	b = appendLength(b, uint64(len(fields)/2))
	for _, f := range fields {
		b = appendString(b, f)
	}
	return appendFooter(b, version)
}

// Version returns the version of the RDB format that a payload has, 0 if it is
// too short to be one. It does not check the payload.
func Version(payload []byte) int {
	if len(payload) < footerSize {
		return 0
	}
	return int(binary.LittleEndian.Uint16(payload[len(payload)-footerSize:]))
}

func appendFooter(b []byte, version int) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(version))
	return binary.LittleEndian.AppendUint64(b, checksum(b))
}

func appendLength(b []byte, n uint64) []byte {
	switch {
	case n < 1<<6:
		return append(b, byte(n))
	case n < 1<<14:
		return append(b, length14|byte(n>>8), byte(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, length32), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, length64), n)
}

func appendString(b, s []byte) []byte {
	if n, ok := smallInteger(s); ok {
		switch {
		case n == int64(int8(n)):
			return append(b, encodedInt8, byte(n))
		case n == int64(int16(n)):
			return binary.LittleEndian.AppendUint16(append(b, encodedInt16), uint16(n))
		}
		return binary.LittleEndian.AppendUint32(append(b, encodedInt32), uint32(n))
	}
	if len(s) > notCompressed && len(s) <= math.MaxInt32 {
		t := compressors.Get().(*compressor)
		c, ok := t.compress(s, len(s)-minSaving)
		if ok {
			b = append(b, encodedLZF)
			b = appendLength(b, uint64(len(c)))
			b = appendLength(b, uint64(len(s)))
			b = append(b, c...)
		}
		t.release()
		if ok {
			return b
		}
	}
	return append(appendLength(b, uint64(len(s))), s...)
}

// smallInteger reads a text that 32 bits can give back.
func smallInteger(s []byte) (int64, bool) {
	if len(s) > maxIntegerText {
		return 0, false
	}
	n, ok := resp.ParseInt(s)
	return n, ok && n == int64(int32(n))
}
