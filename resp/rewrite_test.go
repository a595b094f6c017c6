package resp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// leaves lists what Rewrite shows of a reply.
func leaves(t *testing.T, reply string) string {
	t.Helper()
	var b strings.Builder
	_, err := Rewrite(nil, []byte(reply), func(path []int, kind byte, data []byte) ([]byte, bool) {
		fmt.Fprintf(&b, "%v%c%q ", path, kind, data)
		return nil, false
	})
	if err != nil {
		t.Errorf("%q: %v", reply, err)
	}
	return strings.TrimSpace(b.String())
}

func TestRewriteShowsLeaves(t *testing.T) {
	for _, c := range []struct{ reply, want string }{
		{"+OK\r\n", `[]+"OK"`},
		{"$5\r\nhello\r\n", `[]$"hello"`},
		{"$-1\r\n", ``},
		{"*-1\r\n", ``},
		{"_\r\n", ``},
		{"*0\r\n", ``},
		{"#t\r\n", `[]#"t"`},
		{":-5\r\n", `[]:"-5"`},
		{",1.5\r\n", `[],"1.5"`},
		{"(12\r\n", `[]("12"`},
		{"-ERR x\r\n", `[]-"ERR x"`},
		{"!3\r\nERR\r\n", `[]!"ERR"`},
		{"=7\r\ntxt:abc\r\n", `[]="abc"`},
		{"*3\r\n$1\r\na\r\n*2\r\n:1\r\n_\r\n$1\r\nb\r\n", `[0]$"a" [1 0]:"1" [2]$"b"`},
		{"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n", `[0]+"a" [1]:"1" [2]+"b" [3 0]:"2"`},
		{"~2\r\n+a\r\n+b\r\n", `[0]+"a" [1]+"b"`},
		{">2\r\n+a\r\n+b\r\n", `[0]+"a" [1]+"b"`},
		{"|1\r\n+k\r\n+v\r\n*2\r\n+a\r\n|1\r\n+k\r\n*1\r\n+v\r\n+b\r\n", `[0]+"a" [1]+"b"`},
		{"$?\r\n;2\r\nab\r\n;1\r\nc\r\n;0\r\n", `[]$"abc"`},
		{"*?\r\n+a\r\n%?\r\n+b\r\n+c\r\n.\r\n+d\r\n.\r\n", `[0]+"a" [1 0]+"b" [1 1]+"c" [2]+"d"`},
		{"*2\r\n>2\r\n+a\r\n+b\r\n:1\r\n+PONG\r\n", `[-1 0]+"a" [-1 1]+"b" [0]:"1" [1]+"PONG"`},
	} {
		if got := leaves(t, c.reply); got != c.want {
			t.Errorf("%q: %s, not %s", c.reply, got, c.want)
		}
	}
}

