package command

import (
	"slices"
	"strings"
	"testing"
)

// list is a request as a list of arguments.
type list []string

func (l list) Len() int        { return len(l) }
func (l list) At(i int) []byte { return []byte(l[i]) }

// row returns the row called name and panics if there is none.
func row(name string) *Command {
	container, sub, ok := strings.Cut(name, "|")
	c := Lookup([]byte(container))
	if ok {
		c = c.Sub([]byte(sub))
	}
	if c == nil {
		panic("no row for " + name)
	}
	return c
}

// resolve returns the command or subcommand that a request is for.
func resolve(args list) *Command {
	if len(args) == 0 {
		return nil
	}
	c := Lookup(args.At(0))
	if c != nil && len(c.Subs) > 0 && len(args) > 1 {
		return c.Sub(args.At(1))
	}
	return c
}

// request splits a call at its spaces and resolves it. A "~" stands for an empty argument, and "\0" for a zero byte.
func request(t *testing.T, call string) (*Command, list) {
	t.Helper()
	args := list(strings.Fields(call))
	for i, arg := range args {
		args[i] = strings.ReplaceAll(strings.ReplaceAll(arg, "~", ""), `\0`, "\x00")
	}
	c := resolve(args)
	if c == nil {
		t.Fatalf("no row for %s", call)
	}
	return c, args
}

