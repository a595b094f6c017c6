package resp

import "math"

// ParseInt reads b as Redis reads integers in the protocol and in arguments: an optional minus, no plus, no leading
// zeros, no "-0", no spaces, and within 64 bits.
func ParseInt(b []byte) (int64, bool) {
	if len(b) == 1 && b[0] == '0' {
		return 0, true
	}
	if len(b) == 0 || len(b) > len("-9223372036854775808") {
		return 0, false
	}
	negative := b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || b[0] < '1' || b[0] > '9' {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	switch {
	case negative && n <= 1<<63:
		return -int64(n), true
	case !negative && n <= math.MaxInt64:
		return int64(n), true
	}
	return 0, false
}

// length reads the number of a header line such as "$64\r\n" that h begins with, whatever its type byte. It returns
// the number and the line's size, or a size of 0 for everything that is not a complete header with a plain number of
// at most nine digits: it is the short way past the careful code, which also knows the errors.
func length(h []byte) (n, size int) {
	if n, size = shortLength(h); size > 0 {
		return n, size
	}
	return longLength(h)
}

// shortLength is length for one or two digits. It is apart so that it can be inlined: most lengths are that short.
func shortLength(h []byte) (n, size int) {
	if len(h) < 5 {
		return 0, 0
	}
	a, b := uint(h[1]-'0'), uint(h[2]-'0')
	if h[2] == '\r' && h[3] == '\n' && a <= 9 {
		return int(a), 4
	}
	if h[3] == '\r' && h[4] == '\n' && b <= 9 && a-1 < 9 {
		return int(a*10 + b), 5
	}
	return 0, 0
}

func longLength(h []byte) (n, size int) {
	if len(h) < 4 {
		return 0, 0
	}
	i, d := 1, uint(h[1]-'0')
	for d <= 9 {
		n = n*10 + int(d)
		i++
		if i == len(h) || i > 10 {
			return 0, 0
		}
		d = uint(h[i] - '0')
	}
	if i == 1 || i+1 >= len(h) || h[i] != '\r' || h[i+1] != '\n' || (h[1] == '0' && i > 2) {
		return 0, 0
	}
	return n, i + 2
}
