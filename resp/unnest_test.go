package resp

import (
	"strings"
	"testing"
)

func TestUnnest(t *testing.T) {
	const push = ">2\r\n$3\r\nmsg\r\n*1\r\n+x\r\n"
	for _, c := range []string{
		"+OK\r\n", ":1\r\n", "_\r\n", "*0\r\n", "*-1\r\n", "$3\r\n\n>1\r\n",
		"*1\r\n$5\r\n\r\n>1\r\r\n", // looks like one, in a string
		"*2\r\n@$1\r\na\r\n@:1\r\n",
		"*2\r\n@*1\r\n@+a\r\n@%1\r\n@+k\r\n@,1.5\r\n",
		"%1\r\n@+a\r\n@~2\r\n@:1\r\n@#t\r\n",
		"*?\r\n@:1\r\n.\r\n",
		"*1\r\n@|1\r\n+a\r\n+b\r\n:1\r\n",
	} {
		clean := strings.ReplaceAll(c, "@", "")
		reply := strings.ReplaceAll(c, "@", push)
		out, pushes, found, err := Unnest([]byte("x"), []byte(reply))
		if err != nil {
			t.Errorf("%q: %v", reply, err)
			continue
		}
		if n := strings.Count(c, "@"); found != (n > 0) || len(pushes) != n {
			t.Errorf("%q: %d pushes found", reply, len(pushes))
		}
		for _, p := range pushes {
			if string(p) != push {
				t.Errorf("%q: push %q", reply, p)
			}
		}
		if want := "x" + clean; found && string(out) != want || !found && string(out) != "x" {
			t.Errorf("%q: %q, want %q", reply, out, want)
		}
	}
	for _, bad := range []string{"*2\r\n" + push, "*1\r\n" + push, "*1\r\n>1\r\n", strings.Repeat("*1\r\n", 200) + push} {
		if out, _, found, err := Unnest(nil, []byte(bad)); err == nil || found || out != nil {
			t.Errorf("%q: %q, %v, %v", bad, out, found, err)
		}
	}
}
