package audit

import (
	"time"
	"unicode/utf8"
)

// plain are the bytes that stand for themselves in a quoted string.
var plain = func() (t [256]bool) {
	for c := ' '; c <= '~'; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// AppendQuoted appends s as a JSON string. Names of keys are any bytes, which JSON
// has no way to write: a backslash is doubled, and what is no printable text is \x and two
// digits, as Redis shows it; so what was meant is never in doubt.
func AppendQuoted[S string | []byte](b []byte, s S) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		from := i
		for i < len(s) && plain[s[i]] {
			i++
		}
		b = append(b, s[from:i]...)
		if i == len(s) {
			break
		}
		c := s[i]
		size := 1
		switch {
		case c == '"':
			b = append(b, '\\', '"')
		case c == '\\':
			b = append(b, `\\\\`...)
		default:
			var r rune
			if r, size = utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)])); size > 1 && r >= 0xa0 && r != '\u2028' && r != '\u2029' {
				b = append(b, s[i:i+size]...)
				break
			}
			size = 1
			b = append(b, '\\', '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		}
		i += size
	}
	return append(b, '"')
}

const hexDigits = "0123456789abcdef"

// AppendTime appends a time as records have it: UTC, to the microsecond.
func AppendTime(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, timeFormat)
}

const timeFormat = "2006-01-02T15:04:05.000000Z"
