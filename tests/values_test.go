package tests

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
	"riptide-proxy/value"
)

// valueKinds are the ways in which a tenant's values are stored in these tests, which seal all
// that can be.
var valueKinds = []struct{ name, yaml string }{
	{"lz4", "    compression: {algorithm: lz4, min_size: 1, min_saving: 0, streams: true}\n"},
	{"s2", "    compression: {algorithm: s2, min_size: 1, min_saving: 0}\n"},
	{"zstd", "    compression: {algorithm: zstd, min_size: 1, min_saving: 0, streams: true}\n"},
	{"aes", "    encryption: {algorithm: aes-256-gcm, key: test}\n"},
	{"chacha", "    compression: {algorithm: zstd, min_size: 1, min_saving: 0, streams: true}\n    encryption: {algorithm: chacha20-poly1305, key: test}\n"},
}

// valuesTenant is a tenant whose values are stored that way.
func valuesTenant(name, yaml string) harness.Tenant {
	return harness.Tenant{ID: name, Secret: name + "-secret", YAML: yaml}
}

// valuesProxy runs a proxy with a tenant for each of valueKinds.
func valuesProxy(t *testing.T, r *harness.Process) *harness.Proxy {
	t.Helper()
	o := harness.Options{
		Top: "encryption_keys:\n  test: {env: RIPTIDE_VALUES_KEY}\n",
		Env: []string{"RIPTIDE_VALUES_KEY=" + config.HashSecret("a key of these tests")},
	}
	for _, k := range valueKinds {
		o.Tenants = append(o.Tenants, valuesTenant(k.name, k.yaml))
	}
	o.Tenants = append(o.Tenants, harness.Acme)
	p := harness.StartProxy(t, r.Addr, o)
	p.Ready(t)
	return p
}

// forgedValue is a header as value seals with it, in front of something.
func forgedValue(algorithm, flags byte, length uint64, extra, payload string) string {
	b := append([]byte(value.Magic), 1<<4|algorithm, flags)
	for ; length >= 0x80; length >>= 7 {
		b = append(b, byte(length)|0x80)
	}
	b = append(append(b, byte(length)), extra...)
	for check := range 256 {
		whole := append(slices.Clone(b), byte(check))
		if _, _, ok := value.ParseHeader(whole); ok {
			return string(whole) + payload
		}
	}
	return string(b) + payload
}

// awkwardValues are values that are hard to tell from sealed ones, and others.
func awkwardValues(sealed string) []string {
	random := make([]byte, 200)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(rnd.Uint32())
	}
	return []string{
		"", "a", "42", "3.5", value.Magic, value.Magic + "x", value.Magic + "\x10\x00\x00\x00", sealed, sealed[:len(sealed)-1],
		forgedValue(0, 0, 5, "", "hello"), forgedValue(3, 0, 100, "", "garbage"), forgedValue(0, 1<<1, 5, strings.Repeat("k", 20), strings.Repeat("x", 21)),
		strings.Repeat("again and again ", 100), string(random), "\x1f\x8b\x08\x00", "\r\n$-1\r\n",
	}
}

