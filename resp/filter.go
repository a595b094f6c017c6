package resp

import "bytes"

// Filter appends reply, which is one complete reply, to dst, without those elements of its outermost array, set, map
// or push that keep refuses. element is the element as it stands in the reply, or the key of the pair in a map; i counts
// elements, or pairs. A reply of any other type is copied. What RESP3 gives as a map is an array of keys and values in
// RESP2: there keep sees both, one after the other. [First] tells what element is called.
//
// On an error dst comes back as it was.
func Filter(dst, reply []byte, keep func(i int, element []byte) bool) ([]byte, error) {
	var s ReplyScanner
	n, done, err := s.Feed(reply)
	switch {
	case err != nil:
		return dst, err
	case !done || n != len(reply):
		return dst, ErrReplyEnd
	}
	// The reply is valid as a whole; from here on nothing can fail.
	r := rewriter{in: reply}
	_, _ = r.attributes()
	h, _ := parseHeader(reply[r.pos:])
	step := int64(1)
	switch h.kind {
	case '*', '~', '>':
	case '%':
		step = 2
	default:
		return append(dst, reply...), nil
	}
	if h.n == null {
		return append(dst, reply...), nil
	}
	dst = append(dst, reply[:r.pos]...)
	head := len(dst)
	dst = append(dst, reply[r.pos:r.pos+h.size]...)
	body := len(dst)
	r.pos += h.size

	kept := 0
	for i := 0; h.n == streamed || int64(i) < h.n; i++ {
		if h.n == streamed && reply[r.pos] == '.' {
			return append(dst, reply[r.pos:]...), nil
		}
		size, _ := skip(reply[r.pos:], 1)
		pair, _ := skip(reply[r.pos:], step)
		if keep(i, reply[r.pos:r.pos+size]) {
			dst = append(dst, reply[r.pos:r.pos+pair]...)
			kept++
		}
		r.pos += pair
	}
	// The new header is never longer than the old one, so that the elements only move down, if at all.
	elements := dst[body:]
	dst = appendHeader(dst[:head], h.kind, kept)
	return append(dst, elements...), nil
}

// First returns the first string in what reply begins with: the content of a string or an error itself, or of the first
// element of an aggregate, however deep. It is how a push, an element of COMMAND or a key of COMMAND DOCS is told from
// others. It returns nil if something else comes first, and the reply need not be complete behind it.
func First(reply []byte) []byte {
	r := rewriter{in: reply}
	for {
		if _, err := r.attributes(); err != nil {
			return nil
		}
		if rest := r.in[r.pos:]; len(rest) > 0 && isText(rest[0]) {
			text, _, found := bytes.Cut(rest[1:], []byte("\r\n"))
			if !found {
				return nil
			}
			return text
		}
		h, err := r.header()
		switch {
		case err != nil || h.n < 0:
			return nil
		case isBulk(h.kind):
			rest := r.in[r.pos:]
			if h.n > int64(len(rest)) {
				return nil
			}
			if h.kind == '=' {
				return rest[len("txt:"):h.n]
			}
			return rest[:h.n]
		case h.n == 0 || h.kind == ';':
			return nil
		}
	}
}

// ArrayElements returns how many elements a complete reply has that is an array, and where they begin; ok is false for
// any other reply, and for the null that RESP2 has as an array.
func ArrayElements(reply []byte) (n int, body []byte, ok bool) {
	if len(reply) == 0 || reply[0] != '*' {
		return 0, nil, false
	}
	h, err := parseHeader(reply)
	if err != nil || h.size == 0 || h.n < 0 {
		return 0, nil, false
	}
	return int(h.n), reply[h.size:], true
}

// ValueSize returns the size of the value that b begins with.
func ValueSize(b []byte) (int, error) { return skip(b, 1) }

// Fields appends to dst the elements, as they stand, of a complete reply that is an array or a push; ok is false for
// any other.
func Fields(dst [][]byte, reply []byte) (_ [][]byte, ok bool) {
	h, err := parseHeader(reply)
	if err != nil || h.size == 0 || h.n < 0 || h.kind != '*' && h.kind != '>' {
		return dst, false
	}
	rest := reply[h.size:]
	for range h.n {
		size, err := skip(rest, 1)
		if err != nil {
			return dst, false
		}
		dst = append(dst, rest[:size])
		rest = rest[size:]
	}
	return dst, true
}
