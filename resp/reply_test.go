package resp

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// ending is all that a caller sees of a reply.
type ending struct {
	n    int
	done bool
	err  error
	kind byte
	attr bool
}

func feedWhole(buf []byte) ending {
	var s ReplyScanner
	n, done, err := s.Feed(buf[:len(buf):len(buf)])
	return ending{n, done, err, s.Kind(), s.Attributes()}
}

// feedPieces feeds the same bytes as they come in pieces, keeping what is not consumed. piece says how long the next is.
func feedPieces(t testing.TB, buf []byte, piece func() int) ending {
	var s ReplyScanner
	for from, to := 0, 0; ; {
		need := s.Need()
		n, done, err := s.Feed(slices.Clone(buf[from:to:to]))
		if err == nil && n < min(need, to-from) {
			t.Fatalf("%q: needing %d of %d bytes it took %d", clip(buf), need, to-from, n)
		}
		from += n
		if done || err != nil || to == len(buf) {
			return ending{from, done, err, s.Kind(), s.Attributes()}
		}
		if to-from >= maxHeader {
			t.Fatalf("%q: %d bytes were left", clip(buf), to-from)
		}
		to = min(len(buf), to+piece())
	}
}

// checkReplySplits checks that buf gives the same outcome whole, in two pieces split anywhere, and byte by byte. How
// much was consumed before an error does not matter.
func checkReplySplits(t *testing.T, buf []byte) ending {
	t.Helper()
	want := feedWhole(buf)
	check := func(how string, got ending) {
		t.Helper()
		if got.err != nil {
			got.n, got.kind, got.attr = want.n, want.kind, want.attr
		}
		if got != want {
			t.Errorf("%q: %s %+v, whole %+v", clip(buf), how, got, want)
		}
	}
	check("byte by byte", feedPieces(t, buf, func() int { return 1 }))
	for at := 1; at < len(buf); at++ {
		sizes := []int{at, len(buf)}
		check(fmt.Sprint("split at ", at), feedPieces(t, buf, func() int { n := sizes[0]; sizes = sizes[1:]; return n }))
	}
	return want
}

// goodReplies are complete replies.
var goodReplies = []string{
	"+OK\r\n", "+\r\n", "+QUEUED\r\n", "+a\rb\nc\r\n", "+\r\r\n", "+O\r\r\n", "+\n\r\n",
	"-ERR x\r\n", "-\r\n",
	":0\r\n", ":1\r\n", ":-1\r\n", ":12\r\n", ":+5\r\n", ":007\r\n", ":9223372036854775807\r\n", ":-9223372036854775808\r\n",
	"$0\r\n\r\n", "$5\r\nhello\r\n", "$2\r\n\r\n\r\n", "$12\r\n0123\r\n678901\r\n", "$-1\r\n",
	"*-1\r\n", "*0\r\n", "*1\r\n:1\r\n", "*2\r\n$3\r\nfoo\r\n$-1\r\n", "*3\r\n*2\r\n+a\r\n*0\r\n_\r\n*1\r\n$1\r\nx\r\n",
	"_\r\n", "#t\r\n", "#f\r\n",
	",1.5\r\n", ",inf\r\n", ",-inf\r\n", ",nan\r\n", "(3492890328409238509324850943850943825024385\r\n",
	"!21\r\nSYNTAX invalid syntax\r\n", "=15\r\ntxt:Some string\r\n", "=4\r\ntxt:\r\n",
	"%0\r\n", "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n", "~2\r\n+a\r\n#t\r\n", "~0\r\n",
	">0\r\n", ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n",
	"|1\r\n+ttl\r\n:3600\r\n*2\r\n:1\r\n:2\r\n", "|0\r\n+OK\r\n", "|1\r\n+a\r\n*2\r\n+b\r\n+c\r\n|1\r\n+d\r\n|1\r\n+e\r\n+f\r\n+g\r\n:1\r\n",
	"|1\r\n+a\r\n+b\r\n>1\r\n+c\r\n", "*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n",
	"$?\r\n;4\r\nHell\r\n;6\r\no worl\r\n;1\r\nd\r\n;0\r\n", "$?\r\n;0\r\n", "*2\r\n$?\r\n;1\r\na\r\n;0\r\n:1\r\n",
	"*?\r\n:1\r\n:2\r\n.\r\n", "*?\r\n.\r\n", "~?\r\n+a\r\n.\r\n", "%?\r\n+a\r\n:1\r\n+b\r\n:2\r\n.\r\n", "%?\r\n.\r\n",
	"*?\r\n*2\r\n:1\r\n*?\r\n:2\r\n.\r\n%?\r\n+a\r\n%1\r\n+b\r\n+c\r\n.\r\n.\r\n",
	"|1\r\n+a\r\n*?\r\n+b\r\n.\r\n+OK\r\n", "*?\r\n|1\r\n+a\r\n+b\r\n:1\r\n.\r\n",
	// Redis 7.0 writes a push into the reply of EXEC.
	"*2\r\n>3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nx\r\n:1\r\n+PONG\r\n",
	"*?\r\n>1\r\n+a\r\n%?\r\n>1\r\n+b\r\n+k\r\n>0\r\n+v\r\n.\r\n.\r\n",
	"*1\r\n|1\r\n+a\r\n+b\r\n>1\r\n+c\r\n:1\r\n", "*?\r\n>1\r\n+a\r\n.\r\n",
}

