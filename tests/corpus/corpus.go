// Package corpus makes values like those that applications store, for tests and
// benchmarks of compression: each is the same for the same number and unlike
// those of others. Names, texts, identifiers, times and tokens vary as they do in real data.
package corpus

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

const (
	digits    = "0123456789"
	hexDigits = digits + "abcdef"
	base62    = digits + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// source is where the values of one kind get their variety from.
type source struct {
	*rand.Rand
	zipf *rand.Zipf
}

func newSource(kind, i uint64) *source {
	r := rand.New(rand.NewPCG(kind, i))
	// Words are about as frequent as they are in English.
	return &source{r, rand.NewZipf(r, 1.07, 4, uint64(len(vocabulary)-1))}
}

func (s *source) pick(from ...string) string { return from[s.IntN(len(from))] }

func (s *source) chars(n int, from string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = from[s.IntN(len(from))]
	}
	return string(b)
}

func (s *source) hex(n int) string   { return s.chars(n, hexDigits) }
func (s *source) token(n int) string { return s.chars(n, base62) }

func (s *source) uuid() string {
	return fmt.Sprintf("%s-%s-4%s-%s%s-%s", s.hex(8), s.hex(4), s.hex(3), s.pick("8", "9", "a", "b"), s.hex(3), s.hex(12))
}

// moment is one of the seconds of a year.
func (s *source) moment() time.Time {
	return time.Unix(1_767_225_600+s.Int64N(365*24*3600), s.Int64N(1000)*1e6).UTC()
}

func (s *source) timestamp() string { return s.moment().Format(milliseconds) }

func (s *source) word() string { return vocabulary[s.zipf.Uint64()] }

// words is n of them with blanks between.
func (s *source) words(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = s.word()
	}
	return strings.Join(all, " ")
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// sentence has punctuation, and now and then a name, a place or a number.
func (s *source) sentence() string {
	var b strings.Builder
	b.WriteString(capital(s.words(3 + s.IntN(6))))
	for range s.IntN(3) {
		switch s.IntN(6) {
		case 0:
			b.WriteString(" " + s.pick(cities...))
		case 1:
			fmt.Fprintf(&b, " %d", s.IntN(2000))
		case 2:
			fmt.Fprintf(&b, " %s %s", s.pick(firstNames...), s.pick(lastNames...))
		case 3:
			b.WriteString(",")
		}
		b.WriteString(" " + s.words(2+s.IntN(5)))
	}
	b.WriteString(s.pick(".", ".", ".", ".", "?", "!"))
	return b.String()
}

func (s *source) paragraph(sentences int) string {
	all := make([]string, sentences)
	for i := range all {
		all[i] = s.sentence()
	}
	return strings.Join(all, " ")
}

type person struct{ first, last, email string }

func (s *source) person() person {
	p := person{first: s.pick(firstNames...), last: s.pick(lastNames...)}
	p.email = strings.ToLower(p.first + s.pick(".", "", "_") + p.last)
	if s.IntN(2) == 0 {
		p.email += fmt.Sprint(s.IntN(100))
	}
	p.email += "@" + s.pick("gmail.com", "gmail.com", "outlook.com", "yahoo.com", "icloud.com", "proton.me", "gmx.net",
		strings.ToLower(s.pick(lastNames...))+"."+s.pick("com", "org", "net", "io", "de"))
	return p
}

// Random is that many random bytes.
func Random(i, size int) []byte {
	s := rand.New(rand.NewPCG(uint64(4+size), uint64(i)))
	b := make([]byte, size)
	for j := range b {
		b[j] = byte(s.Uint32())
	}
	return b
}
