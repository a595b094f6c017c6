package namespace

// MatchGlob reports whether text matches a pattern as Redis understands it:
// * and ?, sets in brackets with ranges and ^, and a backslash that takes the
// meaning from what follows it. It tells subscribers of patterns apart where one subscription
// of the proxy's serves several.
func MatchGlob(pattern, text []byte) bool {
	skip := false
	return matchGlob(pattern, text, &skip, 0)
}

// maxStars bounds the stars in a pattern that need trying, as Redis does.
const maxStars = 1000

// skip tells the callers that a star further right has seen all of the text:
// then no longer match of a star before it can help.
func matchGlob(p, t []byte, skip *bool, stars int) bool {
	if stars > maxStars {
		return false
	}
	for len(p) > 0 && len(t) > 0 {
		switch p[0] {
		case '*':
			for len(p) > 1 && p[1] == '*' {
				p = p[1:]
			}
			if len(p) == 1 {
				return true
			}
			for ; len(t) > 0; t = t[1:] {
				if matchGlob(p[1:], t, skip, stars+1) {
					return true
				}
				if *skip {
					return false
				}
			}
			*skip = true
			return false
		case '?':
			t = t[1:]
		case '[':
			var ok bool
			if ok, p = matchSet(p[1:], t[0]); !ok {
				return false
			}
			t = t[1:]
			if len(p) == 0 {
				return len(t) == 0
			}
		default:
			if p[0] == '\\' && len(p) >= 2 {
				p = p[1:]
			}
			if p[0] != t[0] {
				return false
			}
			t = t[1:]
		}
		p = p[1:]
		if len(t) == 0 {
			for len(p) > 0 && p[0] == '*' {
				p = p[1:]
			}
			break
		}
	}
	return len(p) == 0 && len(t) == 0
}

// matchSet matches one byte with the set that p is in. rest begins with what
// ends the set, and is empty when nothing does.
func matchSet(p []byte, c byte) (ok bool, rest []byte) {
	not := len(p) > 0 && p[0] == '^'
	if not {
		p = p[1:]
	}
	found := false
	for ; len(p) > 0 && p[0] != ']'; p = p[1:] {
		switch {
		case p[0] == '\\' && len(p) >= 2:
			p = p[1:]
			found = found || p[0] == c
		case len(p) >= 3 && p[1] == '-':
			low, high := min(p[0], p[2]), max(p[0], p[2])
			p = p[2:]
			found = found || c >= low && c <= high
		default:
			found = found || p[0] == c
		}
	}
	return found != not, p
}
