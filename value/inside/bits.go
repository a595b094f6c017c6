package inside

import (
	"encoding/binary"
	"math/bits"

	"riptide-proxy/resp"
)

// bitOffset reads the position of a bit. With a width above 0, a position
// after a # counts fields of that width.
func (e *Env) bitOffset(arg []byte, width int64) (int64, bool) {
	counts := width > 0 && len(arg) > 0 && arg[0] == '#'
	if counts {
		arg = arg[1:]
	}
	n, ok := resp.ParseInt(arg)
	if counts {
		n *= width // may wrap, as it does in the server
	}
	return n, ok && n >= 0 && n>>3 < e.limit()
}

// bitAt is the value of a bit, which counts from the highest one of the first byte.
func bitAt(b []byte, at int64) int64 {
	if at>>3 >= int64(len(b)) {
		return 0
	}
	return int64(b[at>>3]>>(7-at&7)) & 1
}

// getBit is GETBIT key offset.
func getBit(old []byte, _ bool, args [][]byte, env Env) Result {
	at, ok := env.bitOffset(args[2], 0)
	if !ok {
		return failed(errOffset)
	}
	return integer(bitAt(old, at))
}

// setBit is SETBIT key offset value.
func setBit(old []byte, exists bool, args [][]byte, env Env) Result {
	at, ok := env.bitOffset(args[2], 0)
	if !ok {
		return failed(errOffset)
	}
	bit, ok := resp.ParseInt(args[3])
	if !ok || bit&^1 != 0 {
		return failed("bit is not an integer or out of range")
	}
	before := bitAt(old, at)
	r := integer(before)
	if exists && at>>3 < int64(len(old)) && before == bit {
		return r
	}
	r.Value, r.Changed = grown(old, at>>3+1), true
	mask := byte(1) << (7 - at&7)
	r.Value[at>>3] &^= mask
	if bit == 1 {
		r.Value[at>>3] |= mask
	}
	return r
}

// unit reads the unit of a range: BYTE or BIT.
func unit(arg []byte) (isBit, ok bool) {
	if is(arg, "bit") {
		return true, true
	}
	return false, is(arg, "byte")
}

// bitCount is BITCOUNT key [start end [BYTE | BIT]].
func bitCount(old []byte, exists bool, args [][]byte, env Env) Result {
	if !exists && env.looksFirst() {
		return integer(0)
	}
	if len(args) == 2 {
		return integer(ones(old))
	}
	if len(args) > 5 || len(args) == 3 && !env.valkey8() {
		return failed(errSyntax)
	}
	start, ok := resp.ParseInt(args[2])
	if !ok {
		return failed(errNotInteger)
	}
	isBit, known := false, true
	if len(args) == 5 {
		isBit, known = unit(args[4])
	}
	if !known && env.valkey8() {
		return failed(errSyntax) // which reads the end last
	}
	size := int64(len(old))
	end := size - 1
	if len(args) > 3 {
		if end, ok = resp.ParseInt(args[3]); !ok {
			return failed(errNotInteger)
		}
	}
	if env.looksFirst() && start < 0 && end < 0 && start > end {
		return integer(0)
	}
	if !known {
		return failed(errSyntax)
	}
	if isBit {
		size *= 8
	}
	start, end, ok = span(start, end, size)
	switch {
	case !ok:
		return integer(0)
	case !isBit:
		return integer(ones(old[start : end+1]))
	}
	n := ones(old[start>>3 : end>>3+1])
	n -= int64(bits.OnesCount8(old[start>>3] &^ (0xff >> (start & 7))))
	n -= int64(bits.OnesCount8(old[end>>3] & (0x7f >> (end & 7))))
	return integer(n)
}

func ones(b []byte) (n int64) {
	for ; len(b) >= 8; b = b[8:] {
		n += int64(bits.OnesCount64(binary.LittleEndian.Uint64(b)))
	}
	for _, c := range b {
		n += int64(bits.OnesCount8(c))
	}
	return n
}

// bitPos is BITPOS key bit [start [end [BYTE | BIT]]].
func bitPos(old []byte, exists bool, args [][]byte, env Env) Result {
	bit, ok := resp.ParseInt(args[2])
	if !ok {
		return failed(errNotInteger)
	}
	if bit != 0 && bit != 1 {
		return failed("The bit argument must be 1 or 0.")
	}
	missing := integer(-bit) // as if it were zeros without end
	if !exists && env.looksFirst() {
		return missing
	}
	if len(args) > 6 {
		return failed(errSyntax)
	}
	size, scale := int64(len(old)), int64(8)
	start, end := int64(0), size-1
	if len(args) > 3 {
		if start, ok = resp.ParseInt(args[3]); !ok {
			return failed(errNotInteger)
		}
	}
	if len(args) == 6 {
		isBit, ok := unit(args[5])
		if !ok {
			return failed(errSyntax)
		}
		if isBit {
			size, scale = size*8, 1
		}
	}
	if len(args) > 4 {
		if end, ok = resp.ParseInt(args[4]); !ok {
			return failed(errNotInteger)
		}
	}
	if !exists {
		return missing
	}
	start, end, ok = clamp(start, end, size)
	if !ok {
		return integer(-1)
	}
	past := (end + 1) * scale
	at := findBit(old, bit, start*scale, past)
	if at == past && (bit == 1 || len(args) > 4) {
		at = -1 // a 0 is behind the end only if the client set no end
	}
	return integer(at)
}

// findBit returns the position of the first bit in [from, to) that is 0 or 1, or to.
func findBit(b []byte, bit, from, to int64) int64 {
	var none byte // a byte without such a bit
	if bit == 0 {
		none = 0xff
	}
	skip := uint64(none) * 0x0101010101010101
	for from < to {
		switch i := from >> 3; {
		case from&7 == 0 && to-from >= 64 && binary.BigEndian.Uint64(b[i:]) == skip:
			from += 64
		case from&7 == 0 && to-from >= 8 && b[i] == none:
			from += 8
		case bitAt(b, from) == bit:
			return from
		default:
			from++
		}
	}
	return to
}
