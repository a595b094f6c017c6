package resp

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// outcome is all that a caller sees of a request.
type outcome struct {
	n    int
	args []string
	form string // Bytes
	err  string
}

func (r *Request) outcome(buf []byte, n int, err error) outcome {
	o := outcome{n: n}
	if err != nil {
		return outcome{err: err.Error()}
	}
	if n == 0 {
		return o
	}
	b := r.Bytes(buf)
	o.form = string(b)
	at := uint32(0)
	if len(r.Args) > 0 {
		at = r.Args[0].Head
	}
	for _, a := range r.Args {
		if a.Head != at || string(b[a.Head:a.Beg]) != fmt.Sprintf("$%d\r\n", a.End-a.Beg) || string(b[a.End:a.End+2]) != "\r\n" {
			panic(fmt.Sprintf("%+v does not locate an argument of %q", a, b))
		}
		o.args = append(o.args, string(b[a.Beg:a.End]))
		at = a.End + 2
	}
	return o
}

// scanWhole scans what buf begins with.
func scanWhole(buf []byte, lim *Limits) outcome {
	var r Request
	n, err := r.Scan(buf[:len(buf):len(buf)], lim)
	return r.outcome(buf, n, err)
}

// scanPieces scans the same bytes as they come in pieces, each time in a new buffer. piece says how long the next is.
func scanPieces(t testing.TB, buf []byte, lim *Limits, piece func() int) outcome {
	var r Request
	for have := 0; ; {
		moved := slices.Clone(buf[:have:have])
		n, err := r.Scan(moved, lim)
		if n > 0 || err != nil {
			return r.outcome(moved, n, err)
		}
		if want := r.Want(); want <= have {
			t.Fatalf("with %d bytes of %q Want is %d", have, clip(buf), want)
		}
		if have == len(buf) {
			return outcome{}
		}
		have = min(len(buf), have+piece())
	}
}

func same(a, b outcome) bool {
	return a.n == b.n && a.err == b.err && a.form == b.form && slices.Equal(a.args, b.args)
}

func clip(b []byte) []byte { return b[:min(len(b), 200)] }

// checkSplits checks that buf gives the same outcome whole, in two pieces split anywhere, and byte by byte. Of a long buf
// only some splits are tried, but the last one always.
func checkSplits(t *testing.T, buf []byte, lim *Limits) outcome {
	t.Helper()
	want := scanWhole(buf, lim)
	step := max(1, len(buf)/100)
	if got := scanPieces(t, buf, lim, func() int { return step }); !same(got, want) {
		t.Errorf("%q: byte by byte %+v, whole %+v", clip(buf), got, want)
	}
	for at := len(buf) - 1; at > 0; at -= step {
		sizes := []int{at, len(buf)}
		got := scanPieces(t, buf, lim, func() int { n := sizes[0]; sizes = sizes[1:]; return n })
		if !same(got, want) {
			t.Errorf("%q: split at %d %+v, whole %+v", clip(buf), at, got, want)
		}
	}
	return want
}

func TestScan(t *testing.T) {
	lim := DefaultLimits()
	for _, c := range []struct {
		in   string
		n    int
		args []string
	}{
		{"", 0, nil},
		{"*1\r\n$4\r\nPING\r\n", 14, []string{"PING"}},
		{"*1\r\n$4\r\nPING\r\n*1\r\n", 14, []string{"PING"}},
		{"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", 19, []string{"GET", ""}},
		{"*2\r\n$3\r\nGET\r\n$12\r\n0123\r\n678901\r\n", 32, []string{"GET", "0123\r\n678901"}},
		{"*10\r\n" + strings.Repeat("$1\r\na\r\n", 10), 75, strings.Split("aaaaaaaaaa", "")},
		{"*1\r\n$100\r\n" + strings.Repeat("x", 100) + "\r\n", 112, []string{strings.Repeat("x", 100)}},
		{"*1\r\n$4\r\nPING\r", 0, nil},
		{"*0\r\nPING\r\n", 4, nil},
		{"*-1\r\nPING\r\n", 5, nil},
		{"*-9223372036854775808\r\n", 23, nil},
		{"\r\nPING\r\n", 2, nil},
		{"\n", 1, nil},
		{" \t \r\n", 5, nil},
		{"PING\r\nPING\r\n", 6, []string{"PING"}},
		{"PING\n", 5, []string{"PING"}},
		{"$4\r\n", 4, []string{"$4"}},
	} {
		got := checkSplits(t, []byte(c.in), &lim)
		if got.n != c.n || got.err != "" || !slices.Equal(got.args, c.args) {
			t.Errorf("%q: %+v", clip([]byte(c.in)), got)
		}
	}
}

