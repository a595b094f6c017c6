package command

import (
	"math"
	"strconv"
)

// How much memory a command can make the keys take follows from its length for most
// of them. What follows is about those for which it does not.

// growers may make keys take more, though the server does not say so by DenyOOM:
// by a longer name, by entries that are in nobody's request, or by moving something to where it
// takes more.
var growers = []string{"rename", "renamenx", "smove", "move", "vsetattr", "xreadgroup", "xclaim", "xautoclaim"}

// amplifiers write what they find elsewhere, or more than they are given.
var amplifiers = []string{
	"copy", "restore", "sort", "georadius", "georadiusbymember", "geosearchstore", "zrangestore", "bitop",
	"sdiffstore", "sinterstore", "sunionstore", "zdiffstore", "zinterstore", "zunionstore",
}

// lumpy are those for which the server takes much more room now and then, so that
// the same will do for many that follow.
var lumpy = []string{"append", "setrange", "setbit", "bitfield", "bitop"}

// extents tell how long a value is afterwards at least, in bytes, whatever it was.
var extents = map[string]func(args Args) int64{
	"setrange": func(args Args) int64 { return number(args, 2) },
	"setbit":   func(args Args) int64 { return number(args, 2) / 8 },
	"bitfield": bitFieldExtent,
	"pfadd":    func(Args) int64 { return denseHLL },
	"pfmerge":  func(Args) int64 { return denseHLL },
}

// denseHLL is the size of a HyperLogLog in its dense form, see Redis's
// hyperloglog.c: 16384 registers of 6 bits, and a header.
const denseHLL = 12 << 10

// maxExtent is above what any value can have.
const maxExtent = 1 << 40

func number(args Args, i int) int64 {
	if i >= args.Len() {
		return 0
	}
	n, err := strconv.ParseInt(string(args.At(i)), 10, 64)
	if err != nil || n < 0 {
		return 0 // the server refuses it
	}
	return min(n, maxExtent)
}

// bitFieldExtent reads "SET|INCRBY type offset value" wherever they can stand.
func bitFieldExtent(args Args) (extent int64) {
	for i := 2; i+2 < args.Len(); i++ {
		kind := args.At(i)
		if len(kind) < 2 || len(kind) > 3 || kind[0]|0x20 != 'i' && kind[0]|0x20 != 'u' {
			continue
		}
		bits, err := strconv.ParseInt(string(kind[1:]), 10, 64)
		if err != nil || bits < 1 || bits > 64 {
			continue
		}
		offset, unit := args.At(i+1), int64(1)
		if len(offset) > 0 && offset[0] == '#' {
			offset, unit = offset[1:], bits
		}
		n, err := strconv.ParseInt(string(offset), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/128 {
			continue
		}
		extent = max(extent, min((n*unit+bits)/8+1, maxExtent))
	}
	return extent
}
