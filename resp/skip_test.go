package resp

import (
	"strings"
	"testing"
)

// Wherever the rest of a request is cut, it is skipped to its end and no further.
func TestSkip(t *testing.T) {
	lim := DefaultLimits()
	begin := "*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$100\r\nxxx"
	rest := strings.Repeat("x", 97) + "\r\n$0\r\n\r\n$11\r\n$5\r\n\r\nabcde\r\n"
	next := "*1\r\n$4\r\nPING\r\n"
	for size := 1; size <= len(rest); size++ {
		var r Request
		if n, err := r.Scan([]byte(begin), &lim); n != 0 || err != nil || !r.InArgument() {
			t.Fatal(n, err)
		}
		s := r.Rest([]byte(begin))
		input, have := rest+next, 0
		for off := 0; ; {
			have = min(len(input), have+size)
			n, done, err := s.Skip([]byte(input[off:have]), &lim)
			off += n
			if err != nil {
				t.Fatal(err)
			}
			if done {
				if input[off:] != next {
					t.Fatalf("in pieces of %d: %q is left", size, input[off:])
				}
				break
			}
			if have == len(input) {
				t.Fatalf("in pieces of %d: no end", size)
			}
		}
	}
}

func TestSkipLimits(t *testing.T) {
	lim := Limits{Args: 10, Bulk: 200, Request: 300}
	begin := "*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$100\r\n"
	for rest, want := range map[string]error{
		"$201\r\n":                           ErrBulkLength,
		"$-1\r\n":                            ErrBulkLength,
		"$x\r\n":                             ErrBulkLength,
		"+1\r\n":                             expectedBulk('+'),
		"$200\r\n":                           ErrRequestSize,
		"$" + strings.Repeat("0", maxLine+1): ErrBulkCount,
	} {
		var r Request
		r.Scan([]byte(begin), &lim)
		s := r.Rest([]byte(begin))
		if _, _, err := s.Skip([]byte(strings.Repeat("x", 100)+"\r\n"+rest), &lim); err != want && (err == nil || want == nil || err.Error() != want.Error()) {
			t.Errorf("%.20q: %v, want %v", rest, err, want)
		}
	}
}