// TestPrefixed gives calls and the arguments that must get the prefix: each marked with a leading ":" in the call. A
// call that does not parse begins with "!", and one that may block with "b".
func TestPrefixed(t *testing.T) {
	for _, call := range []string{
		// Plain shapes.
		"GET :k",
		"get :k",
		"GET",
		"SET :k v EX 10",
		"DEL :a :b :c",
		"DEL",
		"MSET :a 1 :b 2",
		"MSET :a 1 :b",
		"MGET :MGET :~ :*",
		"RENAME :a :b",
		"RENAME :a",
		"LMOVE :a :b LEFT RIGHT",
		"COPY :a :b DB 1 REPLACE",
		"BITOP AND :d :a :b",
		"BITOP NOT :d",
		"PFCOUNT :a :b",
		"PFMERGE :d :a :b",
		"SINTERSTORE :d :a :b",
		"SDIFFSTORE :d :a",
		"SMOVE :a :b m",
		"ZRANGESTORE :d :s 0 -1",
		"GEOSEARCHSTORE :d :s FROMMEMBER STORE BYRADIUS 1 m STOREDIST",
		"BLPOP :a :b 0",
		"BLPOP :a 0",
		"BLPOP 0",
		"BLMOVE :a :b LEFT RIGHT 0",
		"LCS :a :b LEN",
		"OBJECT ENCODING :k",
		"object freq :k",
		"OBJECT HELP",
		"MEMORY USAGE :k SAMPLES 5",
		"XINFO STREAM :k FULL",
		"XGROUP CREATE :k g $ MKSTREAM",
		"XPENDING :k g - + 10",
		"KEYS :*",
		"WATCH :a :b",
		"MOVE :k 1",
		"PING k",
		"COMMAND GETKEYS GET k",
		// Channels.
		"SUBSCRIBE :a :b",
		"UNSUBSCRIBE",
		"PSUBSCRIBE :a*",
		"SSUBSCRIBE :a",
		"PUBLISH :c m",
		"SPUBLISH :c m",
		"PUBSUB CHANNELS",
		"PUBSUB CHANNELS :*",
		"PUBSUB NUMSUB :a :b",
		"PUBSUB SHARDNUMSUB",
		// Counts.
		"ZUNION 2 :a :b WEIGHTS 1 2",
		"ZUNIONSTORE :d 2 :a :b AGGREGATE MAX",
		"ZINTERSTORE :d 1 :a",
		"ZINTERCARD 1 :a LIMIT 1",
		"SINTERCARD 2 :a :b",
		"SUNIONCARD 2 :a :b APPROX",
		"LMPOP 1 :a LEFT",
		"ZMPOP 2 :a :b MIN COUNT 3",
		"BLMPOP 0 2 :a :b LEFT",
		"BZMPOP 0 1 :a MAX",
		"MSETEX 2 :a 1 :b 2 NX",
		"EVAL script 0",
		"EVAL script 0 arg",
		"EVAL script 2 :a :b arg",
		"EVALSHA_RO sha 1 :a arg",
		"FCALL f 1 :a arg",
		"ZUNION 0 a",
		"! ZUNION",
		"! ZUNION x :a :b",
		"! ZUNION 3 :a :b",
		"! ZUNION -1 :a :b",
		"! ZUNION 01 :a :b",
		"! ZUNION +1 :a :b",
		"! ZUNION 1\\0 :a :b",
		"! ZUNION ~ :a :b",
		"! ZUNION 1.0 :a :b",
		"! ZUNION 9223372036854775807 :a :b",
		"! ZUNION 9223372036854775808 :a :b",
		"! ZUNION 18446744073709551617 :a :b",
		"! ZUNION 36893488147419103233 :a :b",
		"! ZUNION -9223372036854775808 :a :b",
		"! ZUNIONSTORE :d x :a :b",
		"! ZUNIONSTORE :d",
		"! EVAL script two :a :b",
		"! EVAL script",
		"! MSETEX 2 :a :1 :b",
		"! MSETEX 4611686018427387904 :a :1",
		"! BLMPOP 0 x :a :LEFT",
		// SORT.
		"SORT :k",
		"SORT :k ASC ALPHA desc",
		"SORT :k BY :w_* GET :o_* GET # GET :p_*->f LIMIT 0 10 STORE :d",
		"SORT :k STORE :a STORE :b",
		"SORT :k BY :STORE GET :BY STORE :GET",
		"SORT :k LIMIT STORE STORE GET :GET",
		"SORT :k GET :## GET :#x",
		"SORT :k BY :nosort",
		"SORT_RO :k BY :w_* GET #",
		"! SORT",
		"! SORT :k :STORE",
		"! SORT :k :LIMIT :1",
		"! SORT :k :GET",
		"! SORT :k STORE :d :JUNK :STORE :e",
		"! SORT :k :STORE\\0 :d",
		"! SORT :k :~ :STORE :d",
		"! SORT_RO :k GET :a* :STORE :d",
		// GEORADIUS.
		"GEORADIUS :k 1 2 3 km",
		"GEORADIUS :k 1 2 3 km WITHDIST COUNT 3 ANY ASC STORE :d",
		"GEORADIUS :k 1 2 3 km STORE :a STOREDIST :b",
		"GEORADIUS :k 1 2 3 km COUNT STORE STORE :STORE",
		"GEORADIUS :k 1 2 3 STORE STORE :d",
		"GEORADIUS :k",
		"GEORADIUSBYMEMBER :k STORE 3 km",
		"GEORADIUSBYMEMBER :k m 3 km STOREDIST :d WITHHASH",
		"GEORADIUSBYMEMBER :k m 3 STORE STORE :d",
		"GEORADIUS_RO :k 1 2 3 km STORE d",
		"GEORADIUSBYMEMBER_RO :k m 1 km STORE d",
		"! GEORADIUS",
		"! GEORADIUS :k 1 2 3 km :STORE",
		"! GEORADIUS :k 1 2 3 km :COUNT",
		"! GEORADIUS :k 1 2 3 km :X :STORE :d",
		"! GEORADIUSBYMEMBER :k m 3 km :km :STORE :d",
		// XREAD and XREADGROUP.
		"XREAD STREAMS :a 0",
		"XREAD COUNT 2 STREAMS :a :b 0 0",
		"bXREAD BLOCK 0 STREAMS :a $",
		"bXREAD COUNT BLOCK BLOCK STREAMS STREAMS :STREAMS STREAMS",
		"XREADGROUP GROUP g c STREAMS :a >",
		"XREADGROUP NOACK NOACK GROUP STREAMS c STREAMS :k >",
		"XREADGROUP GROUP STREAMS STREAMS COUNT STREAMS STREAMS :STREAMS >",
		"XREADGROUP GROUP g c CLAIM 10 STREAMS :a >",
		"XREADGROUP GROUP GROUP BLOCK STREAMS :a >",
		"! XREAD",
		"! XREAD :STREAMS",
		"! XREAD STREAMS :a",
		"! XREAD STREAMS :a :b :0",
		"! XREAD :X :STREAMS :a :0",
		"! XREAD :COUNT",
		"! XREAD COUNT 1",
		"! XREAD :STREAMS\\0 :STREAMS :a :0",
		"!bXREAD BLOCK 0 :X :STREAMS :a :0",
		"!bXREAD BLOCK 0 STREAMS :a :b :0",
		"! XREAD :BLOCK\\0 :0 :STREAMS :a :$",
		"! XREADGROUP :GROUP :g",
		"! XREADGROUP GROUP g c :~ :STREAMS :a :>",
	} {
		text, unparsed := strings.CutPrefix(call, "!")
		text, blocks := strings.CutPrefix(strings.TrimPrefix(text, " "), "b")
		var want []int32
		fields := strings.Fields(text)
		for i, field := range fields {
			if strings.HasPrefix(field, ":") {
				want = append(want, int32(i))
				fields[i] = field[1:]
			}
		}
		c, args := request(t, strings.Join(fields, " "))
		got, verdict := c.Prefixed(nil, args)
		if !slices.Equal(got, want) {
			t.Errorf("%s: prefixed %v, want %v", call, got, want)
		}
		if (verdict&Unparsed != 0) != unparsed {
			t.Errorf("%s: verdict %b, want unparsed: %v", call, verdict, unparsed)
		}
		if (verdict&Blocks != 0) != blocks {
			t.Errorf("%s: verdict %b, want blocks: %v", call, verdict, blocks)
		}
	}
}

