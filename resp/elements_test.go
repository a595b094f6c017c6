package resp

import (
	"strings"
	"testing"
)

func TestElements(t *testing.T) {
	for _, c := range []struct {
		reply    string
		elements string // separated by |; "no": it has none
		array    bool   // for ArrayElements as well
	}{
		{"*0\r\n", "", true},
		{"*2\r\n:1\r\n$1\r\na\r\n", ":1\r\n|$1\r\na\r\n", true},
		{"*2\r\n*1\r\n+x\r\n$-1\r\n", "*1\r\n+x\r\n|$-1\r\n", true},
		{"*1\r\n%1\r\n+k\r\n~0\r\n", "%1\r\n+k\r\n~0\r\n", true},
		{">2\r\n+message\r\n_\r\n", "+message\r\n|_\r\n", false},
		{"*1\r\n|1\r\n+a\r\n+b\r\n:1\r\n", "|1\r\n+a\r\n+b\r\n:1\r\n", true},
		{"*-1\r\n", "no", false},
		{"_\r\n", "no", false},
		{":1\r\n", "no", false},
		{"%1\r\n+k\r\n+v\r\n", "no", false},
		{"~1\r\n+k\r\n", "no", false},
		{"*?\r\n:1\r\n.\r\n", "no", false},
		{"", "no", false},
		{"*", "no", false},
		{"*2\r", "no", false},
		{"*x\r\n", "no", false},
	} {
		fields, ok := Fields([][]byte{[]byte("before")}, []byte(c.reply))
		var got []string
		for _, f := range fields[1:] {
			got = append(got, string(f))
		}
		if ok != (c.elements != "no") || ok && strings.Join(got, "|") != c.elements {
			t.Errorf("%q: Fields gives %q, %v", c.reply, got, ok)
		}
		n, body, ok := ArrayElements([]byte(c.reply))
		if ok != c.array || ok && (n != len(got) || string(body) != strings.Join(got, "")) {
			t.Errorf("%q: ArrayElements gives %d in %q, %v", c.reply, n, body, ok)
		}
	}
	// A reply that is cut is none, however much it promises.
	for _, s := range []string{"*2\r\n:1\r\n", "*1099511627776\r\n:1\r\n", "*1\r\n$5\r\nabc", "*1\r\n?\r\n"} {
		if fields, ok := Fields(nil, []byte(s)); ok {
			t.Errorf("%q: %q", s, fields)
		}
	}
}

func TestValueSize(t *testing.T) {
	for _, c := range []struct {
		in   string
		size int
		err  error
	}{
		{":1\r\n", 4, nil},
		{":1\r\n:2\r\n", 4, nil},
		{"$3\r\nabc\r\nx", 9, nil},
		{"*2\r\n:1\r\n*1\r\n_\r\n+", 15, nil},
		{">1\r\n+x\r\n:1\r\n", 8, nil},
		{"|1\r\n+a\r\n+b\r\n:1\r\n", 16, nil},
		{"", 0, ErrReplyEnd},
		{"$3\r\nab", 6, ErrReplyEnd},
		{"*2\r\n:1\r\n", 8, ErrReplyEnd},
		{"$3\r\nabcde", 0, ErrReplyBulk},
	} {
		size, err := ValueSize([]byte(c.in))
		if err != c.err || err == nil && size != c.size {
			t.Errorf("%q: %d, %v", c.in, size, err)
		}
	}
}
