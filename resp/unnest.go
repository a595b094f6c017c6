package resp

// Unnest takes the pushes out of a complete reply that stand between the elements of its aggregates, where Redis 7.0
// puts them when a command's own effect is what they are about. It appends the reply without them to dst; pushes are parts
// of reply. Where there is nothing to take out, found is false and nothing is done. On an error dst comes back as it
// was.
func Unnest(dst, reply []byte) (_ []byte, pushes [][]byte, found bool, err error) {
	if !mayNest(reply) {
		return dst, nil, false, nil
	}
	u := unnester{in: reply, out: dst}
	if err := u.value(0); err != nil {
		return dst, nil, false, err
	}
	if len(u.pushes) == 0 {
		return dst, nil, false, nil
	}
	return append(u.out, reply[u.copied:]...), u.pushes, true, nil
}

// mayNest looks for a line within an aggregate that begins as a push does.
func mayNest(reply []byte) bool {
	if len(reply) == 0 || reply[0] != '*' && reply[0] != '%' && reply[0] != '~' {
		return false
	}
	for i := 1; i < len(reply); i++ {
		if reply[i] == '>' && reply[i-1] == '\n' {
			return true
		}
	}
	return false
}

type unnester struct {
	in, out     []byte
	pos, copied int
	pushes      [][]byte
}

func (u *unnester) value(depth int) error {
	if depth > maxDepth {
		return ErrReplyDepth
	}
	r := rewriter{in: u.in, pos: u.pos}
	if _, err := r.attributes(); err != nil {
		return err
	}
	u.pos = r.pos
	if u.pos == len(u.in) {
		return ErrReplyEnd
	}
	switch u.in[u.pos] {
	case '*', '%', '~':
	default:
		n, err := ValueSize(u.in[u.pos:])
		u.pos += n
		return err
	}
	h, err := r.header()
	if err != nil {
		return err
	}
	u.pos = r.pos
	if h.kind == '%' && h.n > 0 {
		h.n *= 2
	}
	for i := int64(0); h.n == streamed || i < h.n; {
		switch {
		case u.pos == len(u.in):
			return ErrReplyEnd
		case h.n == streamed && u.in[u.pos] == '.':
			n, err := parseHeader(u.in[u.pos:])
			u.pos += n.size
			return err
		case u.in[u.pos] == '>':
			n, err := ValueSize(u.in[u.pos:])
			if err != nil {
				return err
			}
			u.out = append(u.out, u.in[u.copied:u.pos]...)
			u.pushes = append(u.pushes, u.in[u.pos:u.pos+n])
			u.pos += n
			u.copied = u.pos
		default:
			if err := u.value(depth + 1); err != nil {
				return err
			}
			i++
		}
	}
	return nil
}