// sequences are commands with a value v at keys of its own, to be answered as a server of one's
// own does.
func valueSequences(v, k string) [][]string {
	tail := v[min(3, len(v)):]
	words := [][]string{
		{"SET", k, v}, {"GET", k}, {"STRLEN", k}, {"GETRANGE", k, "0", "-1"}, {"GETRANGE", k, "1", "4"}, {"SET", k, v, "GET"},
		{"GETSET", k, v}, {"GETEX", k, "EX", "1000"}, {"APPEND", k, "x"}, {"GET", k}, {"SETRANGE", k, "0", value.Magic}, {"GET", k},
		{"SETRANGE", k, "0", v}, {"GET", k}, {"SETBIT", k, "7", "0"}, {"GET", k}, {"SETBIT", k, "7", "1"}, {"GET", k}, {"BITCOUNT", k},
		{"BITPOS", k, "1"}, {"BITFIELD", k, "SET", "u8", "0", "252"}, {"GET", k}, {"SETEX", k, "1000", v}, {"SUBSTR", k, "0", "2"},
		{"COPY", k, k + "2", "REPLACE"}, {"TTL", k + "2"}, {"GET", k + "2"}, {"RENAME", k + "2", k + "3"}, {"GET", k + "3"}, {"TTL", k + "3"},
		{"RENAMENX", k + "3", k}, {"RENAMENX", k + "3", k + "4"}, {"GET", k + "4"}, {"COPY", k + "4", k, "DB", "1"}, {"MOVE", k + "4", "2"}, {"SELECT", "1"}, {"GET", k},
		{"SELECT", "2"}, {"GETDEL", k + "4"}, {"SELECT", "0"}, {"OBJECT", "ENCODING", k}, {"PERSIST", k}, {"DUMP", k},
		{"LCS", k, k, "LEN"}, {"BITOP", "NOT", k + "n", k}, {"GET", k + "n"}, {"BITOP", "NOT", k + "n", k + "n"}, {"GET", k + "n"}, {"STRLEN", k + "n"},
		// made to begin with the magic
		{"SET", k + "m", value.Magic[:2]}, {"APPEND", k + "m", value.Magic[2:] + tail}, {"GET", k + "m"}, {"STRLEN", k + "m"}, {"APPEND", k + "m", "y"}, {"GET", k + "m"},
		{"HSET", k + "h", "f", v, "g", v}, {"HGET", k + "h", "f"}, {"HSTRLEN", k + "h", "f"}, {"HMGET", k + "h", "f", "none", "g"}, {"HGETALL", k + "h"}, {"HVALS", k + "h"},
		{"HSCAN", k + "h", "0"}, {"HRANDFIELD", k + "h", "5", "WITHVALUES"}, {"HSETNX", k + "h", "i", v}, {"HMSET", k + "h", "j", v}, {"HINCRBY", k + "h", "count", "7"},
		{"COPY", k + "h", k + "h2", "REPLACE"}, {"HGETALL", k + "h2"}, {"RENAME", k + "h2", k + "h3"}, {"HGET", k + "h3", "j"}, {"OBJECT", "ENCODING", k + "h3"},
		{"MSET", k + "5", v, k + "6", v}, {"MGET", k + "5", "none", k + "6", k + "h"}, {"MSETNX", k + "5", "x", k + "7", v}, {"MSETNX", k + "7", v}, {"GET", k + "7"}, {"SETNX", k + "8", v}, {"GET", k + "8"},
		{"PFADD", k + "p", v}, {"PFCOUNT", k + "p"}, {"PFADD", k, v}, {"PFCOUNT", k}, {"INCR", k}, {"INCRBYFLOAT", k, "1"}, {"DECRBY", k, "2"},
		{"RPUSH", k + "l", k}, {"SORT", k + "l", "BY", "nosort", "GET", "*", "GET", "#"}, {"SORT", k + "l", "BY", "nosort", "GET", "*h->f"},
		{"SORT", k + "l", "BY", "nosort", "GET", "*", "GET", "*h->f", "STORE", k + "s"}, {"LRANGE", k + "s", "0", "-1"}, {"SORT", k + "l", "BY", "*", "ALPHA"},
		{"XADD", k + "x", "1-1", "f", v}, {"XRANGE", k + "x", "-", "+"}, {"XREVRANGE", k + "x", "+", "-"}, {"XREAD", "STREAMS", k + "x", "0"}, {"XINFO", "STREAM", k + "x", "FULL"},
		{"XGROUP", "CREATE", k + "x", "g", "0"}, {"XREADGROUP", "GROUP", "g", "c", "STREAMS", k + "x", ">"}, {"COPY", k + "x", k + "x2"}, {"RENAME", k + "x2", k + "x3"}, {"XRANGE", k + "x3", "-", "+"},
	}
	for _, tx := range [][][]string{
		{{"SET", k, v}, {"GET", k}, {"GETSET", k, v}, {"HSET", k + "h", "f", v}, {"HGETALL", k + "h"}},
		{{"APPEND", k + "o", "1"}, {"SET", k, v}, {"GET", k}, {"HSET", k + "h", "f", v}, {"HGET", k + "h", "f"}, {"MGET", k, k + "o", k + "5"}},
		{{"SET", k, v}, {"APPEND", k, "q"}, {"GET", k}, {"STRLEN", k}, {"SET", k, v}, {"GETRANGE", k, "0", "3"}},
		{{"HSET", k + "h", "f", v}, {"HSTRLEN", k + "h", "f"}, {"HGET", k + "h", "f"}, {"HVALS", k + "h"}},
		{{"SET", k + "r", v}, {"RENAME", k + "r", k + "r2"}, {"COPY", k + "r2", k + "r3", "REPLACE"}, {"MGET", k + "r2", k + "r3"}, {"APPEND", k + "r3", "z"}},
		{{"SORT", k + "l", "BY", "nosort", "GET", "*"}, {"SORT", k + "l", "BY", "nosort", "GET", "*", "STORE", k + "s"}, {"LRANGE", k + "s", "0", "-1"}},
		{{"DUMP", k}, {"OBJECT", "ENCODING", k}, {"GETBIT", k, "5"}},
	} {
		words = append(append(append(words, []string{"MULTI"}), tx...), []string{"EXEC"})
		words = append(words, []string{"MGET", k, k + "o", k + "r2", k + "r3"}, []string{"HGETALL", k + "h"}, []string{"LRANGE", k + "s", "0", "-1"})
	}
	return words
}

