package resp

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tidwall/redcon"
)

// pieces returns random sizes for the pieces in which bytes come, mostly small, the same for the same seed.
func pieces(seed uint64) func() int {
	rnd := rand.New(rand.NewPCG(seed, 1))
	return func() int {
		if rnd.IntN(4) == 0 {
			return 1 + rnd.IntN(100)
		}
		return 1 + rnd.IntN(4)
	}
}

// FuzzRequest checks that a request gives the same outcome in pieces as whole, that its canonical form holds the same
// arguments, and that redcon, which must not be given anything else, finds the same in a request that was accepted.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"*1\r\n$4\r\nPING\r\n", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\n0123456789ab\r\n", "*0\r\n", "*-1\r\n", "\r\n", "*2\r\n$0\r\n\r\n$1\r\n\n\r\n",
		"SET k 'a b'\r\n", "ECHO \"\\x41\\n\"\n", "a\"b\r\n", "*1\r\n$1\r\naXX", "*11\r\n", "*1\r\n$20000\r\n", "*1\r\nX\r\n", "*9999999999999999999\r\n",
		"*1\r\n$-1\r\n", "*2\r\n$100\r\n", "*1\rX",
	} {
		for lim := range byte(3) {
			f.Add([]byte(s), uint64(1), lim)
		}
	}
	limits := []Limits{DefaultLimits(), UnauthenticatedLimits(), {Args: 2, Bulk: 5, Request: 30}}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64, limit byte) {
		lim := &limits[int(limit)%len(limits)]
		whole := scanWhole(in, lim)
		if got := scanPieces(t, in, lim, pieces(seed)); !same(got, whole) {
			t.Fatalf("%q: in pieces %+v, whole %+v", in, got, whole)
		}
		if whole.n == 0 {
			return
		}
		if whole.n > lim.Request || len(whole.args) > lim.Args && !lim.Unauthenticated {
			t.Fatalf("%q: %+v is beyond %+v", in, whole, lim)
		}
		if in[0] == '*' && whole.form != string(in[:whole.n]) {
			t.Fatalf("%q: its form is %q", in, whole.form)
		}
		if len(whole.args) == 0 {
			return
		}
		if form := string(AppendRequest(nil, whole.args...)); whole.form != form {
			t.Fatalf("%q: its form is %q, not %q", in, whole.form, form)
		}
		wide := DefaultLimits()
		if again := scanWhole([]byte(whole.form), &wide); !slices.Equal(again.args, whole.args) {
			t.Fatalf("%q: of %q scans as %+v", in, whole.form, again)
		}
		ok, args, _, rest, err := redcon.ReadNextCommand([]byte(whole.form), nil)
		if !ok || err != nil || len(rest) > 0 || !slices.EqualFunc(args, whole.args, func(a []byte, b string) bool { return string(a) == b }) {
			t.Fatalf("%q: redcon reads %q, %v", whole.form, args, err)
		}
	})
}

// FuzzReply checks that a reply gives the same outcome in pieces as whole, that Rewrite and Filter take what the scanner
// takes, and that they give back what they are told not to change.
func FuzzReply(f *testing.F) {
	for _, s := range goodReplies {
		f.Add([]byte(s), uint64(1))
	}
	for _, c := range badReplies {
		if len(c.in) < 1000 {
			f.Add([]byte(c.in), uint64(1))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		whole := feedWhole(in)
		got := feedPieces(t, in, pieces(seed))
		if got.err != nil && got.err == whole.err {
			got = whole
		}
		if got != whole {
			t.Fatalf("%q: in pieces %+v, whole %+v", in, got, whole)
		}
		if n := Simple(in); n > 0 && (!whole.done || n != whole.n) {
			t.Fatalf("%q: Simple takes %d, Feed %+v", in, n, whole)
		}
		if first := First(in); first != nil && whole.err == nil && !bytes.Contains(in, first) {
			t.Fatalf("%q: begins with %q", in, first)
		}
		if whole.done {
			in = in[:whole.n]
		}
		same, err := Rewrite(nil, in, unchanged)
		if err != ErrReplyDepth && (err == nil) != whole.done || err == nil && !bytes.Equal(same, in) {
			t.Fatalf("%q: %+v, but Rewrite gives %q, %v", in, whole, same, err)
		}
		if err == nil {
			checkReplaced(t, in)
		}
		all, err := Filter(nil, in, everything)
		if (err == nil) != whole.done || err == nil && !bytes.Equal(all, in) {
			t.Fatalf("%q: %+v, but Filter gives %q, %v", in, whole, all, err)
		}
		if err != nil {
			return
		}
		some, err := Filter(nil, in, func(i int, _ []byte) bool { return i%2 == 0 })
		if end := feedWhole(some); err != nil || !end.done || end.n != len(some) || end.kind != whole.kind {
			t.Fatalf("%q: half of it is %q, %v", in, some, err)
		}
	})
}

