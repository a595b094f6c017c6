package resp

import (
	"math"
	"strconv"
	"testing"
)

func TestParseInt(t *testing.T) {
	for _, c := range []struct {
		in string
		n  int64
		ok bool
	}{
		{"0", 0, true},
		{"7", 7, true},
		{"-1", -1, true},
		{"10", 10, true},
		{"9223372036854775807", math.MaxInt64, true},
		{"-9223372036854775808", math.MinInt64, true},
		{"9223372036854775808", 0, false},
		{"-9223372036854775809", 0, false},
		{"18446744073709551616", 0, false},
		{"99999999999999999999", 0, false},
		{"100000000000000000000", 0, false},
		{"", 0, false},
		{"-", 0, false},
		{"-0", 0, false},
		{"+1", 0, false},
		{"01", 0, false},
		{"-01", 0, false},
		{"00", 0, false},
		{" 1", 0, false},
		{"1 ", 0, false},
		{"1a", 0, false},
		{"1/", 0, false},
		{"1:", 0, false},
		{"1\x00", 0, false},
		{"--1", 0, false},
	} {
		if n, ok := ParseInt([]byte(c.in)); n != c.n || ok != c.ok {
			t.Errorf("ParseInt(%q) = %d, %v", c.in, n, ok)
		}
	}
}

// Whatever the short way past the careful code understands, the careful code understands in the same way.
func FuzzLength(f *testing.F) {
	for _, s := range []string{"$0\r\n", "$5\r\nhello", "$64\r\n", "$064\r\n", "$100\r\n", "$123456789\r\n", "$1234567890\r\n", "$\r\n", "$1\r", "$1\rx", "$12\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, h []byte) {
		n, size := length(h)
		if long, longSize := longLength(h); size > 0 && (n != long || size != longSize) {
			t.Fatalf("length(%q) = %d, %d but longLength = %d, %d", h, n, size, long, longSize)
		}
		if size == 0 {
			return
		}
		if want, ok := ParseInt(h[1 : size-2]); !ok || int64(n) != want || string(h[size-2:size]) != "\r\n" {
			t.Fatalf("length(%q) = %d, %d", h, n, size)
		}
	})
}

func TestLengthTakesEveryNumber(t *testing.T) {
	for _, n := range []int{0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 65536, 1 << 20, 999_999_999} {
		line := "$" + strconv.Itoa(n) + "\r\n"
		for _, tail := range []string{"", "x", "0123456789"} {
			if got, size := length([]byte(line + tail)); got != n || size != len(line) {
				t.Errorf("length(%q) = %d, %d", line+tail, got, size)
			}
		}
	}
}
