package value

import "bytes"

// pattern is a glob over keys, as Redis writes them. The usual forms, a text with stars at
// its ends only, are told beforehand, since every value that is sealed asks for them.
type pattern struct {
	glob  string
	text  []byte // what the key has to be, to begin with or to end in
	shape shape
}

type shape uint8

const (
	anyGlob shape = iota
	exactly
	prefixed
	suffixed
	everything
)

// newPattern is a pattern that match can use.
func newPattern(glob string) pattern {
	p := pattern{glob: glob}
	special := func(text string) bool { return bytes.ContainsAny([]byte(text), `*?[\`) }
	switch {
	case glob == "*" || glob == "":
		p.shape = everything
	case !special(glob):
		p.shape, p.text = exactly, []byte(glob)
	case glob[len(glob)-1] == '*' && !special(glob[:len(glob)-1]):
		p.shape, p.text = prefixed, []byte(glob[:len(glob)-1])
	case glob[0] == '*' && !special(glob[1:]):
		p.shape, p.text = suffixed, []byte(glob[1:])
	}
	return p
}

// match reports whether a key matches.
func (p *pattern) match(key []byte) bool {
	switch p.shape {
	case exactly:
		return bytes.Equal(key, p.text)
	case prefixed:
		return bytes.HasPrefix(key, p.text)
	case suffixed:
		return bytes.HasSuffix(key, p.text)
	case everything:
		return true
	}
	return matchGlob(p.glob, key)
}

// maxGlobSteps bounds what one match may take: a pattern with many stars could otherwise hold up
// a loop for as long as the product of two lengths.
const maxGlobSteps = 1 << 16

// matchGlob is the general case: it goes back to the last star only, and gives
// up (no match) after maxGlobSteps.
func matchGlob(glob string, key []byte) bool {
	g, k := 0, 0
	starAt, starKey := -1, 0
	for steps := 0; steps < maxGlobSteps; steps++ {
		if g < len(glob) && glob[g] == '*' {
			g++
			starAt, starKey = g, k
			continue
		}
		if k == len(key) && g == len(glob) {
			return true
		}
		if k < len(key) && g < len(glob) {
			if ok, next := matchByte(glob, g, key[k]); ok {
				g, k = next, k+1
				continue
			}
		}
		if starAt < 0 || starKey == len(key) {
			return false
		}
		starKey++
		g, k = starAt, starKey
	}
	return false
}

// matchByte matches one byte with what stands at glob[g], which is no star, and
// says where the glob goes on.
func matchByte(glob string, g int, c byte) (ok bool, next int) {
	switch {
	case glob[g] == '?':
		return true, g + 1
	case glob[g] == '\\' && g+1 < len(glob):
		return glob[g+1] == c, g + 2
	case glob[g] != '[':
		return glob[g] == c, g + 1
	}
	g++
	negated := g < len(glob) && glob[g] == '^'
	if negated {
		g++
	}
	in := false
	for g < len(glob) && glob[g] != ']' {
		if glob[g] == '\\' && g+1 < len(glob) {
			g++
		}
		low, high := glob[g], glob[g]
		if g+2 < len(glob) && glob[g+1] == '-' {
			high = glob[g+2]
			g += 2
		}
		g++
		in = in || min(low, high) <= c && c <= max(low, high)
	}
	return in != negated, min(g+1, len(glob))
}
