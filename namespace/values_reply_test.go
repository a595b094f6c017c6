package namespace

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/resp"
)

// What stands for a sealed value in these tests begins with "S:"; when it is
// opened, what follows comes back in angle brackets, or an error if it is "bad".
func testSealed(stored []byte) bool { return bytes.HasPrefix(stored, []byte(sealedForm)) }

var errBad = errors.New("bad value")

func testOpen(dst, stored []byte, at ValueAt) ([]byte, error) {
	if string(stored[2:]) == "bad" {
		return append(dst, "half"...), errBad
	}
	return fmt.Appendf(dst, "<%s>", stored[2:]), nil
}

func spec(kind command.ReplyKind) command.ReplySpec { return command.ReplySpec{Kind: kind} }

func TestOpenValues(t *testing.T) {
	sort := func(n int, values uint64) command.ReplySpec {
		return command.ReplySpec{Kind: command.SortValues, Sort: command.SortGets{Count: n, Values: values}}
	}
	for _, c := range []struct {
		name  string
		spec  command.ReplySpec
		reply string
		want  string // empty: unchanged
	}{
		{"none", command.ReplySpec{}, "$3 S:a ", ""},
		{"none, array", command.ReplySpec{}, "*1 $3 S:a ", ""},
		{"whole", spec(command.WholeReply), "$3 S:a ", "$3 <a> "},
		{"whole, shorter length", spec(command.WholeReply), "$9 S:1234567 ", "$9 <1234567> "},
		{"whole, behind attributes", spec(command.WholeReply), "|1 $3 S:k $3 S:v $3 S:a ", "|1 $3 S:k $3 S:v $3 <a> "},
		{"whole, plain", spec(command.WholeReply), "$1 a ", ""},
		{"whole, empty", spec(command.WholeReply), "$0  ", ""},
		{"whole, null", spec(command.WholeReply), "$-1 ", ""},
		{"whole, null of RESP3", spec(command.WholeReply), "_ ", ""},
		{"whole, error", spec(command.WholeReply), "-S:a ", ""},
		{"whole, status", spec(command.WholeReply), "+S:a ", ""},
		{"whole, an array all the same", spec(command.WholeReply), "*1 $3 S:a ", ""},

		{"elements", spec(command.ElementValues), "*3 $3 S:a $1 b $3 S:c ", "*3 $3 <a> $1 b $3 <c> "},
		{"elements, nulls and errors", spec(command.ElementValues), "*6 $-1 _ -S:x :1 $3 S:a *-1 ", "*6 $-1 _ -S:x :1 $3 <a> *-1 "},
		{"elements, nested", spec(command.ElementValues), "*2 *1 $3 S:a $3 S:b ", "*2 *1 $3 S:a $3 <b> "},
		{"elements, none sealed", spec(command.ElementValues), "*2 $1 a $1 b ", ""},
		{"elements, null", spec(command.ElementValues), "*-1 ", ""},
		{"elements, empty", spec(command.ElementValues), "*0 ", ""},
		{"elements, error", spec(command.ElementValues), "-WRONGTYPE S:a ", ""},
		{"elements, one bulk", spec(command.ElementValues), "$3 S:a ", ""},
		{"elements, push in the middle", spec(command.ElementValues), "*2 $1 a >2 $3 S:x $3 S:y $3 S:b ", "*2 $1 a >2 $3 S:x $3 S:y $3 <b> "},
		{"elements, attributes", spec(command.ElementValues), "*1 |1 $3 S:x $3 S:y $3 S:b ", "*1 |1 $3 S:x $3 S:y $3 <b> "},
		{"elements, streamed", spec(command.ElementValues), "*? $1 a $3 S:b . ", "*? $1 a $3 <b> . "},

		{"pairs, flat", spec(command.PairValues), "*4 $3 S:f $3 S:a $1 g $1 b ", "*4 $3 S:f $3 <a> $1 g $1 b "},
		{"pairs, nested", spec(command.PairValues), "*2 *2 $3 S:f $3 S:a *2 $1 g $3 S:b ", "*2 *2 $3 S:f $3 <a> *2 $1 g $3 <b> "},
		{"pairs, map", spec(command.PairValues), "%2 $3 S:f $3 S:a $1 g $3 S:b ", "%2 $3 S:f $3 <a> $1 g $3 <b> "},
		{"pairs, empty map", spec(command.PairValues), "%0 ", ""},
		{"pairs, streamed map", spec(command.PairValues), "%? $3 S:f $3 S:a . ", "%? $3 S:f $3 <a> . "},
		{"scan", spec(command.ScanPairs), "*2 $3 S:0 *4 $3 S:f $3 S:a $1 g $3 S:b ", "*2 $3 S:0 *4 $3 S:f $3 <a> $1 g $3 <b> "},
		{"scan, empty", spec(command.ScanPairs), "*2 $1 0 *0 ", ""},

		{"sort", sort(1, 0b1), "*3 $3 S:a $-1 $3 S:b ", "*3 $3 <a> $-1 $3 <b> "},
		{"sort, with elements", sort(3, 0b010), "*6 $3 S:1 $3 S:a $3 S:1 $3 S:2 $3 S:b $3 S:2 ", "*6 $3 S:1 $3 <a> $3 S:1 $3 S:2 $3 <b> $3 S:2 "},
		{"sort, stored", sort(1, 0b1), ":2 ", ""},

		{"entries", spec(command.StreamEntries), "*2 *2 $3 S:i *4 $3 S:f $3 S:a $1 g $3 S:b *2 $3 2-0 *2 $1 f $3 S:c ",
			"*2 *2 $3 S:i *4 $3 S:f $3 <a> $1 g $3 <b> *2 $3 2-0 *2 $1 f $3 <c> "},
		{"entries, deleted", spec(command.StreamEntries), "*5 *-1 _ *2 $3 1-0 *-1 *2 $3 2-0 _ *2 $3 3-0 *2 $1 f $3 S:c ",
			"*5 *-1 _ *2 $3 1-0 *-1 *2 $3 2-0 _ *2 $3 3-0 *2 $1 f $3 <c> "},
		{"entries, with idle times", spec(command.StreamEntries), "*1 *4 $3 1-0 *2 $1 f $3 S:c :100 :2 ", "*1 *4 $3 1-0 *2 $1 f $3 <c> :100 :2 "},
		{"entries, identifiers alone", spec(command.StreamEntries), "*2 $3 S:a $3 S:b ", ""},
		{"entries per stream", spec(command.EntriesPerStream), "*2 *2 $3 S:k *1 *2 $3 1-0 *2 $1 f $3 S:a *2 $1 l *1 *2 $3 1-0 *2 $1 f $3 S:b ",
			"*2 *2 $3 S:k *1 *2 $3 1-0 *2 $1 f $3 <a> *2 $1 l *1 *2 $3 1-0 *2 $1 f $3 <b> "},
		{"entries per stream, map", spec(command.EntriesPerStream), "%2 $3 S:k *1 *2 $3 1-0 *2 $1 f $3 S:a $1 l *1 *2 $3 1-0 *2 $1 f $3 S:b ",
			"%2 $3 S:k *1 *2 $3 1-0 *2 $1 f $3 <a> $1 l *1 *2 $3 1-0 *2 $1 f $3 <b> "},
		{"entries per stream, null", spec(command.EntriesPerStream), "*-1 ", ""},
		{"entries per stream, odd", spec(command.EntriesPerStream), "*3 *0 *1 $3 S:k $3 S:x ", ""},
		{"claimed", spec(command.ClaimedEntries), "*3 $3 0-0 *1 *2 $3 1-0 *2 $1 f $3 S:a *1 $3 S:x ", "*3 $3 0-0 *1 *2 $3 1-0 *2 $1 f $3 <a> *1 $3 S:x "},
		{"info", spec(command.StreamInfo), "*6 $6 length :1 $11 first-entry *2 $3 1-0 *2 $1 f $3 S:a $10 last-entry *-1 ",
			"*6 $6 length :1 $11 first-entry *2 $3 1-0 *2 $1 f $3 <a> $10 last-entry *-1 "},
		{"full info", spec(command.StreamInfo), "%3 $3 S:x $3 S:y $7 entries *1 *2 $3 1-0 *2 $1 f $3 S:a $6 groups *1 %1 $4 name $3 S:g ",
			"%3 $3 S:x $3 S:y $7 entries *1 *2 $3 1-0 *2 $1 f $3 <a> $6 groups *1 %1 $4 name $3 S:g "},
	} {
		reply := wire(c.reply)
		in := bytes.Clone(reply)
		out, changed, err := OpenValues([]byte("+before\r\n"), in, c.spec, testSealed, testOpen)
		want := "+before\r\n"
		if c.want != "" {
			want += string(wire(c.want))
		}
		if err != nil || changed != (c.want != "") || string(out) != want {
			t.Errorf("%s: %q, %v, %v, want %q", c.name, out, changed, err, want)
		}
		if !bytes.Equal(in, reply) {
			t.Errorf("%s: the reply was changed", c.name)
		}
	}
}