func TestRewriteReplaces(t *testing.T) {
	for _, c := range []struct{ reply, want string }{
		{"$5\r\nhello\r\n", "$7\r\n<hello>\r\n"},
		{"+OK\r\n", "+<OK>\r\n"},
		{"+a\nb\rc\r\n", "+<a b c>\r\n"},
		{"=7\r\ntxt:abc\r\n", "=9\r\ntxt:<abc>\r\n"},
		{"!3\r\nERR\r\n", "!5\r\n<ERR>\r\n"},
		{"$?\r\n;2\r\nab\r\n;1\r\nc\r\n;0\r\n", "$5\r\n<abc>\r\n"},
		{"*3\r\n$1\r\na\r\n$-1\r\n%1\r\n$1\r\nk\r\n:1\r\n", "*3\r\n$3\r\n<a>\r\n$-1\r\n%1\r\n$3\r\n<k>\r\n:<1>\r\n"},
		{"|1\r\n+a\r\n+b\r\n*2\r\n_\r\n+c\r\n", "|1\r\n+a\r\n+b\r\n*2\r\n_\r\n+<c>\r\n"},
	} {
		got, err := Rewrite([]byte("before"), []byte(c.reply), func(_ []int, _ byte, data []byte) ([]byte, bool) {
			return fmt.Appendf(nil, "<%s>", data), true
		})
		if err != nil || string(got) != "before"+c.want {
			t.Errorf("%q: %q, %v", c.reply, got, err)
		}
	}
	// Some leaves only.
	got, err := Rewrite(nil, []byte("*3\r\n+a\r\n$1\r\nb\r\n+c\r\n"), func(path []int, _ byte, _ []byte) ([]byte, bool) {
		return nil, path[0] == 1
	})
	if err != nil || string(got) != "*3\r\n+a\r\n$0\r\n\r\n+c\r\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func unchanged([]int, byte, []byte) ([]byte, bool)         { return nil, false }
func replaced(_ []int, _ byte, data []byte) ([]byte, bool) { return data, true }
func everything(int, []byte) bool                          { return true }

// Rewrite and Filter take exactly the replies that ReplyScanner takes.
func TestRewriteAndFilterAgreeWithFeed(t *testing.T) {
	check := func(in []byte, want bool) {
		t.Helper()
		prefix := []byte("before")
		for name, f := range map[string]func() ([]byte, error){
			"Rewrite": func() ([]byte, error) { return Rewrite(prefix, in, unchanged) },
			"Filter":  func() ([]byte, error) { return Filter(prefix, in, everything) },
		} {
			got, err := f()
			switch {
			case want != (err == nil):
				t.Errorf("%s of %q: %v", name, clip(in), err)
			case err != nil && string(got) != "before":
				t.Errorf("%s of %q: %q is left", name, clip(in), got)
			case err == nil && string(got) != "before"+string(in):
				t.Errorf("%s of %q: %q", name, clip(in), got)
			}
		}
	}
	for _, in := range goodReplies {
		check([]byte(in), true)
		check([]byte(in+"+"), false)
		for at := range in {
			check([]byte(in[:at]), false)
		}
	}
	for _, c := range badReplies {
		check([]byte(c.in), false)
	}
}

func TestRewriteDepth(t *testing.T) {
	for _, c := range []struct {
		depth int
		err   error
	}{{maxDepth, nil}, {maxDepth + 1, ErrReplyDepth}, {1 << 20, ErrReplyDepth}} {
		in := []byte(strings.Repeat("*1\r\n", c.depth) + ":1\r\n")
		if _, err := Rewrite(nil, in, unchanged); err != c.err {
			t.Errorf("depth %d: %v", c.depth, err)
		}
		if got, err := Filter(nil, in, everything); err != nil || !bytes.Equal(got, in) {
			t.Errorf("depth %d: Filter: %v", c.depth, err)
		}
	}
}

func TestFilter(t *testing.T) {
	drop := func(names ...string) func(int, []byte) bool {
		return func(_ int, element []byte) bool {
			for _, name := range names {
				if bytes.Contains(element, []byte(name)) {
					return false
				}
			}
			return true
		}
	}
	ten := string(AppendRequest(nil, words(10, "%d")...))
	for _, c := range []struct {
		reply string
		keep  func(int, []byte) bool
		want  string
	}{
		{"*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n", drop("b"), "*2\r\n$1\r\na\r\n$1\r\nc\r\n"},
		{"*1\r\n+a\r\n", drop("a"), "*0\r\n"},
		{"~2\r\n+a\r\n*1\r\n+b\r\n", drop("b"), "~1\r\n+a\r\n"},
		{"%2\r\n+a\r\n+b\r\n+b\r\n+a\r\n", drop("b"), "%1\r\n+a\r\n+b\r\n"},
		{"%1\r\n+a\r\n*2\r\n+b\r\n+c\r\n", drop("b"), "%1\r\n+a\r\n*2\r\n+b\r\n+c\r\n"},
		{"*?\r\n+a\r\n+b\r\n.\r\n", drop("a"), "*?\r\n+b\r\n.\r\n"},
		{"%?\r\n+a\r\n+b\r\n+c\r\n+d\r\n.\r\n", drop("a"), "%?\r\n+c\r\n+d\r\n.\r\n"},
		{">2\r\n+a\r\n+b\r\n", drop("a"), ">1\r\n+b\r\n"},
		{"|1\r\n+a\r\n+b\r\n*2\r\n+a\r\n+b\r\n", drop("a"), "|1\r\n+a\r\n+b\r\n*1\r\n+b\r\n"},
		{"*-1\r\n", drop("a"), "*-1\r\n"},
		{"$1\r\na\r\n", drop("a"), "$1\r\na\r\n"},
		{ten, func(i int, _ []byte) bool { return i == 7 }, "*1\r\n$1\r\n7\r\n"},
		{ten, func(int, []byte) bool { return false }, "*0\r\n"},
	} {
		got, err := Filter([]byte("before"), []byte(c.reply), c.keep)
		if err != nil || string(got) != "before"+c.want {
			t.Errorf("%q: %q, %v", c.reply, got, err)
		}
	}
}

func TestFirst(t *testing.T) {
	for _, c := range []struct{ reply, want string }{
		{"$3\r\nget\r\n", "get"},
		{"$0\r\n\r\n", ""},
		{"+OK\r\n", "OK"},
		{"=7\r\ntxt:abc\r\n", "abc"},
		{"*2\r\n$3\r\nget\r\n:2\r\n", "get"},
		{"*1\r\n%1\r\n|1\r\n+a\r\n+b\r\n+name\r\n", "name"},
		{">3\r\n$7\r\nmessage\r\n", "message"},
		{"*2\r\n:1\r\n+a\r\n", "nil"},
		{"*0\r\n", "nil"},
		{"*?\r\n+a\r\n", "nil"},
		{"_\r\n", "nil"},
		{"$-1\r\n", "nil"},
		{";1\r\na\r\n", "nil"},
		{"$5\r\nhell", "nil"},
		{"+a\r", "nil"},
		{"|1\r\n", "nil"},
		{"x", "nil"},
		{"", "nil"},
	} {
		got := First([]byte(c.reply))
		if want := c.want; want == "nil" && got != nil || want != "nil" && string(got) != want {
			t.Errorf("%q: %q", c.reply, got)
		}
	}
}
