package command

import (
	"slices"
	"strconv"
)

// How much memory a command can make the keys take follows from its length for most
// of them. What follows is about those for which it does not.

// growers may make keys take more, though the server does not say so by DenyOOM:
// by a longer name, by entries that are in nobody's request, or by moving something to where it
// takes more.
var growers = []string{"rename", "renamenx", "smove", "move", "vsetattr", "xreadgroup", "xclaim", "xautoclaim", "xnack"}

// copiers write what they find elsewhere: what they are given says nothing of how much that is.
var copiers = map[string]func(args Args) bool{
	"copy": always, "bitop": always, "zrangestore": always, "geosearchstore": always,
	"sdiffstore": always, "sinterstore": always, "sunionstore": always,
	"zdiffstore": always, "zinterstore": always, "zunionstore": always,
	"sort": stores, "georadius": stores, "georadiusbymember": stores,
}

func always(Args) bool { return true }

// stores reports whether one of a command's options may be STORE. A value that reads so does no
// harm.
func stores(args Args) bool {
	for i := 2; i < args.Len(); i++ {
		if is(args.At(i), "STORE") || is(args.At(i), "STOREDIST") {
			return true
		}
	}
	return false
}

// hidden tells how much more commands can take than their length says.
var hidden = map[string]func(args Args) int64{
	"restore":    restoredElements,
	"xreadgroup": deliveries,
	"xautoclaim": func(Args) int64 { return pendingEntry },
	"xclaim":     namedEntries,
	"xnack":      namedEntries,
}

// pendingEntry is what a group takes to remember an entry, as MEMORY USAGE estimates it: Redis's
// streamNACK, and its place in two trees.
const pendingEntry = 600

// namedEntries is for those that name the entries.
func namedEntries(args Args) int64 { return int64(args.Len()) * pendingEntry }

// deliveries is for XREADGROUP, whose COUNT bounds what it delivers of each stream.
func deliveries(args Args) int64 {
	count, streams := delivered(args)
	return min(count*pendingEntry, maxExtent) * streams
}

// manyDeliveries reports whether a group's pending entries have to be known to tell what XREADGROUP takes.
func manyDeliveries(args Args) bool {
	count, _ := delivered(args)
	return count == 0 || count > fewEntries
}

// fewEntries is up to how many entries XREADGROUP may deliver without anybody looking how many there are.
const fewEntries = 100

// delivered reads COUNT, 0 if there is none, and how many streams there are.
func delivered(args Args) (count, streams int64) {
	for i := 4; i < args.Len(); i++ {
		switch word := args.At(i); {
		case is(word, "STREAMS"):
			return count, int64(args.Len()-i-1) / 2
		case is(word, "COUNT"):
			i++
			count = number(args, i)
		case is(word, "BLOCK"):
			i++
		}
	}
	return count, 0
}

// lumpy are those for which the server takes much more room now and then, so that
// the same will do for many that follow.
var lumpy = []string{"append", "setrange", "setbit", "bitfield", "bitop"}

// extents tell how long a value is afterwards at least, in bytes, whatever it was; beside Reach.
var extents = map[string]Reach{
	"pfadd":   func(Args) int64 { return denseHLL },
	"pfmerge": func(Args) int64 { return denseHLL },
	"restore": restored,
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

// restored is for RESTORE key ttl serialized-value: a string tells how long it is, even if it is
// compressed.
func restored(args Args) int64 {
	if args.Len() < 4 {
		return 0
	}
	dump := args.At(3)
	if len(dump) < 2 || dump[0] != dumpedString || dump[1] != dumpedLZF {
		return int64(len(dump))
	}
	_, rest, ok := dumpedLength(dump[2:])
	if !ok {
		return 0 // the server refuses it
	}
	n, _, _ := dumpedLength(rest)
	return n
}

// restoredElements is for RESTORE of what is not a string, whose parts may be compressed.
func restoredElements(args Args) int64 {
	if args.Len() < 4 || len(args.At(3)) == 0 || args.At(3)[0] == dumpedString {
		return 0
	}
	return mostCompressed * int64(len(args.At(3)))
}

// See Redis's rdb.h: the type of a string, and the length of one that is compressed.
const (
	dumpedString = 0
	dumpedLZF    = 0xC3
)

// mostCompressed is how much longer what was compressed can be: LZF writes 264 bytes as 3.
const mostCompressed = 88

// dumpedLength reads a length as Redis's rdbLoadLen does.
func dumpedLength(b []byte) (n int64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	size := 0
	switch kind := b[0]; {
	case kind>>6 == 0:
		return int64(kind & 0x3f), b[1:], true
	case kind>>6 == 1 && len(b) > 1:
		return int64(kind&0x3f)<<8 | int64(b[1]), b[2:], true
	case kind == 0x80:
		size = 4
	case kind == 0x81:
		size = 8
	}
	if size == 0 || len(b) <= size {
		return 0, nil, false
	}
	var u uint64
	for _, c := range b[1 : 1+size] {
		u = u<<8 | uint64(c)
	}
	return int64(min(u, maxExtent)), b[1+size:], true
}

// deriveGrowth fills in the fields about growth.
func (c *Command) deriveGrowth() {
	c.Grows = c.Has(DenyOOM) || slices.Contains(growers, c.Name)
	c.Copies = copiers[c.Name]
	c.Hidden = hidden[c.Name]
	if c.Name == "xreadgroup" {
		c.Delivers = manyDeliveries
	}
	c.Converts = c.Grows && c.Copies == nil && c.Cats&(CatHash|CatSet|CatSortedSet|CatGeo) != 0
	c.Lumpy = slices.Contains(lumpy, c.Name)
	if c.Extent = extents[c.Name]; c.Extent == nil {
		c.Extent = c.Reach
	}
	c.Adds = c.Grows && c.Copies == nil && c.Extent == nil && c.Hidden == nil && !c.Lumpy && !c.Converts && c.Has(DenyOOM) && c.Shape.Kind == ShapeOne
}
