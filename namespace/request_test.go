package namespace

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"riptide-proxy/resp"
)

// scan reads one request as a session does.
func scan(in []byte) (r Request, rest []byte, ok bool) {
	lim := resp.DefaultLimits()
	var s resp.Request
	n, err := s.Scan(in, &lim)
	if err != nil || n == 0 {
		return Request{}, nil, false
	}
	return Request{Raw: s.Bytes(in[:n]), Args: s.Args}, in[n:], true
}

func strs(r *Request) []string {
	all := make([]string, r.Len())
	for i := range all {
		all[i] = string(r.At(i))
	}
	return all
}

// naive encodes the arguments anew, with the prefix where it belongs.
func naive(args []string, indexes []int32, prefix string) string {
	args = slices.Clone(args)
	for _, i := range indexes {
		args[i] = prefix + args[i]
	}
	return string(resp.AppendRequest(nil, args...))
}

// rewritings are all ways to rewrite a request; each must append to what is
// there already.
func rewritings(r *Request, indexes []int32, prefix string) map[string]string {
	const before = "+before\r\n"
	p := []byte(prefix)
	out := map[string]string{"AppendAllPrefixed": string(r.AppendAllPrefixed([]byte(before), indexes, p))}
	if len(indexes) == 1 {
		out["AppendPrefixed"] = string(r.AppendPrefixed([]byte(before), int(indexes[0]), p))
	}
	// Fresh scratch, scratch that is too small, and more than enough.
	for name, scratch := range map[string][]byte{
		"Parts": nil, "Parts, small scratch": make([]byte, 3, 8), "Parts, large scratch": make([]byte, 100, 4096),
	} {
		parts, again := r.Parts([][]byte{[]byte(before)}, scratch, indexes, p)
		out[name] = string(bytes.Join(parts, nil))
		// The scratch that is returned serves the next request.
		parts, _ = r.Parts([][]byte{[]byte(before)}, again, indexes, p)
		out[name+", again"] = string(bytes.Join(parts, nil))
	}
	for name, text := range out {
		if !strings.HasPrefix(text, before) {
			out[name] = "overwritten: " + text
			continue
		}
		out[name] = text[len(before):]
	}
	return out
}

func TestRewrite(t *testing.T) {
	long := func(n int) string { return strings.Repeat("k", n) }
	for _, c := range []struct {
		args    []string
		indexes []int32
		prefix  string
	}{
		{[]string{"GET", "k"}, []int32{1}, "t:acme:0:"},
		{[]string{"GET", ""}, []int32{1}, "t:acme:0:"},
		{[]string{"GET", "k"}, []int32{1}, ""},
		{[]string{"SET", "k", "v"}, []int32{1}, "t:acme:0:"},
		{[]string{"SET", "k\r\n$1\r\nx", "a\x00b\r\n"}, []int32{1}, "t:{acme}:15:"},
		{[]string{"MGET", "a", "bb", "", "dddd"}, []int32{1, 2, 3, 4}, "t:acme:0:"},
		{[]string{"MSET", "a", "1", "b", "2"}, []int32{1, 3}, "t:acme:0:"},
		{[]string{"EVAL", "return 1", "2", "a", "b", "c"}, []int32{3, 4}, "t:acme:0:"},
		{[]string{"XREAD", "COUNT", "1", "STREAMS", "a", "b", "0", "0"}, []int32{4, 5}, "t:acme:0:"},
		{[]string{"PING"}, nil, "t:acme:0:"},
		{[]string{"SORT", "k", "BY", "w*"}, []int32{}, "t:acme:0:"},
		{[]string{"X"}, []int32{0}, "t:acme:0:"}, // no command does so, but nothing forbids it
		// Where the header gets a digit more: 0-9, 10-99, 100-999, ...
		{[]string{"GET", "k"}, []int32{1}, long(8)},
		{[]string{"GET", "k"}, []int32{1}, long(9)},
		{[]string{"GET", long(89)}, []int32{1}, long(10)},
		{[]string{"GET", long(90)}, []int32{1}, long(10)},
		{[]string{"GET", long(989)}, []int32{1}, long(10)},
		{[]string{"GET", long(990)}, []int32{1}, long(10)},
		{[]string{"SET", "k", long(70000)}, []int32{1, 2}, long(80)},
	} {
		raw := resp.AppendRequest(nil, c.args...)
		r, rest, ok := scan(raw)
		if !ok || len(rest) > 0 || !slices.Equal(strs(&r), c.args) {
			t.Fatalf("%.60q does not scan", raw)
		}
		want := naive(c.args, c.indexes, c.prefix)
		for name, got := range rewritings(&r, c.indexes, c.prefix) {
			if got != want {
				t.Errorf("%.60q at %v with %.20q, %s: %.80q, want %.80q", c.args, c.indexes, c.prefix, name, got, want)
			}
		}
		if string(r.Raw) != string(raw) {
			t.Errorf("%.60q was changed", c.args)
		}
	}
}

