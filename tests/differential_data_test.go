package tests

import (
	"fmt"
	"slices"
	"strings"
)

// What the calls of the differential test are made of.

// diffKind is a sort of key with the names that keys of this sort have at
// first; later any name may hold anything.
type diffKind struct {
	name   string
	names  []string
	create [][]string // without the key, which follows the command's name or stands for KEY
}

// diffNames are what keys are called: names that need care on the wire, in
// patterns, or because they look like the proxy's own.
var diffNames = []func(string) string{
	func(s string) string { return s },
	func(s string) string { return s + " \r\n\x00\xff" },
	func(s string) string { return "{" + s + "}:1" },
	func(s string) string { return "t:acme:0:" + s },
	func(s string) string { return "*?[" + s + `]\` },
}

var diffFields = strings.Fields

var diffKinds = diffNamed([]*diffKind{
	{name: "str", create: [][]string{{"SET", "KEY", "hello world"}}},
	{name: "int", create: [][]string{diffFields("SET KEY 10")}},
	{name: "float", create: [][]string{diffFields("SET KEY 3.14")}},
	{name: "list", create: [][]string{diffFields("RPUSH KEY a b c a 1 2 3"), {"RPUSH", "KEY", "", "\xff\x00\r\n"}}},
	{name: "biglist", create: [][]string{append(diffFields("RPUSH KEY a b"), diffMany(300, "e")...)}},
	{name: "hash", create: [][]string{diffFields("HSET KEY f1 v1 f2 2 f3 3.5 n 10"), {"HSET", "KEY", "", "", "\x00\xff", "\r\n"}}},
	{name: "bighash", create: [][]string{{"HSET", "KEY", "f1", strings.Repeat("v", 100), "f2", "2", "n", "7", "f3", "x"}}},
	{name: "set", create: [][]string{diffFields("SADD KEY a b c 1 2"), {"SADD", "KEY", "", "\xff\x00\r\n"}}},
	{name: "intset", create: [][]string{diffFields("SADD KEY 1 2 3 10 -5")}},
	{name: "bigset", create: [][]string{append(diffFields("SADD KEY a b c 1"), diffMany(200, "m")...)}},
	{name: "zset", create: [][]string{diffFields("ZADD KEY 1 a 2 b 3 c 3 1 -1.5 2"), {"ZADD", "KEY", "0", "", "inf", "\xff\x00\r\n"}}},
	{name: "bigzset", create: [][]string{{"ZADD", "KEY", "1", "a", "1", "b", "1", "c", "1", strings.Repeat("z", 100)}}},
	{name: "stream", create: [][]string{
		diffFields("XADD KEY 1-1 f1 v1"), diffFields("XADD KEY 2-1 f1 v2 f2 2"), diffFields("XADD KEY 3-1 f3 3"), diffFields("XADD KEY 5-0 f1 5"),
		diffFields("XGROUP CREATE KEY g1 0"), diffFields("XGROUP CREATE KEY g2 2-1"),
		diffFields("XREADGROUP GROUP g1 c1 COUNT 2 STREAMS KEY >"), diffFields("XREADGROUP GROUP g1 c2 COUNT 1 STREAMS KEY >"),
	}},
	{name: "hll", create: [][]string{diffFields("PFADD KEY a b c 1 2 3")}},
	{name: "geo", create: [][]string{diffFields("GEOADD KEY 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.5 41.9 Rome")}},
	{name: "weight", create: [][]string{diffFields("SET KEY 5")}},
})

// diffNamed gives every kind three names of different sorts. SORT's weights are
// found by a pattern and have fixed ones.
func diffNamed(kinds []*diffKind) []*diffKind {
	for i, k := range kinds {
		for _, n := range []int{0, 1 + i%4, 1 + (i+1)%4} {
			k.names = append(k.names, diffNames[n](k.name))
		}
		if k.name == "weight" {
			k.names = diffFields("w_a w_b w_1 w_2 w_3")
		}
	}
	return kinds
}

func diffMany(n int, name string) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("%s%d", name, i))
	}
	return list
}

var diffMissing = []string{"missing", "no\x00such\r\n", "t:globex:0:str", "{missing}", strings.Repeat("k", 300)}

// diffGroupKinds says which keys the commands of a group work on. All others
// work on any.
var diffGroupKinds = map[string]string{
	"string": "str int float", "bitmap": "str int", "list": "list biglist", "hash": "hash bighash",
	"set": "set intset bigset", "sorted-set": "zset bigzset geo", "stream": "stream", "hyperloglog": "hll", "geo": "geo",
}

// diffOwnKinds are those of commands that are choosier than their group.
var diffOwnKinds = map[string]string{
	"incr": "int", "decr": "int", "incrby": "int", "decrby": "int", "incrbyfloat": "int float",
	"sort": "list set intset zset", "sort_ro": "list set intset zset",
	"zunion": "zset set", "zinter": "zset set", "zunionstore": "zset set", "zinterstore": "zset set", "zintercard": "zset set",
}

func diffKindsFor(row *diffRow) []*diffKind {
	names := diffOwnKinds[row.cmd.Name]
	if names == "" {
		names = diffGroupKinds[row.group]
	}
	if names == "" {
		return diffKinds
	}
	var kinds []*diffKind
	for _, k := range diffKinds {
		if slices.Contains(diffFields(names), k.name) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// diffKindOf returns the kind that a name stands for at first, or nil.
func diffKindOf(key string) *diffKind {
	for _, k := range diffKinds {
		if slices.Contains(k.names, key) {
			return k
		}
	}
	return nil
}

// diffPools are what arguments are filled with: by command and argument, by
// group and argument, by argument, or by type, in COMMAND DOCS' words. Nothing
// in them makes a server allocate much: offsets are small, or too large to be
// accepted.
var diffPools = map[string][]string{
	"string":  {"", "a", "b", "1", "2", "-5", "3.5", "hello world", "\x00\xff\r\n", "10", strings.Repeat("x", 70), "t:acme:0:str", "é"},
	"integer": diffFields("0 1 2 3 5 -1 -2 10 100"),
	"double":  diffFields("0 1 2.5 -1 1e3 3.0 inf -inf"),
	"pattern": {"*", "?", "a*", "[a-c]", "str*", `\*`, "", "f?", "*1*", "[^a]*", "*\x00*", "t:*", "[", `\`, "{*", "*:acme:*"},

	"value": {"", "v", "2", "3.5", "\x00\xff\r\n", strings.Repeat("y", 70), "-7", "t:acme:0:x"},
	"field": {"f1", "f2", "f3", "n", "n", "", "\x00\xff", "new"}, "member": {"a", "b", "c", "1", "2", "", "\xff\x00\r\n", "m5", "new"},
	"element": {"a", "b", "c", "1", "", "\xff\x00\r\n", "new"}, "pivot": diffFields("a b c none"),
	"geo member": diffFields("Palermo Catania Rome nowhere"), "geo member1": diffFields("Palermo Catania none"), "geo member2": diffFields("Rome Catania none"),
	"longitude": diffFields("13.361389 15.087269 0 -180 12.5"), "latitude": diffFields("38.115556 37.502669 41.9 0"),
	"radius": diffFields("1 200 100000 0"), "width": diffFields("10 1000 0"), "height": diffFields("10 1000 0"),
	"geo count": diffFields("1 2 10"), "group": diffFields("g1 g1 g1 g2 none"), "groupname": diffFields("g1 g2 g3"),
	"consumer": diffFields("c1 c2 c3"), "consumername": diffFields("c1 c2 c3"),
	"id": diffFields("1-1 2-1 3-1 5-0 0 0-0 $ 6"), "lastid": diffFields("1-1 9"), "last-id": diffFields("5-0 9-9 1"),
	"xreadgroup id": diffFields("> > 0 1-1"), "stream start": diffFields("- 0 1-1 (1-1 2"), "stream end": diffFields("+ 3 (3-1 5-0 $"),
	"max_deleted_entry_id": diffFields("1-1 0-0"), "max-deleted-id": diffFields("1-1 0-0"),
	"threshold": diffFields("0 1 3 100 2-1"), "stream count": diffFields("1 2 10 100"), "entries-added": diffFields("1 4 100"),
	"sorted-set min": diffFields("-inf 0 (1 1 - [a (b"), "sorted-set max": diffFields("+inf 3 (3 2 + [c (c"),
	"sorted-set start": diffFields("0 1 -3 0 -inf (1 - [a"), "sorted-set stop": diffFields("-1 2 5 -1 +inf (3 + [c"),
	"zrevrangebylex max": diffFields("+ [c (b"), "zrevrangebylex min": diffFields("- [a (a"),
	"zrangebylex min": diffFields("- [a (a"), "zrangebylex max": diffFields("+ [c (b"),
	"zlexcount min": diffFields("- [a"), "zlexcount max": diffFields("+ [c"), "zremrangebylex min": diffFields("- [b"), "zremrangebylex max": diffFields("+ [c"),
	"score": diffFields("1 2 -1.5 0 inf -inf 1e10 3.0000000000000004"), "increment": diffFields("1 -1 2.5 100 0 9223372036854775807"),
	"count": diffFields("1 2 3 10 0 -2"), "cursor": diffFields("0 0 0 0 0 1 7 18446744073709551615"),
	"bit": diffFields("0 1"), "operation": diffFields("AND OR XOR NOT"), "encoding": diffFields("u8 i5 u4 i64 u63 u64 i0 x"),
	"bitmap offset": diffFields("0 1 7 8 100 4294967296"), "bitfield offset": diffFields("0 1 7 #1 #2 100"),
	"bitfield_ro offset": diffFields("0 1 7 #1 #2"), "setbit value": diffFields("0 1"),
	"setrange offset": diffFields("0 1 5 100 4294967296"), "sort by-pattern": diffFields("nosort w_* * none* hash*->f1"),
	"sort_ro by-pattern": diffFields("nosort w_* * none*"), "get-pattern": diffFields("# w_* * hash*->f1 none"),
	"sort pattern": diffFields("nosort w_* * # hash*->f1"), "sort_ro pattern": diffFields("nosort w_* * #"),
	"index": diffFields("0 1 -1 3 100"), "select index": diffFields("0 0 1 15 16 -1 x"), "db": diffFields("0 1 2 15 16 -1"), "destination-db": diffFields("0 1 2 15 16 -1"),
	"protover": diffFields("2 3 2 3 4 x"), "type": diffFields("string hash list set zset stream nope"),
	"connection-name": {"app", "", "with space", "é", "worker-7"}, "clientname": {"app", "", "a\nb"},
	"libname": {"lib", "a b", ""}, "libver": {"1.2.3", "1 2"}, "lolwut version": diffFields("5 6 99"), "frequency": diffFields("0 5 255"),
	"restore seconds": diffFields("0 10000"),
}

// diffJunk are arguments of a wrong type. No number in them is negative and
// large, as the RANDMEMBER commands answer so many elements.
var diffJunk = []string{
	"", "abc", "1.5", "-1", "0", "4294967296", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "nan", "inf",
	"-inf", "1e400", "0x10", " 1", "1 ", "+1", "01", "-0", "\x00", "NX", "XX", "GET", "LIMIT", "COUNT", "STORE", "MATCH", "WITHSCORES",
	"STREAMS", "\r\n", "$5", "*3\r\n$3\r\nSET", strings.Repeat("j", 200),
}

// diffJunkTimes are no times, or such that have passed for good.
var diffJunkTimes = []string{
	"", "abc", "1.5", "0", "-1", "-9223372036854775808", "9223372036854775807", "9223372036854775808", "nan", " 1", "01", "9223372036854775",
}

// A name with a zero byte at its end is not among them: servers take it for the one before the zero
// whenever both happen to be in the same place of their table, which depends on a random seed.
var diffNoCommands = []string{
	"", "nope", "GETX", "\x00get", "SET ", " PING", "se", "\r\n", "t:acme:0:get", strings.Repeat("LONG", 50), "é", "HELP", "'quoted'", "a\nb", "xgroup|create",
}