// The length of a value may change by any number of digits.
func TestOpenValuesLengths(t *testing.T) {
	for _, from := range []int{3, 9, 10, 99, 100, 1000} {
		for _, to := range []int{0, 1, 9, 10, 99, 100, 999, 1000, 123456} {
			sealed := sealedForm + strings.Repeat("s", from-2)
			plain := strings.Repeat("p", to)
			open := func(dst, stored []byte, at ValueAt) ([]byte, error) {
				if string(stored) != sealed {
					t.Errorf("asked to open %.20q", stored)
				}
				return append(dst, plain...), nil
			}
			for _, room := range []int{0, 1 << 20} {
				out, _, err := OpenValues(append(make([]byte, 0, room), 'x'), resp.AppendRequest(nil, "a", sealed, "b", sealed),
					spec(command.ElementValues), testSealed, open)
				if want := "x" + string(resp.AppendRequest(nil, "a", plain, "b", plain)); err != nil || string(out) != want {
					t.Errorf("%d to %d: %.80q, %v", from, to, out, err)
				}
			}
		}
	}
}

// What open is told about where the value stands.
func TestOpenValuesAt(t *testing.T) {
	for _, c := range []struct {
		spec  command.ReplySpec
		reply string
		want  string
	}{
		{spec(command.ElementValues), "*4 $3 S:a $1 b $-1 $3 S:c ", "S:a 0 , S:c 3 "},
		{command.ReplySpec{Kind: command.SortValues, Sort: command.SortGets{Count: 2, Values: 2}}, "*4 $1 1 $3 S:a $1 2 $3 S:b ", "S:a 1 , S:b 3 "},
		{spec(command.EntriesPerStream), "*2 *2 $1 k *1 *2 $3 1-0 *2 $1 f $3 S:a *2 $1 l *1 *2 $3 1-0 *2 $1 f $3 S:b ", "S:a 0 k, S:b 0 l"},
		{spec(command.EntriesPerStream), "%1 $1 k *2 *2 $3 1-0 *2 $1 f $3 S:a *2 $3 2-0 *2 $1 f $3 S:b ", "S:a 0 k, S:b 0 k"},
		{spec(command.StreamEntries), "*1 *2 $3 1-0 *2 $1 f $3 S:a ", "S:a 0 "},
	} {
		var got []string
		OpenValues(nil, wire(c.reply), c.spec, testSealed, func(dst, stored []byte, at ValueAt) ([]byte, error) {
			got = append(got, fmt.Sprintf("%s %d %s", stored, at.Index, at.Key))
			return dst, nil
		})
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%q: %q, want %q", c.reply, got, c.want)
		}
	}
}