// Every value comes back as it was stored, in every way, and what is asked about it is answered
// as a server of one's own does.
func TestValuesAwkward(t *testing.T) {
	t.Parallel()
	plain, r := harness.StartRedis(t), harness.StartRedis(t)
	p := valuesProxy(t, r)
	up, err := harness.Dial(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	for _, k := range valueKinds {
		tenant := valuesTenant(k.name, k.yaml)
		mustSay(t, p.Connect(t, tenant), "+OK\r\n", "SET", "sample", strings.Repeat("a sample to be sealed ", 50))
		sealed := diffParse(diffMust(t, up, "GET", "t:"+k.name+":0:sample")).text
		if !value.IsSealed([]byte(sealed)) {
			t.Fatalf("%s: %q is not sealed", k.name, sealed)
		}
		for _, proto := range []string{"2", "3"} {
			t.Run(k.name+"/"+proto, func(t *testing.T) {
				a, b := dialRaw(t, plain.Addr), p.Connect(t, tenant)
				for _, c := range []*harness.Conn{a, b} {
					if _, err := c.Do("HELLO", proto); err != nil {
						t.Fatal(err)
					}
					diffMust(t, c, "FLUSHALL")
				}
				for i, v := range awkwardValues(sealed) {
					for _, words := range valueSequences(v, fmt.Sprintf("k%d", i)) {
						want, err := a.Do(words...)
						got, err2 := b.Do(words...)
						if err != nil || err2 != nil {
							t.Fatalf("%.100q: %v, %v", words, err, err2)
						}
						if got != want && !sameFields(words, got, want) {
							t.Errorf("value %.60q, %.120q:\n got %.200q\nwant %.200q", v, words, got, want)
						}
					}
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}

// sameFields reports whether two replies with the fields of hashes differ in their order only:
// that of a long hash is the server's own.
func sameFields(words []string, got, want string) bool {
	switch words[0] {
	case "HGETALL", "HVALS", "HSCAN", "HRANDFIELD", "EXEC":
	default:
		return false
	}
	a, b := strings.Split(got, "\r\n"), strings.Split(want, "\r\n")
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

func dialRaw(t *testing.T, addr string) *harness.Conn {
	t.Helper()
	c, err := harness.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// What DUMP gives has nothing sealed in it: a tenant whose values are plain can restore it, and
// the other way round.
func TestValuesDumped(t *testing.T) {
	t.Parallel()
	p := valuesProxy(t, harness.StartRedis(t))
	other := p.Connect(t, harness.Acme)
	for _, k := range valueKinds {
		t.Run(k.name, func(t *testing.T) {
			c := p.Connect(t, valuesTenant(k.name, k.yaml))
			mustSay(t, c, "+OK\r\n", "SET", "s", strings.Repeat("sealed ", 100))
			sealed := diffParse(diffMust(t, other, "GET", "s")).text
			for _, v := range awkwardValues(value.Magic + "\x10" + sealed + "....") {
				bulk := fmt.Sprintf("$%d\r\n%s\r\n", len(v), v)
				diffMust(t, c, "SET", "s", v)
				diffMust(t, c, "HSET", "h", "f", v)
				diffMust(t, c, "DEL", "s2", "h2", "s3", "h3")
				diffMust(t, other, "DEL", "s", "h")
				s, h := diffParse(diffMust(t, c, "DUMP", "s")).text, diffParse(diffMust(t, c, "DUMP", "h")).text
				for _, x := range []struct {
					c    *harness.Conn
					s, h string
				}{{other, "s", "h"}, {c, "s2", "h2"}, {c, "s3", "h3"}} {
					if x.s == "s3" { // as the other one dumps it
						s, h = diffParse(diffMust(t, other, "DUMP", "s")).text, diffParse(diffMust(t, other, "DUMP", "h")).text
					}
					mustSay(t, x.c, "+OK\r\n", "RESTORE", x.s, "0", s)
					mustSay(t, x.c, "+OK\r\n", "RESTORE", x.h, "0", h)
					mustSay(t, x.c, bulk, "GET", x.s)
					mustSay(t, x.c, bulk, "HGET", x.h, "f")
					mustSay(t, x.c, fmt.Sprintf(":%d\r\n", len(v)), "STRLEN", x.s)
					expect(t, x.c, "-BUSYKEY", "RESTORE", x.s, "0", s)
					expect(t, x.c, "-BUSYKEY", "RESTORE", x.h, "0", h)
					expect(t, x.c, "-ERR ", "RESTORE", x.h, "0", "nonsense", "REPLACE")
					mustSay(t, x.c, bulk, "HGET", x.h, "f")
				}
			}
		})
	}
}

// Values of every size, one by one and in a pipeline between short ones.
func TestValuesPipelined(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	p := valuesProxy(t, r)
	sizes := []int{64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20}
	if full {
		sizes = append(sizes, 100<<20)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, k := range valueKinds {
		c := p.Connect(t, valuesTenant(k.name, k.yaml))
		for _, size := range sizes {
			random := make([]byte, size)
			for i := range random {
				random[i] = byte(rnd.Uint32())
			}
			for _, v := range []string{string(random), strings.Repeat("lines of text\n", size/14+1)[:size]} {
				bulk := fmt.Sprintf("$%d\r\n%s\r\n", len(v), v)
				var out []byte
				var want []string
				for _, step := range []struct {
					reply string
					words []string
				}{
					{"+OK\r\n", []string{"SET", "short", "s"}},
					{"+OK\r\n", []string{"SET", "long", v}},
					{"$1\r\ns\r\n", []string{"GET", "short"}},
					{bulk, []string{"GET", "long"}},
					{fmt.Sprintf(":%d\r\n", len(v)), []string{"STRLEN", "long"}},
					{fmt.Sprintf(":%d\r\n", len(v)+1), []string{"APPEND", "long", "x"}},
					{"$2\r\n" + v[len(v)-1:] + "x\r\n", []string{"GETRANGE", "long", "-2", "-1"}},
					{"$1\r\ns\r\n", []string{"GETDEL", "short"}},
					{":1\r\n", []string{"HSET", "h", fmt.Sprint(size, v[0]), v}},
					{bulk, []string{"HGET", "h", fmt.Sprint(size, v[0])}},
					{"+OK\r\n", []string{"RENAME", "long", "longer"}},
					{fmt.Sprintf("$%d\r\n%sx\r\n", len(v)+1, v), []string{"GETDEL", "longer"}},
				} {
					out = append(out, harness.Request(step.words...)...)
					want = append(want, step.reply)
				}
				go c.Write(out)
				for i := range want {
					if got, err := c.Reply(); err != nil || got != want[i] {
						t.Fatalf("%s, %d bytes, reply %d: %.80q, %v; want %.80q", k.name, size, i, got, err, want[i])
					}
				}
			}
		}
	}
}