// An inline command is rewritten from its canonical form.
func TestRewriteInline(t *testing.T) {
	for line, want := range map[string][]string{
		"GET k\r\n":                      {"GET", "t:acme:0:k"},
		"  set \"a b\" 'c\\'d'  \n":      {"set", "t:acme:0:a b", "c'd"},
		"set k \"\\x0d\\x0a$1\\r\\n\"\n": {"set", "t:acme:0:k", "\r\n$1\r\n"},
		"GET \"\"\n":                     {"GET", "t:acme:0:"},
	} {
		r, _, ok := scan([]byte(line))
		if !ok {
			t.Fatalf("%q does not scan", line)
		}
		for name, got := range rewritings(&r, []int32{1}, "t:acme:0:") {
			if got != string(resp.AppendRequest(nil, want...)) {
				t.Errorf("%q, %s: %q", line, name, got)
			}
		}
	}
}

// Large contents are not copied: the parts are the request's own bytes.
func TestPartsReferToTheRequest(t *testing.T) {
	raw := resp.AppendRequest(nil, "SET", "k", strings.Repeat("v", 1<<16))
	r, _, ok := scan(raw)
	if !ok {
		t.Fatal("does not scan")
	}
	parts, scratch := r.Parts(nil, nil, []int32{1}, []byte("t:acme:0:"))
	last := parts[len(parts)-1]
	if len(last) < 1<<16 || &last[len(last)-1] != &raw[len(raw)-1] {
		t.Error("the value was copied")
	}
	if len(scratch) > 64 {
		t.Errorf("%d bytes of scratch", len(scratch))
	}
}

// FuzzRewrite checks that a rewritten request, read by whoever comes next, is
// the same request with the prefix on exactly the arguments that were meant.
func FuzzRewrite(f *testing.F) {
	for _, s := range []string{
		"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\n\r\n$1\r\n", "*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n",
		"GET k\r\n", "set 'a b' \"\\x00\"\n", "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", "*2\r\n$00003\r\nGET\r\n$+1\r\nk\r\n", "*0\r\n", "\r\n",
		"*+2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
	} {
		f.Add([]byte(s), "t:acme:0:", uint64(1))
		f.Add([]byte(s), "t:{acme}:15:", uint64(2))
		f.Add([]byte(s), strings.Repeat("x", 99), uint64(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, prefix string, seed uint64) {
		before := bytes.Clone(in)
		r, _, ok := scan(in)
		if !ok || r.Len() == 0 {
			return
		}
		args := strs(&r)
		rnd := rand.New(rand.NewPCG(seed, 1))
		density := 1 + rnd.IntN(4)
		var indexes []int32
		want := slices.Clone(args)
		for i := range args {
			if rnd.IntN(density) == 0 {
				indexes = append(indexes, int32(i))
				want[i] = prefix + args[i]
			}
		}
		for name, out := range rewritings(&r, indexes, prefix) {
			again, rest, ok := scan([]byte(out))
			if !ok || len(rest) > 0 {
				t.Fatalf("%s: %q at %v became %q, which is not one request", name, in, indexes, out)
			}
			if got := strs(&again); !slices.Equal(got, want) {
				t.Fatalf("%s: %q at %v became %q, want %q", name, in, indexes, got, want)
			}
		}
		if !bytes.Equal(in, before) {
			t.Fatalf("%q was changed to %q", before, in)
		}
	})
}
