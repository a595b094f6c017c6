package command

import (
	"bytes"
	"strconv"
)

// Reach tells from a request alone how many bytes a string has at least once the command has run; 0 if that is not
// known, or if the request does not parse.
type Reach func(args Args) int64

// setRangeReach is for SETRANGE key offset value.
func setRangeReach(args Args) int64 {
	if args.Len() != 4 || len(args.At(3)) == 0 {
		return 0
	}
	return endOf(digits(args.At(2)), int64(len(args.At(3))))
}

// setBitReach is for SETBIT key offset value.
func setBitReach(args Args) int64 {
	if args.Len() != 4 {
		return 0
	}
	return bitsEnd(digits(args.At(2)), 1)
}

// bitFieldReach is for BITFIELD key [GET type offset | SET type offset value | INCRBY type offset increment |
// OVERFLOW WRAP | SAT | FAIL] ...
func bitFieldReach(args Args) (most int64) {
	for i := 2; i < args.Len(); {
		word := args.At(i)
		switch {
		case bytes.EqualFold(word, []byte("GET")):
			i += 3
		case bytes.EqualFold(word, []byte("OVERFLOW")):
			i += 2
		default:
			if i+3 >= args.Len() || len(args.At(i+1)) < 2 || len(args.At(i+2)) == 0 {
				return most
			}
			width := digits(args.At(i + 1)[1:])
			offset := args.At(i + 2)
			at := int64(0)
			if offset[0] == '#' {
				at = digits(offset[1:]) * width
			} else {
				at = digits(offset)
			}
			most = max(most, bitsEnd(at, width))
			i += 4
		}
	}
	return most
}

// digits is a number of at most 40 bits that is not negative, which is more than a string can have bits; or -1.
func digits(b []byte) int64 {
	n, err := strconv.ParseUint(string(b), 10, 40)
	if err != nil {
		return -1
	}
	return int64(n)
}

// endOf is where something ends that begins at a position.
func endOf(at, size int64) int64 {
	if at < 0 {
		return 0
	}
	return at + size
}

// bitsEnd is in which byte some bits end, counted from 1.
func bitsEnd(at, width int64) int64 { return (endOf(at, max(0, width)) + 7) / 8 }
