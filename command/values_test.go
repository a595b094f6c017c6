package command

import (
	"fmt"
	"strings"
	"testing"
)

// valueless are the commands on keys, strings, hashes and streams that have nothing to do with the values themselves.
var valueless = set(`
	del exists expire expireat expiretime keys object|encoding object|freq object|help object|idletime object|refcount
	persist pexpire pexpireat pexpiretime pttl randomkey scan touch ttl type unlink dbsize flushall flushdb
	hdel hexists hexpire hexpireat hexpiretime hkeys hlen hpersist hpexpire hpexpireat hpexpiretime hpttl httl
	xack xackdel xcfgset xdel xdelex xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy xgroup|help
	xgroup|setid xidmprecord xinfo|consumers xinfo|groups xinfo|help xlen xnack xpending xsetid xtrim`)

func set(words string) map[string]bool {
	m := make(map[string]bool)
	for _, word := range strings.Fields(words) {
		m[word] = true
	}
	return m
}

// TestValueColumns walks the table: a command on what may be stored encoded says what it has to do with the values, or
// is listed above, so that a new row cannot be forgotten.
func TestValueColumns(t *testing.T) {
	const valued = CatKeyspace | CatString | CatHash | CatBitmap | CatHyperLogLog | CatStream
	for _, c := range All() {
		check := func(ok bool, complaint string) {
			if !ok {
				t.Errorf("%s: %s", c.Name, complaint)
			}
		}
		strings := !c.Values.None() || c.ReplyValues != NoValues || c.InsideString || c.InsideIf
		streams := !c.StreamValues.None() || c.StreamReply != NoValues
		says := strings || streams || c.Moves || c.Dumps || c.Restores
		if c.Run == Refused {
			check(!says, "it is refused")
			continue
		}
		if c.Cats&valued != 0 {
			check(says != valueless[c.Name], "its columns about values are missing, or it is listed as having none")
		} else {
			check(!says || c.ReplyValues == SortValues, "it is about other types")
		}
		check(!streams || c.Cats&CatStream != 0 && !strings, "it is about streams, or it is not")
		check(c.StreamValues.None() || c.Has(Write), "it stores values but does not write")
		check(!c.InsidePlain || c.InsideString, "it does not look inside at all")
		check(c.InsideField == 0 || c.InsideString && c.Cats&CatHash != 0 && c.InsideField < c.Arity, "it has no such field")
		check(!c.InsideString || c.Cats&CatHash == 0 || c.InsideField > 0, "it does not say which field it looks into")
		check(!c.Moves || c.Has(Write) && !c.InsideString, "it does not move values as they are")
		check(!c.Dumps || c.Has(ReadOnly), "it writes")
		check(!c.Restores || c.Has(Write), "it does not write")
		check(c.StreamReply == NoValues || c.StreamReply >= StreamEntries, "its reply has no shape of a stream's")
		check(c.ReplyValues < StreamEntries, "its reply has the shape of a stream's")
	}
	for name, column := range map[string]func(*Command) bool{
		"decr decrby incr incrby incrbyfloat increx hincrby hincrbyfloat pfadd pfcount pfmerge": func(c *Command) bool {
			return c.InsidePlain
		},
		"hincrby hincrbyfloat hstrlen": func(c *Command) bool { return c.InsideField == 2 },
		"copy move rename renamenx":    func(c *Command) bool { return c.Moves },
		"dump":                         func(c *Command) bool { return c.Dumps },
		"restore":                      func(c *Command) bool { return c.Restores },
	} {
		want := set(name)
		for _, c := range All() {
			if column(c) != want[c.Name] {
				t.Errorf("%s: in the column of %q: %v", c.Name, name, column(c))
			}
		}
	}
}

// TestKeyOfValue gives every command that stores values a request, and checks under which key they are stored.
func TestKeyOfValue(t *testing.T) {
	keys := make(map[string]bool)
	for _, tc := range []struct{ call, want string }{
		{"GETSET k v", "2<1"},
		{"SET k v EX 10", "2<1"},
		{"SETNX k v", "2<1"},
		{"SETEX k 10 v", "3<1"},
		{"PSETEX k 10 v", "3<1"},
		{"MSET a 1 b 2 c 3", "2<1 4<3 6<5"},
		{"MSETNX a 1 b 2", "2<1 4<3"},
		{"MSETEX 2 a 1 b 2 EX 10", "3<2 5<4"},
		{"HSET h f v g w", "3<1 5<1"},
		{"HMSET h f v g w", "3<1 5<1"},
		{"HSETNX h f v", "3<1"},
		{"HSETEX h FXX FIELDS 2 f v g w", "6<1 8<1"},
		{"XADD x MAXLEN = 5 * f v g w", "7<1 9<1"},
	} {
		c, args := request(t, tc.call)
		keys[c.Name] = true
		prefixed, _ := c.Prefixed(nil, args)
		var got []string
		for _, i := range append(c.Values.Positions(nil, args), c.StreamValues.Positions(nil, args)...) {
			got = append(got, fmt.Sprintf("%d<%d", i, c.KeyOfValue(prefixed, i)))
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %s, want %s", tc.call, got, tc.want)
		}
	}
	for _, c := range All() {
		if keys[c.Name] == (c.Values.None() && c.StreamValues.None()) {
			t.Errorf("%s: tried: %v", c.Name, keys[c.Name])
		}
	}
	if got := (*Command)(nil).KeyOfValue([]int32{3}, 2); got != 0 {
		t.Errorf("a value in front of all keys is under %d", got)
	}
}