// checkReplaced replaces every leaf of a reply by itself, which gives the same reply but for streamed strings, which
// become ordinary ones, and for CR and LF in lines.
func checkReplaced(t *testing.T, in []byte) {
	odd := bytes.Contains(in, []byte("$?"))
	out, err := Rewrite(nil, in, func(_ []int, kind byte, data []byte) ([]byte, bool) {
		odd = odd || !isBulk(kind) && bytes.ContainsAny(data, "\r\n")
		return data, true
	})
	if err != nil || !odd && !bytes.Equal(out, in) {
		t.Fatalf("%q: replaced by itself it is %q, %v", in, out, err)
	}
	if end := feedWhole(out); !end.done || end.n != len(out) {
		t.Fatalf("%q: replaced by itself it is %q, which scans as %+v", in, out, end)
	}
}

// nested are replies with pushes in the middle, and what looks like that.
var nested = []string{
	"*2\r\n>1\r\n+x\r\n:1\r\n>2\r\n+x\r\n*1\r\n:2\r\n+b\r\n", "%1\r\n+k\r\n>1\r\n+x\r\n~1\r\n>0\r\n:1\r\n", "*1\r\n$6\r\n\r\n>1\r\n\r\n",
	"*?\r\n>1\r\n+x\r\n:1\r\n.\r\n", "*1\r\n|1\r\n+a\r\n+b\r\n>1\r\n+x\r\n:1\r\n", "*1\r\n>1\r\n>1\r\n+x\r\n+y\r\n:1\r\n", ">1\r\n>1\r\n+x\r\n+y\r\n",
}

// FuzzUnnest checks that what is left of a reply is a reply of the same type
// without pushes in the middle, that nothing is lost, and that what was taken out
// are pushes.
func FuzzUnnest(f *testing.F) {
	for _, s := range slices.Concat(nested, goodReplies) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole := feedWhole(in)
		if !whole.done {
			if out, _, _, err := Unnest([]byte("x"), in); err != nil && string(out) != "x" {
				t.Fatalf("%q: %q, %v", in, out, err)
			}
			return
		}
		in = in[:whole.n]
		out, pushes, found, err := Unnest([]byte("x"), in)
		if err != nil && err != ErrReplyDepth {
			t.Fatalf("%q: %v", in, err)
		}
		if !found {
			if string(out) != "x" || len(pushes) > 0 {
				t.Fatalf("%q: nothing found, and %q, %q", in, out, pushes)
			}
			return
		}
		out = out[1:]
		size := len(out)
		for _, p := range pushes {
			size += len(p)
			if end := feedWhole(p); !end.done || end.n != len(p) || end.kind != '>' {
				t.Fatalf("%q: %q is no push", in, p)
			}
		}
		if end := feedWhole(out); !end.done || end.n != len(out) || end.kind != whole.kind || size != len(in) {
			t.Fatalf("%q: without pushes %q, which scans as %+v; pushes %q", in, out, end, pushes)
		}
		if again, more, found, err := Unnest(nil, out); found || err != nil {
			t.Fatalf("%q: without pushes %q, and again %q, %q, %v", in, out, again, more, err)
		}
	})
}

// FuzzFields checks that the elements of a reply are whole values which follow
// each other, and are as many as it says.
func FuzzFields(f *testing.F) {
	for _, s := range slices.Concat(nested, goodReplies) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		fields, ok := Fields(nil, in)
		n, body, isArray := ArrayElements(in)
		if !ok {
			return
		}
		if isArray != (in[0] == '*') || isArray && n != len(fields) {
			t.Fatalf("%q: %d elements, or %d, %v", in, len(fields), n, isArray)
		}
		all := bytes.Join(fields, nil)
		for _, e := range fields {
			if size, err := ValueSize(e); err != nil || size != len(e) {
				t.Fatalf("%q: element %q, of which the value is %d, %v", in, e, size, err)
			}
		}
		if isArray && !bytes.HasPrefix(body, all) {
			t.Fatalf("%q: elements %q of %q", in, fields, body)
		}
		// Where there are no pushes between them, they are all there is.
		if bytes.Contains(in, []byte("\n>")) {
			return
		}
		if whole := feedWhole(in); whole.kind == in[0] && (!whole.done || whole.n != len(in)-len(bytes.TrimPrefix(in[bytes.IndexByte(in, '\n')+1:], all))) {
			t.Fatalf("%q: elements %q, but %+v", in, fields, whole)
		}
	})
}
