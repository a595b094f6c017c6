package resp

// Cursor walks over one complete reply from its beginning to its end, and takes apart only what the caller enters. It
// neither copies nor allocates, and every byte is passed once. The first error, also one given to Fail, ends the walk:
// after it there are no more elements.
//
// What is no element does not come up: attributes, and pushes in the middle of a reply. Aggregates of unknown length
// are walked like others, but a string of unknown length is no bulk here; no server sends either.
type Cursor struct {
	in  []byte
	pos int
	err error
}

// Aggregate is an array, set or map that is being walked. A map is walked like the array that RESP2 has in its place.
type Aggregate struct {
	left int64 // elements to come; negative: not known
	kind byte
}

// Map says whether the aggregate is a map.
func (a *Aggregate) Map() bool { return a.kind == '%' }

// NewCursor returns a cursor in front of a reply.
func NewCursor(reply []byte) Cursor {
	c := Cursor{in: reply}
	if len(reply) > 0 && reply[0] == '|' {
		c.attributes()
	}
	return c
}

// Pos returns how much of the reply has been passed.
func (c *Cursor) Pos() int { return c.pos }

// Err returns what ended the walk early, or nil.
func (c *Cursor) Err() error { return c.err }

// Fail ends the walk, unless it has ended early before.
func (c *Cursor) Fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.pos = len(c.in)
}

// Kind returns the type byte of the value that comes next, or 0 at the end.
func (c *Cursor) Kind() byte {
	if c.pos < len(c.in) {
		return c.in[c.pos]
	}
	return 0
}

// Enter goes into the aggregate that comes next. Whatever else comes next, a null among them, is skipped, and ok is
// false. An aggregate that was entered has to be walked to its end with More.
func (c *Cursor) Enter() (a Aggregate, ok bool) {
	switch a.kind = c.Kind(); a.kind {
	case '*', '~', '%':
	default:
		c.Skip()
		return Aggregate{}, false
	}
	h, err := parseHeader(c.in[c.pos:])
	switch {
	case err != nil:
		c.Fail(err)
	case h.size == 0:
		c.Fail(ErrReplyEnd)
	case h.n == null:
		c.pos += h.size
	default:
		c.pos += h.size
		if a.left = h.n; a.kind == '%' && h.n > 0 {
			a.left *= 2
		}
		return a, true
	}
	return Aggregate{}, false
}

// More says whether there is another element; the caller then takes it with Enter, Bulk or Skip.
func (c *Cursor) More(a *Aggregate) bool {
	if a.left == 0 {
		return false
	}
	if k := c.Kind(); k != '$' && k != '*' && !c.element(a) {
		return false
	}
	a.left--
	return true
}

// element goes to the next element, if there is one. Elements that are neither bulks nor arrays come here.
func (c *Cursor) element(a *Aggregate) bool {
	for {
		switch k := c.Kind(); {
		case k == 0:
			c.Fail(ErrReplyEnd)
			return false
		case k == '|':
			c.attributes()
		case k == '>':
			c.Skip()
		case k == '.':
			if a.left > 0 {
				c.Fail(ErrReplyStream)
				return false
			}
			h, _ := parseHeader(c.in[c.pos:])
			c.pos += h.size
			a.left = 0
			if h.size == 0 {
				c.Fail(ErrReplyEnd)
			}
			return false
		default:
			return true
		}
	}
}

// Bulk takes the value that comes next. If it is a bulk string, then ok is true and its content is returned.
func (c *Cursor) Bulk() (content []byte, ok bool) {
	content, size := Bulk(c.in[c.pos:])
	if size == 0 {
		c.Skip()
		return nil, false
	}
	c.pos += size
	return content, true
}

// Skip passes over the value that comes next, however deep it is.
func (c *Cursor) Skip() {
	rest := c.in[c.pos:]
	n := Simple(rest)
	if n == 0 {
		var err error
		if n, err = ValueSize(rest); err != nil {
			c.Fail(err)
			return
		}
	}
	c.pos += n
}

// Leave passes over what is left of an aggregate.
func (c *Cursor) Leave(a *Aggregate) {
	for c.More(a) {
		c.Skip()
	}
}

// attributes passes over the attributes that come next.
func (c *Cursor) attributes() {
	r := rewriter{in: c.in, pos: c.pos}
	if _, err := r.attributes(); err != nil {
		c.Fail(err)
		return
	}
	c.pos = r.pos
}

// Bulk returns the content of the bulk string that b begins with, and its size with header and end. The size is 0 if b
// does not begin with a complete bulk string whose length is known.
func Bulk(b []byte) (content []byte, size int) {
	if len(b) < 2 || b[0] != '$' || b[1] == '-' {
		return nil, 0
	}
	n, size := length(b)
	if size == 0 {
		h, err := parseHeader(b)
		if err != nil || h.n < 0 || h.size == 0 || h.n > int64(len(b)) {
			return nil, 0
		}
		n, size = int(h.n), h.size
	}
	end := size + n
	if len(b)-2 < end || b[end] != '\r' || b[end+1] != '\n' {
		return nil, 0
	}
	return b[size:end:end], end + 2
}
