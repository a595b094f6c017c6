// Package glob matches texts against patterns as Redis does.
package glob

// Match reports whether a text matches a pattern as Redis matches them: *
// and ?, sets such as [a-z] and [^a], and \ for what follows. When something does not
// match, only the last star is given another try. That can still take as long as the
// product of the two lengths, for which everybody would wait: a text that takes so many more
// steps than it is long does not match.
func Match(pattern, text []byte) bool {
	var retry []byte // behind the last star
	star := false
	var from []byte // what that star has not eaten
	for steps := maxGlobSteps + 4*(len(text)+len(pattern)); steps > 0; steps-- {
		if len(pattern) > 0 && pattern[0] == '*' {
			pattern = pattern[1:]
			retry, from, star = pattern, text, true
			continue
		}
		if len(text) == 0 && len(pattern) == 0 {
			return true
		}
		if len(text) > 0 && len(pattern) > 0 {
			if matches, rest := matchOne(pattern, text[0]); matches {
				pattern, text = rest, text[1:]
				continue
			}
		}
		if !star || len(from) == 0 {
			return false
		}
		from = from[1:]
		pattern, text = retry, from
	}
	return false
}

// maxGlobSteps is beyond what patterns that people write take.
const maxGlobSteps = 1 << 17

// matchOne matches a character against the beginning of a pattern that is no
// star, and returns the rest of it.
func matchOne(p []byte, c byte) (matches bool, rest []byte) {
	switch {
	case p[0] == '?':
		return true, p[1:]
	case p[0] == '[':
		return matchSet(p[1:], c)
	case p[0] == '\\' && len(p) > 1:
		p = p[1:]
	}
	return p[0] == c, p[1:]
}

// matchSet reports whether c is in the set that p begins with, and what follows
// it.
func matchSet(p []byte, c byte) (in bool, rest []byte) {
	not := len(p) > 0 && p[0] == '^'
	if not {
		p = p[1:]
	}
	for len(p) > 0 && p[0] != ']' {
		if p[0] == '\\' && len(p) > 1 {
			p = p[1:]
		}
		low, high := p[0], p[0]
		if len(p) > 2 && p[1] == '-' {
			high = p[2]
			p = p[2:]
		}
		in = in || min(low, high) <= c && c <= max(low, high)
		p = p[1:]
	}
	if len(p) > 0 {
		p = p[1:]
	}
	return in != not, p
}