func TestStreamValues(t *testing.T) {
	for call, want := range map[string]string{
		"XADD x * f v":                                 "[4]",
		"XADD x 1-1 f v g w":                           "[4 6]",
		"XADD x NOMKSTREAM * f v":                      "[5]",
		"XADD x MAXLEN 5 * f v":                        "[6]",
		"XADD x MAXLEN = 5 * f v":                      "[7]",
		"XADD x minid ~ 5-1 LIMIT 10 * f v":            "[9]",
		"XADD x LIMIT 10 NOMKSTREAM MINID ~ 5-1 * f v": "[10]",
		"XADD x MAXLEN ~ * f v":                        "[]", // * is the threshold
		"XADD x KEEPREF * f v":                         "[5]",
		"XADD x DELREF MAXLEN 0 * f v":                 "[7]",
		"XADD x ACKED * f v":                           "[5]",
		"XADD x IDMPAUTO p * f v":                      "[6]",
		"XADD x IDMP p i * f v":                        "[7]",
		"XADD x NOMKSTREAM ACKED IDMP MAXLEN LIMIT MAXLEN ~ 5 LIMIT 1 * f v": "[14]",
		"XADD x MAXLEN MAXLEN MAXLEN MAXLEN * f v":                           "[8]",
		"XADD x * NOMKSTREAM NOMKSTREAM":                                     "[4]",
		"XADD x * f v g":                                                     "[]",
		"XADD x * ":                                                          "[]",
		"XADD x NOMKSTREAM":                                                  "[]",
		"XADD x MAXLEN":                                                      "[]",
		"XADD x nonesuch f v":                                                "[4]",
		"XADD x":                                                             "[]",
		"XADD":                                                               "[]",
		"XLEN x":                                                             "[]",
	} {
		args := list(strings.Fields(call))
		c := resolve(args)
		if got := fmt.Sprint(c.StreamValues.Positions(nil, args)); got != want {
			t.Errorf("%s: values at %s, want %s", call, got, want)
		}
	}
}

func TestReplyValuesOf(t *testing.T) {
	gets := func(n int, values uint64) ReplySpec { return ReplySpec{SortValues, SortGets{n, values}} }
	for call, want := range map[string]ReplySpec{
		"GET k":                                {Kind: WholeReply},
		"SET k v":                              {Kind: WholeReply},
		"MGET a b":                             {Kind: ElementValues},
		"HGETALL h":                            {Kind: PairValues},
		"HGETEX h EX 5 FIELDS 1 f":             {Kind: ElementValues},
		"LRANGE l 0 -1":                        {},
		"HRANDFIELD h":                         {},
		"HRANDFIELD h 5":                       {},
		"HRANDFIELD h 5 withvalues":            {Kind: PairValues},
		"HSCAN h 0":                            {Kind: ScanPairs},
		"HSCAN h 0 MATCH NOVALUES COUNT 10":    {Kind: ScanPairs},
		"HSCAN h 0 COUNT 10 novalues":          {},
		"HSCAN h":                              {Kind: ScanPairs},
		"SORT l":                               {},
		"SORT l BY w* LIMIT 0 5 DESC ALPHA":    {},
		"SORT l GET #":                         {},
		"SORT l GET v*":                        gets(1, 0b1),
		"SORT l BY GET LIMIT GET GET GET v* #": gets(1, 0b1), // the first three are arguments of other options
		"SORT l get # GET h*->f GET # GET v*":  gets(4, 0b1010),
		"SORT l GET v* STORE d":                {},
		"SORT_RO l GET v* GET #":               gets(2, 0b01),
		"SORT l GET v* GET":                    gets(1, 0b1),
		"SORT":                                 {},
		"XRANGE x - +":                         {},
	} {
		c, args := request(t, call)
		if got := c.ReplyValuesOf(args); got != want {
			t.Errorf("%s: %+v, want %+v", call, got, want)
		}
		if (want.Kind == NoValues) != want.None() {
			t.Errorf("%s: %v", call, want.None())
		}
	}
}

func TestSortGets(t *testing.T) {
	c, args := request(t, "SORT l GET # GET v* GET #")
	for i, want := range []bool{false, true, false, false, true, false, false, true} {
		if got := c.ReplyValuesOf(args).ElementIsValue(i); got != want {
			t.Errorf("element %d is a value: %v", i, got)
		}
	}
	// Of 70 options the last six are taken for values, whatever they are.
	c, args = request(t, "SORT l"+strings.Repeat(" GET #", 63)+strings.Repeat(" GET v*", 1)+strings.Repeat(" GET #", 6))
	spec := c.ReplyValuesOf(args)
	for i := range 210 {
		if got, want := spec.ElementIsValue(i), i%70 >= 63; got != want {
			t.Errorf("of 70 options, element %d is a value: %v", i, got)
		}
	}
	if spec := (ReplySpec{Kind: ElementValues}); !spec.ElementIsValue(3) || (ReplySpec{}).ElementIsValue(0) || (SortGets{}).Value(0) {
		t.Error("elements of arrays")
	}
}