// After an error nothing of the reply is left in what comes back.
func TestOpenValuesErrors(t *testing.T) {
	for _, c := range []struct {
		kind  command.ReplyKind
		reply string
		want  error
	}{
		{command.WholeReply, "$5 S:bad ", errBad},
		{command.ElementValues, "*3 $3 S:a $5 S:bad $5 S:bad ", errBad},
		{command.PairValues, "%2 $1 f $3 S:a $1 g $5 S:bad ", errBad},
		{command.EntriesPerStream, "%1 $1 k *1 *2 $3 1-0 *2 $1 f $5 S:bad ", errBad},
		{command.ElementValues, "*3 $3 S:a ", resp.ErrReplyEnd},
		{command.ElementValues, "*1 $3 S:a $3 S:a ", resp.ErrReplyEnd},
		{command.ElementValues, "*1 $3 S:ax ", resp.ErrReplyBulk},
		{command.ElementValues, "*1 ?", resp.ErrReplyType},
		{command.ElementValues, "*", resp.ErrReplyEnd},
		{command.ElementValues, "*x ", resp.ErrReplyHeader},
		{command.ElementValues, "*1 . ", resp.ErrReplyStream},
		{command.ElementValues, "*? .", resp.ErrReplyEnd},
		{command.ElementValues, "*1 |", resp.ErrReplyEnd},
		{command.WholeReply, "|", resp.ErrReplyEnd},
		{command.StreamInfo, "*1 $1 a ", nil},
		{command.StreamInfo, "*3 $1 a $1 b $1 c ", nil},
		{command.WholeReply, "", nil},
	} {
		out, changed, err := OpenValues([]byte("before"), wire(c.reply), spec(c.kind), testSealed, testOpen)
		if string(out) != "before" || changed || err != c.want {
			t.Errorf("%d %q: %q, %v, %v, want %v", c.kind, c.reply, out, changed, err, c.want)
		}
	}
}

