package resp

// Filter appends reply, which is one complete reply, to dst, without those elements of its outermost array, set, map
// or push that keep refuses. element is the element as it stands in the reply, or the key of the pair in a map; i counts
// elements, or pairs. A reply of any other type is copied.
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