func TestVerdicts(t *testing.T) {
	for call, want := range map[string]Verdict{
		"SORT k":                             0,
		"SORT k STORE d":                     Stores,
		"SORT k BY w* STORE d":               Stores | Patterns,
		"SORT k GET #":                       0,
		"GEORADIUS k 1 2 3 km":               0,
		"GEORADIUSBYMEMBER k m 1 km STORE d": Stores,
		"XREAD BLOCK 1 COUNT 1 STREAMS k 0":  Blocks,
		"GET k":                              0,
	} {
		c, args := request(t, call)
		if _, got := c.Prefixed(nil, args); got != want {
			t.Errorf("%s: verdict %b, want %b", call, got, want)
		}
	}
}

// TestPrefixedKeepsWhatIsThere since callers pass slices to be extended.
func TestPrefixedKeepsWhatIsThere(t *testing.T) {
	for _, call := range []string{"GET k", "DEL a b", "SORT k BY w", "ZUNION x a"} {
		c, args := request(t, call)
		if got, _ := c.Prefixed([]int32{-7}, args); got[0] != -7 || len(got) < 2 {
			t.Errorf("%s: %v", call, got)
		}
	}
}

func TestPrefixedDoesNotAllocate(t *testing.T) {
	for _, call := range []string{"GET k", "MGET a b", "SORT k BY w GET v", "XREAD STREAMS k 0", "ZUNION 1 a"} {
		c, args := bytesOf(call)
		dst := make([]int32, 0, 16)
		if n := testing.AllocsPerRun(100, func() { c.Prefixed(dst, args) }); n != 0 {
			t.Errorf("%s: %v allocations", call, n)
		}
	}
}

// fixed is a request whose arguments need no conversion.
type fixed [][]byte

func (f fixed) Len() int        { return len(f) }
func (f fixed) At(i int) []byte { return f[i] }

// bytesOf splits a call at its spaces and resolves it.
func bytesOf(call string) (*Command, *fixed) {
	var args fixed
	for _, arg := range strings.Fields(call) {
		args = append(args, []byte(arg))
	}
	return Lookup(args[0]), &args
}

