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

// plain8 reports whether all of eight bytes are plain. In a byte below 0x80 the highest bit is set by taking 0x20 from
// a control character, by adding one to 0x7f, and by taking one from 0, which is what a quote or a backslash becomes. A borrow can only spoil
// bytes beside one that is not plain itself.
func plain8(x uint64) bool {
	const ones = 0x0101010101010101
	return (x|(x-0x20*ones)|(x+ones)|((x^'"'*ones)-ones)|((x^'\\'*ones)-ones))&(0x80*ones) == 0
}

// AppendQuoted appends s as a JSON string. Names of keys are any bytes, which JSON
// has no way to write: a backslash is doubled, and what is no printable text is \x and two
// digits, as Redis shows it; so what was meant is never in doubt.
func AppendQuoted[S string | []byte](b []byte, s S) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		from := i
		for i+8 <= len(s) && plain8(uint64(s[i])|uint64(s[i+1])<<8|uint64(s[i+2])<<16|uint64(s[i+3])<<24|
			uint64(s[i+4])<<32|uint64(s[i+5])<<40|uint64(s[i+6])<<48|uint64(s[i+7])<<56) {
			i += 8
		}
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

const timeFormat = "2006-01-02T15:04:05.000000Z"

// appendTime appends a time as records have it: UTC, to the microsecond.
func appendTime(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, timeFormat)
}

// Stamp makes the times of many records that follow each other.
type Stamp struct {
	text   []byte
	second int64 // that text is of
}

// Of returns a time as records have it, valid until the next one is made.
func (s *Stamp) Of(t time.Time) []byte {
	if second := t.Unix(); second != s.second || s.text == nil {
		s.text, s.second = appendTime(s.text[:0], t), second
		return s.text
	}
	micro := t.Nanosecond() / 1000
	for i := len(s.text) - 2; s.text[i] != '.'; i-- {
		s.text[i] = byte('0' + micro%10)
		micro /= 10
	}
	return s.text
}
