package resp

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// bulksOf walks over all of a reply, without recursion, and returns the bulks in it.
func bulksOf(c *Cursor) (bulks []string) {
	take := func(open []Aggregate) []Aggregate {
		switch c.Kind() {
		case '*', '~', '%':
			if a, ok := c.Enter(); ok {
				return append(open, a)
			}
		default:
			if content, ok := c.Bulk(); ok {
				bulks = append(bulks, string(content))
			}
		}
		return open
	}
	for open := take(nil); len(open) > 0; {
		if last := len(open) - 1; c.More(&open[last]) {
			open = take(open)
		} else {
			open = open[:last]
		}
	}
	return bulks
}

func TestCursor(t *testing.T) {
	for _, tc := range []struct{ reply, want string }{
		{"$1\r\na\r\n", "a"},
		{"*3\r\n$1\r\na\r\n*2\r\n$1\r\nb\r\n:1\r\n$0\r\n\r\n", "a b "},
		{"%1\r\n$1\r\nk\r\n~1\r\n$1\r\nv\r\n", "k v"},
		{"*3\r\n$-1\r\n*-1\r\n_\r\n", ""},
		{"*2\r\n|1\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n>1\r\n$1\r\nd\r\n$1\r\ne\r\n", "c e"},
		{"|1\r\n$1\r\na\r\n$1\r\nb\r\n*1\r\n$1\r\nc\r\n", "c"},
		{"*?\r\n$1\r\na\r\n*0\r\n.\r\n", "a"},
		{"*2\r\n$?\r\n;1\r\na\r\n;0\r\n=5\r\ntxt:a\r\n", ""},
		{"*1\r\n$0000000001\r\n", "error"},
	} {
		c := NewCursor([]byte(tc.reply))
		got := strings.Join(bulksOf(&c), " ")
		if c.Err() != nil {
			got = "error"
		}
		if got != tc.want || c.Err() == nil && c.Pos() != len(tc.reply) {
			t.Errorf("%q: %q, at %d, %v", tc.reply, got, c.Pos(), c.Err())
		}
	}
}

func TestCursorLeave(t *testing.T) {
	c := NewCursor([]byte("*2\r\n%2\r\n+a\r\n+b\r\n+c\r\n*1\r\n+d\r\n$1\r\nz\r\n"))
	all, ok := c.Enter()
	if !ok || all.Map() || !c.More(&all) {
		t.Fatal("no array")
	}
	pairs, ok := c.Enter()
	if !ok || !pairs.Map() || !c.More(&pairs) {
		t.Fatal("no map")
	}
	c.Skip()
	c.Leave(&pairs)
	if !c.More(&all) {
		t.Fatal("nothing behind the map")
	}
	if z, ok := c.Bulk(); !ok || string(z) != "z" || c.More(&all) || c.Err() != nil || c.Kind() != 0 {
		t.Errorf("behind the map is %q, %v", z, c.Err())
	}
	c.Fail(ErrReplyType)
	c.Fail(ErrReplyEnd)
	if c.Err() != ErrReplyType {
		t.Errorf("the first error is %v", c.Err())
	}
}

func TestBulk(t *testing.T) {
	for _, tc := range []struct {
		in, content string
		size        int
	}{
		{"$1\r\na\r\n", "a", 7},
		{"$0\r\n\r\nrest", "", 6},
		{"$12\r\n0123456789ab\r\n$", "0123456789ab", 19},
		{"$-1\r\n", "", 0},
		{"$?\r\n", "", 0},
		{"$1\r\na\r", "", 0},
		{"$1\r\naxx", "", 0},
		{"$1\r\n", "", 0},
		{"$1099511627776\r\na\r\n", "", 0},
		{"+1\r\na\r\n", "", 0},
		{"$", "", 0},
		{"", "", 0},
	} {
		if content, size := Bulk([]byte(tc.in)); string(content) != tc.content || size != tc.size {
			t.Errorf("%q: %q, %d", tc.in, content, size)
		}
	}
}

// FuzzCursor checks that a cursor takes what the scanner takes, to the end, and finds the bulks that Rewrite finds.
func FuzzCursor(f *testing.F) {
	for _, s := range slices.Concat(nested, goodReplies) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole := feedWhole(in)
		if whole.done {
			in = in[:whole.n]
		}
		c := NewCursor(in)
		got := bulksOf(&c)
		if !whole.done || whole.kind == '>' {
			return // it need not see everything that is wrong
		}
		if c.Err() != nil || c.Pos() != len(in) {
			t.Fatalf("%q: at %d, %v", in, c.Pos(), c.Err())
		}
		var want []string
		_, err := Rewrite(nil, in, func(path []int, kind byte, data []byte) ([]byte, bool) {
			if kind == '$' && !slices.Contains(path, OutOfBand) {
				want = append(want, string(data))
			}
			return nil, false
		})
		if err == nil && !bytes.Contains(in, []byte("$?")) && !slices.Equal(got, want) {
			t.Fatalf("%q: %q, want %q", in, got, want)
		}
	})
}