func TestInlineWords(t *testing.T) {
	lim := DefaultLimits()
	for _, c := range []struct {
		in   string
		args []string
	}{
		{` SET  key	value `, []string{"SET", "key", "value"}},
		{`a "b c" d`, []string{"a", "b c", "d"}},
		{`"" ''`, []string{"", ""}},
		{`"\n\r\t\b\a\\\"\q"`, []string{"\n\r\t\b\a\\\"q"}},
		{`"\x41\xfF\x4g\x"`, []string{"A\xffx4gx"}},
		{`'\n\'\x41'`, []string{`\n'\x41`}},
		{`a"b c"`, []string{"ab c"}},
		{`a'b c' d`, []string{"ab c", "d"}},
		{`\n`, []string{`\n`}},
		{"a\rb", []string{"a", "b"}},
		{"a\r\r", []string{"a"}},
		{"\v\fa\vb", []string{"a\vb"}},
		{"\"a\"\vb", []string{"a", "b"}},
		{"a\x00b", []string{"a\x00b"}},
		{"\x80\xff", []string{"\x80\xff"}},
	} {
		for _, end := range []string{"\n", "\r\n"} {
			in := []byte(c.in + end)
			got := checkSplits(t, in, &lim)
			if got.n != len(in) || !slices.Equal(got.args, c.args) {
				t.Errorf("%q: %+v", in, got)
			}
			if want := string(AppendRequest(nil, c.args...)); got.form != want {
				t.Errorf("%q: the canonical form is %q", in, got.form)
			}
		}
	}
	for _, in := range []string{`"a`, `'a`, `"a"b`, `'a'"b"`, `a"`, `"a\`, `"a\"`, `'a\'`} {
		if got := checkSplits(t, []byte(in+"\r\n"), &lim); got.err != ErrInlineQuotes.Error() {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

func TestScanErrors(t *testing.T) {
	small := Limits{Args: 3, Bulk: 10, Request: 50}
	lim := DefaultLimits()
	open := UnauthenticatedLimits()
	digits := strings.Repeat("1", maxLine)
	for _, c := range []struct {
		in  string
		lim *Limits
		err error
	}{
		{"*+1\r\n", &lim, ErrMultibulkLength},
		{"*01\r\n", &lim, ErrMultibulkLength},
		{"*-0\r\n", &lim, ErrMultibulkLength},
		{"*\r\n", &lim, ErrMultibulkLength},
		{"*1048577\r\n", &lim, ErrMultibulkLength},
		{"*9223372036854775808\r\n", &lim, ErrMultibulkLength},
		{"*1\rx", &lim, ErrMultibulkLength},
		{"*1\n$1\n\r\n", &lim, ErrMultibulkLength},
		{"*4\r\n", &small, ErrMultibulkLength},
		{"*11\r\n", &open, ErrMultibulkUnauthenticated},
		{"*2147483648\r\n", &open, ErrMultibulkLength},
		{"*" + digits, &lim, ErrMultibulkCount},
		{"*" + digits + "\r\n", &lim, ErrMultibulkCount},
		{"*" + digits[1:] + "\r\n", &lim, ErrMultibulkLength},
		{"*1\r\nX\r\n", &lim, expectedBulk('X')},
		{"*1\r\n\r\n", &lim, expectedBulk('\r')},
		{"*1\r\nX\rx", &lim, expectedBulk('X')},
		{"*1\r\n$\r\n", &lim, ErrBulkLength},
		{"*1\r\n$-1\r\n", &lim, ErrBulkLength},
		{"*1\r\n$03\r\n", &lim, ErrBulkLength},
		{"*1\r\n$1\rx", &lim, ErrBulkLength},
		{"*1\r\n$536870913\r\n", &lim, ErrBulkLength},
		{"*1\r\n$99999999999\r\n", &lim, ErrBulkLength},
		{"*1\r\n$11\r\n", &small, ErrBulkLength},
		{"*1\r\n$16385\r\n", &open, ErrBulkUnauthenticated},
		{"*1\r\n$536870913\r\n", &open, ErrBulkLength},
		{"*1\r\n$" + digits, &lim, ErrBulkCount},
		{"*1\r\nX" + digits, &lim, ErrBulkCount},
		{"*1\r\n$" + digits[1:] + "\r\n", &lim, ErrBulkLength},
		{"*1\r\n$4\r\nPINGXX", &lim, ErrBulkEnd},
		{"*1\r\n$4\r\nPING\rX", &lim, ErrBulkEnd},
		{"*1\r\n$4\r\nPINGX\n", &lim, ErrBulkEnd},
		{"*3\r\n$10\r\n0123456789\r\n$10\r\n0123456789\r\n$10\r\n0123456789\r\n", &small, ErrRequestSize},
		{"*3\r\n$10\r\n0123456789\r\n$10\r\n0123456789\r\n$7\r\n0123456\r\n", &small, ErrRequestSize},
		{"*1\r\n$11\r\n01234567890\r\n", &small, ErrBulkLength},
		{strings.Repeat("P", maxLine+1), &lim, ErrInlineSize},
		{strings.Repeat("P", maxLine+1) + "\n", &lim, ErrInlineSize},
		{strings.Repeat("P", 50) + "\n", &small, ErrRequestSize},
		{strings.Repeat("P", 11) + "\n", &small, ErrBulkLength},
		{"a b c d\n", &small, ErrMultibulkLength},
	} {
		got := checkSplits(t, []byte(c.in), c.lim)
		if got.err != c.err.Error() {
			t.Errorf("%q: %+v, not %q", clip([]byte(c.in)), got, c.err)
		}
		if strings.ContainsAny(got.err, "\r\n") {
			t.Errorf("%q: %q would break the reply", clip([]byte(c.in)), got.err)
		}
	}
	var target ProtocolError
	if _, err := new(Request).Scan([]byte("*x\r\n"), &lim); !errors.As(err, &target) {
		t.Errorf("%v is no ProtocolError", err)
	}
}

// What lies exactly at a limit is let through.
func TestScanAtTheLimits(t *testing.T) {
	lim := Limits{Args: 3, Bulk: 10, Request: 44}
	open := UnauthenticatedLimits()
	for _, c := range []struct {
		in  string
		lim *Limits
		n   int
	}{
		{"*3\r\n$10\r\n0123456789\r\n$10\r\n0123456789\r\n$0\r\n\r\n", &lim, 44},
		{"*3\r\n$10\r\n0123456789\r\n$10\r\n0123456789\r\n$0\r\n\r\n*1\r\n", &lim, 44},
		{strings.Repeat(" ", 43) + "\n", &lim, 44},
		{strings.Repeat("P", maxLine), &open, 0},
		{strings.Repeat("P", maxLine) + "\n", &open, maxLine + 1},
		{"PING " + strings.Repeat("a ", 40) + "\r\n", &open, 87},
		{"*10\r\n", &open, 0},
		{"*1\r\n$16384\r\n", &open, 0},
		{"*1\r\n$" + strings.Repeat("1", maxLine-1), &lim, 0},
	} {
		got := checkSplits(t, []byte(c.in), c.lim)
		if got.n != c.n || got.err != "" {
			t.Errorf("%q: %+v", clip([]byte(c.in)), got)
		}
	}
}

func TestWant(t *testing.T) {
	lim := DefaultLimits()
	var r Request
	for _, c := range []struct {
		in   string
		want int
	}{
		{"", 1},
		{"*", 2},
		{"*2\r\n", 5},
		{"*2\r\n$3\r", 8},
		{"*2\r\n$3\r\n", 13},
		{"*2\r\n$3\r\nGET\r\n$1000\r\nx", 1022},
	} {
		if n, err := r.Scan([]byte(c.in), &lim); n != 0 || err != nil || r.Want() != c.want {
			t.Errorf("%q: %d, %v, want %d", c.in, n, err, r.Want())
		}
	}
}

// A session keeps one Request for all its requests, so nothing of one may be left in the next.
func TestResetLeavesNothing(t *testing.T) {
	lim := DefaultLimits()
	requests := []string{"*1\r\n$4\r\nPING\r\n", "ECHO 'a b'\r\n", "*0\r\n", "\r\n", "*2\r\n$4\r\nECHO\r\n$3\r\nfoo\r\n", "GET x\n", `"`, "*x\r\n", "*3\r\n$1\r\na\r\n$9\r\npart"}
	rnd := rand.New(rand.NewPCG(1, 2))
	var r Request
	for range 2000 {
		in := []byte(requests[rnd.IntN(len(requests))])
		r.Reset()
		n, err := r.Scan(in, &lim)
		if got, want := r.outcome(in, n, err), scanWhole(in, &lim); !same(got, want) {
			t.Fatalf("%q: %+v, not %+v", in, got, want)
		}
	}
}

func TestResetGivesBack(t *testing.T) {
	lim := DefaultLimits()
	var r Request
	for _, in := range [][]byte{
		AppendRequest(nil, words(5000, "%d")...),
		append(bytes.Repeat([]byte("a "), 5000), '\n'),
	} {
		if n, err := r.Scan(in, &lim); n != len(in) || err != nil {
			t.Fatal(n, err)
		}
		if r.Reset(); cap(r.Args) > keepArgs || cap(r.scratch) > keepScratch {
			t.Errorf("%d arguments and %d bytes are kept", cap(r.Args), cap(r.scratch))
		}
	}
}

// A client cannot make the scanner allocate by what it announces, nor repeat work by sending little at a time.
func TestScanCost(t *testing.T) {
	lim := DefaultLimits()
	var r Request
	if n := testing.AllocsPerRun(100, func() {
		r.Reset()
		if n, err := r.Scan([]byte("*1048576\r\n$536870912\r\n"), &lim); n != 0 || err != nil {
			t.Fatal(n, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for an announcement", n)
	}

	many := []byte("*1048576\r\n" + strings.Repeat("$1\r\na\r\n", 1<<20))
	large := AppendRequest(nil, "SET", "key", strings.Repeat("x", 4<<20))
	line := append(bytes.Repeat([]byte("a "), maxLine/2), '\n')
	for name, in := range map[string][]byte{"many": many, "large": large, "line": line} {
		r.Reset()
		began := time.Now()
		for have := 1; ; have++ {
			n, err := r.Scan(in[:have], &lim)
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				break
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: %d bytes one at a time took %v", name, len(in), took)
		}
	}
}