// badReplies are no replies, nor beginnings of any.
var badReplies = []struct {
	in  string
	err error
}{
	{"x", ErrReplyType}, {"\r\n", ErrReplyType}, {"*1\r\nx", ErrReplyType}, {"\x00", ErrReplyType},
	{"$5\r\nhelloXX", ErrReplyBulk}, {"$5\r\nhello\rX", ErrReplyBulk}, {"$5\r\nhelloX\n", ErrReplyBulk}, {"!0\r\nab", ErrReplyBulk},
	{"$-2\r\n", ErrReplyLength}, {"$05\r\n", ErrReplyHeader}, {"$+5\r\n", ErrReplyHeader}, {"$-0\r\n", ErrReplyHeader},
	{"$\r\n", ErrReplyHeader}, {"$5\n", nil}, {"$5\rx", ErrReplyHeader}, {"$99999999999999\r\n", ErrReplyLength},
	{"$99999999999999999999\r\n", ErrReplyHeader}, {"$" + strings.Repeat("1", 40), ErrReplyHeader},
	{"*-2\r\n", ErrReplyLength}, {"*1099511627777\r\n", ErrReplyLength}, {"*x\r\n", ErrReplyHeader},
	{"%-1\r\n", ErrReplyLength}, {"~-1\r\n", ErrReplyLength}, {">-1\r\n", ErrReplyLength}, {"|-1\r\n", ErrReplyLength},
	{">?\r\n", ErrReplyHeader}, {"|?\r\n", ErrReplyHeader}, {"=?\r\n", ErrReplyHeader}, {"!-1\r\n", ErrReplyLength},
	{"=3\r\n", ErrReplyLength}, {"=03\r\n", ErrReplyHeader},
	{"_x\r\n", ErrReplyHeader}, {"_1\r\n", ErrReplyHeader}, {"#x\r\n", ErrReplyHeader}, {"#\r\n", ErrReplyHeader}, {"#1\r\n", ErrReplyHeader},
	{":\r\n", ErrReplyHeader}, {":-\r\n", ErrReplyHeader}, {":1x\r\n", ErrReplyHeader}, {":--1\r\n", ErrReplyHeader}, {":1\rx", ErrReplyHeader},
	{":" + strings.Repeat("1", 21) + "\r\n", ErrReplyHeader},
	{".\r\n", ErrReplyStream}, {";0\r\n", ErrReplyStream}, {"*1\r\n.\r\n", ErrReplyStream}, {"*?\r\n;1\r\n", ErrReplyStream},
	{"*?\r\n*1\r\n.\r\n", ErrReplyStream}, {"%?\r\n+a\r\n.\r\n", ErrReplyStream}, {"*?\r\n|0\r\n.\r\n", ErrReplyStream},
	{"$?\r\n$1\r\n", ErrReplyStream}, {"$?\r\n;-1\r\n", ErrReplyLength}, {"$?\r\n;?\r\n", ErrReplyHeader}, {"$?\r\n;1\r\naXX", ErrReplyBulk},
	{".1\r\n", ErrReplyHeader},
	{strings.Repeat("*?\r\n", maxStreams+1), ErrReplyDepth},
	{strings.Repeat("*1099511627776\r\n", 1<<20+1), ErrReplyLength},
}

func TestFeed(t *testing.T) {
	for _, in := range goodReplies {
		for _, tail := range []string{"", "+", "x", "\r\n"} {
			got := checkReplySplits(t, []byte(in+tail))
			if !got.done || got.err != nil || got.n != len(in) {
				t.Errorf("%q: %+v", in+tail, got)
			}
		}
		for at := range len(in) {
			if got := feedWhole([]byte(in[:at])); got.done || got.err != nil || at-got.n >= maxHeader {
				t.Errorf("%q: %+v", in[:at], got)
			}
		}
	}
}

func TestFeedErrors(t *testing.T) {
	for _, c := range badReplies {
		in := []byte(c.in)
		var got ending
		if len(in) < 1000 {
			got = checkReplySplits(t, in)
		} else {
			got = feedWhole(in)
		}
		if got.err != c.err || got.done {
			t.Errorf("%q: %+v, not %v", clip(in), got, c.err)
		}
	}
	var s ReplyScanner
	for range 2 {
		if _, _, err := s.Feed([]byte("$1\r\naXX+OK\r\n")); err != ErrReplyBulk {
			t.Errorf("an error does not last: %v", err)
		}
	}
	s.Reset()
	if n, done, err := s.Feed([]byte("+OK\r\n")); n != 5 || !done || err != nil {
		t.Errorf("after Reset: %d %v %v", n, done, err)
	}
}