func TestParseInt(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "-1": -1, "42": 42, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63,
	} {
		if got, ok := parseInt([]byte(text)); !ok || got != want {
			t.Errorf("%q: %d %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"", "-", "+1", " 1", "1 ", "01", "-0", "-01", "1x", "0x1", "1e3", "1.0", "9223372036854775808",
		"-9223372036854775809", "18446744073709551616", "99999999999999999999", "000000000000000000000",
	} {
		if got, ok := parseInt([]byte(text)); ok {
			t.Errorf("%q parsed as %d", text, got)
		}
	}
}

// FuzzPrefixed feeds requests whose arguments are separated by newlines.
func FuzzPrefixed(f *testing.F) {
	for _, seed := range []string{
		"GET\nk", "MSET\na\n1\nb", "BLPOP\n0", "SORT\nk\nBY\nw\nGET\n#\nSTORE\nd", "XREAD\nBLOCK\n0\nSTREAMS\na\n$",
		"XREADGROUP\nNOACK\nGROUP\nSTREAMS\nc\nSTREAMS\nk\n>", "ZUNIONSTORE\nd\n2\na\nb", "MSETEX\n2\na\n1\nb\n2",
		"EVAL\ns\n-1\na", "GEORADIUS\nk\n1\n2\n3\nm\nSTORE\nd", "OBJECT\nENCODING\nk",
		"XADD\nk\nMAXLEN\n~\n5\nLIMIT\n1\n*\nf\nv", "HSCAN\nk\n0\nNOVALUES", "HSETEX\nk\nEX\n5\nFIELDS\n1\nf\nv", "ZUNION\n99999999999999999999\na",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		args := list(strings.Split(text, "\n"))
		c := resolve(args)
		if c == nil {
			return
		}
		checkPositions(t, c, args)
	})
}

// checkPositions checks what must hold for the positions that any request gives.
func checkPositions(t *testing.T, c *Command, args list) {
	t.Helper()
	got, verdict := c.Prefixed(nil, args)
	last := int32(0)
	for _, i := range got {
		if i <= last || int(i) >= len(args) {
			t.Fatalf("%q: prefixed %v", args, got)
		}
		last = i
	}
	if c.Parent != nil && len(got) > 0 && got[0] == 1 {
		t.Fatalf("%q: prefixed the subcommand", args)
	}
	if verdict&Unparsed != 0 && len(got) > 0 && c.AcceptsArity(len(args)) && int(last) != len(args)-1 {
		t.Fatalf("%q: does not parse, but %v leaves the end as it is", args, got)
	}
	last = 0
	for _, i := range append(c.Values.Positions(nil, args), c.StreamValues.Positions(nil, args)...) {
		if int(i) >= len(args) || i <= last || slices.Contains(got, i) && verdict&Unparsed == 0 {
			t.Fatalf("%q: value at %d", args, i)
		}
		if key := c.KeyOfValue(got, i); key < 1 || key > i {
			t.Fatalf("%q: the value at %d is under %d", args, i, key)
		}
		last = i
	}
	if spec := c.ReplyValuesOf(args); spec.Kind == MaybePairs || (spec.Kind == SortValues) != (spec.Sort.Count > 0) {
		t.Fatalf("%q: values in the reply at %+v", args, spec)
	}
}

// TestPrefixedShort runs every finder on requests of every length, whatever the arity.
func TestPrefixedShort(t *testing.T) {
	for _, c := range All() {
		for _, filler := range []string{"1", "STORE", "STREAMS", "x"} {
			args := list(strings.Split(c.Name, "|"))
			for range 9 {
				checkPositions(t, c, args)
				args = append(args, filler)
			}
		}
	}
}

func BenchmarkPrefixed(b *testing.B) {
	for _, call := range []string{"GET k", "MGET a b c", "ZUNION 2 a b", "XREAD COUNT 1 STREAMS a 0"} {
		b.Run(call, func(b *testing.B) {
			c, args := bytesOf(call)
			dst := make([]int32, 0, 16)
			for b.Loop() {
				c.Prefixed(dst, args)
			}
		})
	}
}
