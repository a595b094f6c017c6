package resp

import "bytes"

// maxDepth bounds how deeply a reply may be nested that Rewrite is to take apart.
const maxDepth = 128

// OutOfBand is the index that stands in a path for a push within an aggregate; the indices after it are the push's own.
const OutOfBand = -1

// Rewrite appends reply, which is one complete reply, to dst, and lets f replace what the leaves hold: the content of
// bulks and streamed strings, the text of a verbatim string behind its format, and what stands after the type in the
// lines of simple strings, errors, integers, doubles, big numbers and booleans. Nulls have no content and attributes
// pass as they are; neither comes to f.
//
// path holds the leaf's index at each level, outermost first, and is empty for a reply that is a leaf. In a map the key
// of pair i has the index 2i and its value 2i+1, as if the map were the array that RESP2 has in its place. path and
// data are valid only during the call. kind is the type byte, '$' for a streamed string too.
//
// f returns the new content and true, or false to leave the leaf as it is. In a line CR and LF become spaces.
//
// On an error dst comes back as it was.
func Rewrite(dst, reply []byte, f func(path []int, kind byte, data []byte) ([]byte, bool)) ([]byte, error) {
	r := rewriter{in: reply, out: dst, f: f}
	err := r.value(0)
	if err == nil && r.pos != len(reply) {
		err = ErrReplyEnd
	}
	if err != nil {
		return dst, err
	}
	return append(r.out, reply[r.copied:]...), nil
}

// rewriter copies what stays as it is in as few pieces as possible: in[copied:pos] is still to be copied.
type rewriter struct {
	in, out     []byte
	pos, copied int
	path        []int
	f           func(path []int, kind byte, data []byte) ([]byte, bool)
}

// value rewrites the value at pos, after whatever attributes it has.
func (r *rewriter) value(depth int) error {
	if depth > maxDepth {
		return ErrReplyDepth
	}
	if _, err := r.attributes(); err != nil {
		return err
	}
	if r.pos < len(r.in) && isText(r.in[r.pos]) {
		return r.line()
	}
	h, err := r.header()
	switch {
	case err != nil:
		return err
	case h.kind == ';' || h.kind == '.':
		return ErrReplyStream
	case h.kind == ':' || h.kind == '#':
		r.leaf(h.kind, r.pos-h.size, r.in[r.pos-h.size+1:r.pos-2])
		return nil
	case h.n == null:
		return nil
	case h.kind == '$' && h.n == streamed:
		return r.chunks()
	case isBulk(h.kind):
		return r.bulk(h)
	case h.kind == '%' && h.n > 0:
		h.n *= 2
	}
	return r.elements(h, depth)
}

// attributes passes over the attributes at pos, and says whether there are any.
func (r *rewriter) attributes() (found bool, err error) {
	for r.pos < len(r.in) && r.in[r.pos] == '|' {
		h, err := r.header()
		if err != nil {
			return true, err
		}
		n, err := skip(r.in[r.pos:], 2*h.n)
		if err != nil {
			return true, err
		}
		r.pos += n
		found = true
	}
	return found, nil
}

// header takes the header line at pos.
func (r *rewriter) header() (replyHeader, error) {
	h, err := parseHeader(r.in[r.pos:])
	if err == nil && h.size == 0 {
		err = ErrReplyEnd
	}
	r.pos += h.size
	return h, err
}

// elements rewrites what the aggregate holds whose header has been taken.
func (r *rewriter) elements(h replyHeader, depth int) error {
	r.path = append(r.path, 0)
	last := len(r.path) - 1
	for i := 0; h.n == streamed || int64(i) < h.n; {
		attributes, err := r.attributes()
		switch {
		case err != nil:
			return err
		case r.pos == len(r.in):
			return ErrReplyEnd
		case h.n == streamed && r.in[r.pos] == '.' && !attributes:
			if h.kind == '%' && i%2 == 1 {
				return ErrReplyStream
			}
			_, err := r.header()
			r.path = r.path[:last]
			return err
		case r.in[r.pos] == '>':
			r.path[last] = OutOfBand
		default:
			r.path[last] = i
			i++
		}
		if err := r.value(depth + 1); err != nil {
			return err
		}
	}
	r.path = r.path[:last]
	return nil
}

// line rewrites a text line.
func (r *rewriter) line() error {
	i := bytes.Index(r.in[r.pos:], []byte("\r\n"))
	if i < 0 {
		return ErrReplyEnd
	}
	from := r.pos
	r.pos += i + 2
	r.leaf(r.in[from], from, r.in[from+1:from+i])
	return nil
}

// bulk rewrites the bulk whose header has been taken.
func (r *rewriter) bulk(h replyHeader) error {
	if h.n > int64(len(r.in)-r.pos-2) {
		return ErrReplyEnd
	}
	from := r.pos - h.size
	data := r.in[r.pos : r.pos+int(h.n)]
	r.pos += int(h.n) + 2
	if r.in[r.pos-2] != '\r' || r.in[r.pos-1] != '\n' {
		return ErrReplyBulk
	}
	r.leaf(h.kind, from, data)
	return nil
}

// chunks rewrites the streamed string whose header has been taken; what replaces it is an ordinary bulk.
func (r *rewriter) chunks() error {
	from := r.pos - len("$?\r\n")
	var data []byte
	for {
		h, err := r.header()
		switch {
		case err != nil:
			return err
		case h.kind != ';':
			return ErrReplyStream
		case h.n == 0:
			r.leaf('$', from, data)
			return nil
		case h.n > int64(len(r.in)-r.pos-2):
			return ErrReplyEnd
		}
		data = append(data, r.in[r.pos:r.pos+int(h.n)]...)
		r.pos += int(h.n) + 2
		if r.in[r.pos-2] != '\r' || r.in[r.pos-1] != '\n' {
			return ErrReplyBulk
		}
	}
}

// leaf asks f about the leaf in[from:pos], and writes it if there is an answer.
func (r *rewriter) leaf(kind byte, from int, data []byte) {
	format := data[:0]
	if kind == '=' {
		format, data = data[:len("txt:")], data[len("txt:"):]
	}
	value, ok := r.f(r.path, kind, data)
	if !ok {
		return
	}
	r.out = append(r.out, r.in[r.copied:from]...)
	r.copied = r.pos
	if isBulk(kind) {
		r.out = appendHeader(r.out, kind, len(format)+len(value))
		r.out = append(r.out, format...)
		r.out = append(r.out, value...)
	} else {
		r.out = append(r.out, kind)
		for _, c := range value {
			if c == '\r' || c == '\n' {
				c = ' '
			}
			r.out = append(r.out, c)
		}
	}
	r.out = append(r.out, '\r', '\n')
}

// skip returns the size of the n values that b begins with.
func skip(b []byte, n int64) (int, error) {
	if n == 0 {
		return 0, nil
	}
	s := ReplyScanner{state: header, left: n, kind: '*'}
	size, done, err := s.feed(b)
	if err == nil && !done {
		err = ErrReplyEnd
	}
	return size, err
}
