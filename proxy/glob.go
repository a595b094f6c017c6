package proxy

import "bytes"

// matchFold matches a name, in lower case, against a glob pattern of any case.
func matchFold(pattern []byte, name string) bool { return glob(bytes.ToLower(pattern), name) }

// glob is the matching of Redis: *, ?, [a-z], [^a] and \ for what follows. It
// takes no longer than the product of the two lengths: when something does not
// match, only the last star is given another try.
func glob(p []byte, s string) bool {
	var retry []byte // behind the last star
	star := false
	from := "" // what that star has not eaten
	for {
		if len(p) > 0 && p[0] == '*' {
			p = p[1:]
			retry, from, star = p, s, true
			continue
		}
		if s == "" && len(p) == 0 {
			return true
		}
		if s != "" && len(p) > 0 {
			if matches, rest := one(p, s[0]); matches {
				p, s = rest, s[1:]
				continue
			}
		}
		if !star || from == "" {
			return false
		}
		from = from[1:]
		p, s = retry, from
	}
}

// one matches a character against the beginning of a pattern that is no star,
// and returns the rest of it.
func one(p []byte, c byte) (matches bool, rest []byte) {
	switch {
	case p[0] == '?':
		return true, p[1:]
	case p[0] == '[':
		return class(p[1:], c)
	case p[0] == '\\' && len(p) > 1:
		p = p[1:]
	}
	return p[0] == c, p[1:]
}

// class reports whether c is in the class that p begins with, and what follows.
func class(p []byte, c byte) (in bool, rest []byte) {
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