func TestKindAndAttributes(t *testing.T) {
	for _, c := range []struct {
		in         string
		kind       byte
		push, attr bool
	}{
		{"+OK\r\n", '+', false, false},
		{"|1\r\n+a\r\n>1\r\n+x\r\n+b\r\n*1\r\n:1\r\n", '*', false, true},
		{">1\r\n+a\r\n", '>', true, false},
		{"|1\r\n+a\r\n+b\r\n>1\r\n+c\r\n", '>', true, true},
		{"*1\r\n>1\r\n+a\r\n:1\r\n", '*', false, false},
		{"*1\r\n|1\r\n+a\r\n+b\r\n:1\r\n", '*', false, false},
		{"|1\r\n+a\r\n*?\r\n+b\r\n.\r\n-ERR x\r\n", '-', false, true},
		{"|1\r\n+a\r\n+b\r\n*1\r\n|1\r\n+c\r\n+d\r\n:1\r\n", '*', false, true},
		{"$?\r\n;0\r\n", '$', false, false},
		{",1\r\n", ',', false, false},
	} {
		var s ReplyScanner
		for range 2 {
			n, done, err := s.Feed([]byte(c.in))
			if n != len(c.in) || !done || err != nil || s.Kind() != c.kind || s.Push() != c.push || s.Attributes() != c.attr {
				t.Errorf("%q: %d %v %v, kind %q, push %v, attributes %v", c.in, n, done, err, s.Kind(), s.Push(), s.Attributes())
			}
		}
	}
}

// A connection has one scanner for all its replies, and a buffer may hold many.
func TestFeedManyReplies(t *testing.T) {
	var all []byte
	var ends []int
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		all = append(all, goodReplies[rnd.IntN(len(goodReplies))]...)
		ends = append(ends, len(all))
	}
	for _, most := range []int{1, 3, 30, 3000} {
		var s ReplyScanner
		var got []int
		for from, to := 0, 0; from < len(all); {
			n, done, err := s.Feed(all[from:to:to])
			if err != nil {
				t.Fatal(err)
			}
			from += n
			if done {
				got = append(got, from)
			} else {
				to = min(len(all), to+1+rnd.IntN(most))
			}
		}
		if !slices.Equal(got, ends) {
			t.Errorf("pieces of up to %d bytes: other ends were found", most)
		}
	}
}

func TestNeed(t *testing.T) {
	var s ReplyScanner
	for _, c := range []struct {
		in   string
		n    int
		need int
	}{
		{"", 0, 0}, {"*2\r\n$1000", 4, 0}, {"$1000\r\nabc", 10, 999}, {"d", 1, 998}, {strings.Repeat("x", 996) + "\r", 997, 1}, {"\n", 1, 0}, {"+tex", 4, 0}, {"t\r", 2, 0},
	} {
		n, done, err := s.Feed([]byte(c.in))
		if n != c.n || done || err != nil || s.Need() != c.need {
			t.Errorf("%q: %d %v %v, need %d", clip([]byte(c.in)), n, done, err, s.Need())
		}
	}
}

// Nothing that a reply announces or how deeply it is nested costs memory.
func TestFeedAllocatesNothing(t *testing.T) {
	deep := []byte(strings.Repeat("*1\r\n%1\r\n+a\r\n|1\r\n+k\r\n", 10000))
	var s ReplyScanner
	if n := testing.AllocsPerRun(10, func() {
		s.Reset()
		for i := 0; i < len(deep); i += 100 {
			if _, done, err := s.Feed(deep[i : i+100]); done || err != nil {
				t.Fatal(done, err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSimple(t *testing.T) {
	for _, in := range goodReplies {
		n := Simple([]byte(in))
		if n != 0 && n != len(in) {
			t.Errorf("%q: %d", in, n)
		}
		small := strings.Contains("+-:,(_", in[:1]) || in[0] == '$' && in[1] != '?'
		if odd := in[:2] == ":+" || in[:2] == ":0" || len(in) > 12 && in[0] == ':'; n == 0 && small && !odd && in[:2] != "+\r" && !strings.Contains(in[1:len(in)-2], "\r") {
			t.Errorf("%q is not taken", in)
		}
		for at := range in {
			if n := Simple([]byte(in[:at])); n != 0 {
				t.Errorf("%q: %d", in[:at], n)
			}
		}
	}
	for _, c := range badReplies {
		if n := Simple([]byte(c.in)); n != 0 {
			t.Errorf("%q: %d", clip([]byte(c.in)), n)
		}
	}
}