// Nesting that no command's reply has is passed over without recursion.
func TestOpenValuesDeep(t *testing.T) {
	const depth = 100_000
	reply := []byte("*2\r\n" + strings.Repeat("*1\r\n", depth) + ":1\r\n$3\r\nS:a\r\n")
	for kind := command.WholeReply; kind <= command.StreamInfo; kind++ {
		out, changed, err := OpenValues(nil, reply, spec(kind), testSealed, testOpen)
		if err != nil || changed != (kind == command.ElementValues) || changed && !bytes.HasSuffix(out, []byte(":1\r\n$3\r\n<a>\r\n")) {
			t.Errorf("%d: %d bytes, %v, %v", kind, len(out), changed, err)
		}
	}
}

// As long as nothing is sealed nothing is allocated.
func TestOpenValuesAllocates(t *testing.T) {
	for _, c := range benchReplies() {
		if n := testing.AllocsPerRun(100, func() {
			if _, changed, err := OpenValues(nil, c.reply, c.spec, testSealed, testOpen); changed || err != nil {
				t.Fatal(c.name, changed, err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

type benchReply struct {
	name  string
	spec  command.ReplySpec
	reply []byte
}

// benchReplies are replies without sealed values.
func benchReplies() []benchReply {
	var words, pairs []string
	for i := range 100 {
		words = append(words, fmt.Sprintf("value:%06d", i))
	}
	for i := range 50 {
		pairs = append(pairs, fmt.Sprintf("field:%06d", i), fmt.Sprintf("value:%06d", i))
	}
	array, flat := resp.AppendRequest(nil, words...), resp.AppendRequest(nil, pairs...)
	entry := "*1\r\n*2\r\n$3\r\n1-0\r\n" + string(flat)
	return []benchReply{
		{"bulk5", spec(command.WholeReply), []byte("$5\r\nhello\r\n")},
		{"bulk1024", spec(command.WholeReply), resp.AppendBulkString(nil, strings.Repeat("x", 1024))},
		{"null", spec(command.WholeReply), []byte("$-1\r\n")},
		{"elements100", spec(command.ElementValues), array},
		{"pairs50", spec(command.PairValues), flat},
		{"map50", spec(command.PairValues), append([]byte("%50"), flat[4:]...)},
		{"scan50", spec(command.ScanPairs), append([]byte("*2\r\n$1\r\n0\r\n"), flat...)},
		{"entries", spec(command.StreamEntries), []byte(entry)},
		{"streams", spec(command.EntriesPerStream), []byte("%1\r\n$1\r\nk\r\n" + entry)},
		{"info", spec(command.StreamInfo), []byte("%1\r\n$7\r\nentries\r\n" + entry)},
	}
}

func BenchmarkOpenValues(b *testing.B) {
	for _, c := range benchReplies() {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				OpenValues(nil, c.reply, c.spec, testSealed, testOpen)
			}
		})
	}
	b.Run("sealed1024", func(b *testing.B) {
		reply := resp.AppendBulkString(nil, sealedForm+strings.Repeat("x", 1022))
		open := func(dst, stored []byte, at ValueAt) ([]byte, error) { return append(dst, stored...), nil }
		var dst []byte
		b.ReportAllocs()
		for b.Loop() {
			dst, _, _ = OpenValues(dst[:0], reply, spec(command.WholeReply), testSealed, open)
		}
	})
}

func BenchmarkAppendSealed(b *testing.B) {
	value := bytes.Repeat([]byte("v"), 1024)
	r, _, _ := scan(resp.AppendRequest(nil, "SET", "user:1000", string(value), "EX", "10"))
	prefixed, values, prefix := []int32{1}, []int32{2}, []byte("t:acme:0:")
	var dst []byte
	for _, n := range []int{-1, 1024, 500, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				dst = r.AppendSealed(dst[:0], prefixed, prefix, values, func(dst []byte, i int32) ([]byte, bool) {
					if n < 0 {
						return dst, false
					}
					return append(dst, value[:n]...), true
				})
			}
		})
	}
}
