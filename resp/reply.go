package resp

import (
	"bytes"
	"math"
)

// ReplyScanner finds where replies end, in as many pieces as they come. The zero value is ready for the first reply;
// after a reply is done it is ready for the next.
//
// A counter of the elements that are still to come is all it takes to find the end of aggregates of a known length,
// however deeply they are nested. Only streamed aggregates, whose length is not known and which no server sends today,
// need a stack; it is bounded by maxStreams.
type ReplyScanner struct {
	left    int64    // elements to come, of the innermost streamed aggregate or else of the reply
	bulk    int64    // bytes to come of the bulk in progress, with its CRLF
	streams []stream // the streamed aggregates that are open
	state   state
	cr      bool // the text in progress ended in CR so far
	kind    byte // type of the reply, 0 until its header has come
	attr    bool // attributes preceded it
	err     error
}

// stream is a streamed aggregate that is open, and what was outstanding around it.
type stream struct {
	outer int64
	pairs bool // a map, which must have as many values as keys
	odd   bool // a key without its value so far
}

type state uint8

const (
	idle    state = iota // between replies
	header               // a header line comes next
	text                 // in the text of a line, which may be long
	content              // in the content of a bulk
	chunks               // a chunk of a streamed string comes next
	chunk                // in a chunk
)

const (
	// maxHeader bounds a header line, CRLF included; its number takes at most 20 bytes.
	maxHeader = 32

	// maxLength bounds what a header may announce, and maxLeft what headers may announce together.
	maxLength = 1 << 40
	maxLeft   = 1 << 60

	// maxStreams bounds how deeply streamed aggregates may be nested.
	maxStreams = 32
)

// Reset forgets the reply in progress, and an error.
func (s *ReplyScanner) Reset() { *s = ReplyScanner{} }

// Kind is the type byte of the reply that was done last or is in progress, 0 if that is not known yet. Attributes are
// not counted as the reply.
func (s *ReplyScanner) Kind() byte { return s.kind }

// Push says whether the reply is an out-of-band message, which answers no request.
func (s *ReplyScanner) Push() bool { return s.kind == '>' }

// Attributes says whether attributes precede the reply.
func (s *ReplyScanner) Attributes() bool { return s.attr }

// Need returns how many bytes are missing of the bulk in progress, or 0 if that is not known. It lets the caller
// choose a buffer.
func (s *ReplyScanner) Need() int { return int(min(s.bulk, math.MaxInt)) }

// Feed goes on where it stopped. buf continues where the bytes consumed so far end; Feed consumes n more of them. If
// done then the reply ends there. Otherwise what was not consumed is the beginning of a header line, of less than 32
// bytes, and belongs before what comes next. Text lines end at their first CRLF: a lone CR or LF is part of the text.
//
// A push within an aggregate is taken as what it is, an out-of-band message, and not as an element: Redis 7.0 writes
// one there when a transaction publishes to the connection that runs it.
//
// After an error the connection is to be closed; Feed returns the same error until Reset.
func (s *ReplyScanner) Feed(buf []byte) (n int, done bool, err error) {
	if s.state == idle {
		if n := Simple(buf); n > 0 {
			s.kind, s.attr = buf[0], false
			return n, true, nil
		}
		if len(buf) == 0 {
			return 0, false, nil
		}
		s.start()
	}
	return s.feed(buf)
}

// Simple returns the size of the small reply that buf begins with: a line, a number, a null or a bulk. It returns 0 if
// that reply is of another type, incomplete or malformed.
func Simple(buf []byte) int {
	if len(buf) < 3 {
		return 0
	}
	switch buf[0] {
	case '$':
		n, size := shortLength(buf)
		if size == 0 {
			if buf[1] == '-' && len(buf) >= 5 && string(buf[:5]) == "$-1\r\n" {
				return 5
			}
			if n, size = longLength(buf); size == 0 {
				return 0
			}
		}
		if end := size + n; end+1 < len(buf) && buf[end] == '\r' && buf[end+1] == '\n' {
			return end + 2
		}
	case ':':
		sign := 0
		if buf[1] == '-' {
			sign = 1
		}
		if _, size := length(buf[sign:]); size > 0 {
			return sign + size
		}
	case '+', '-', ',', '(':
		if len(buf) >= 5 && string(buf[:5]) == "+OK\r\n" {
			return 5
		}
		if i := bytes.IndexByte(buf, '\r'); i > 0 && i+1 < len(buf) && buf[i+1] == '\n' {
			return i + 2
		}
	case '_':
		if buf[1] == '\r' && buf[2] == '\n' {
			return 3
		}
	}
	return 0
}

func (s *ReplyScanner) start() {
	s.state, s.left, s.kind, s.attr = header, 1, 0, false
}

// feed is Feed within a reply.
func (s *ReplyScanner) feed(buf []byte) (n int, done bool, err error) {
	for s.err == nil {
		switch s.state {
		case idle:
			return n, true, nil
		case header:
			n += s.simple(buf[n:])
			if s.state == idle {
				return n, true, nil
			}
			k := s.header(buf[n:])
			if k == 0 {
				return n, false, s.err
			}
			n += k
		case text:
			n += s.text(buf[n:])
		case content, chunk:
			n += s.content(buf[n:])
		case chunks:
			k := s.chunk(buf[n:])
			if k == 0 {
				return n, false, s.err
			}
			n += k
		}
		if n == len(buf) && s.state != idle {
			return n, false, s.err
		}
	}
	return n, false, s.err
}

// simple takes the small elements that buf begins with, as many as there are. It leaves alone what begin must see: the
// reply itself, and the elements of a streamed aggregate.
func (s *ReplyScanner) simple(buf []byte) (n int) {
	for s.left > 1 || s.left == 1 && s.kind != 0 {
		k := Simple(buf[n:])
		if k == 0 {
			break
		}
		n += k
		s.element()
	}
	return n
}

// element notes that an element is complete.
func (s *ReplyScanner) element() {
	s.left--
	s.state = header
	if s.left == 0 && len(s.streams) == 0 {
		s.state = idle
	}
}

func (s *ReplyScanner) fail(err error) int {
	s.err = err
	return 0
}

// header takes the header line that buf begins with. It returns its size, or 0 on an error or if it is incomplete. Of
// a text line it takes just the type.
func (s *ReplyScanner) header(buf []byte) int {
	if len(buf) == 0 {
		return 0
	}
	if isText(buf[0]) {
		s.begin(buf[0])
		s.state, s.cr = text, false
		return 1
	}
	h, err := parseHeader(buf)
	switch {
	case h.size == 0:
		return s.fail(err)
	case h.kind == ';':
		return s.fail(ErrReplyStream)
	case h.kind == '.':
		return s.endStream(h.size)
	}
	top := s.begin(h.kind)
	switch {
	case h.kind == '|':
		s.more(2 * h.n)
		s.attr = s.attr || top
	case h.kind == '>' && !top:
		s.more(h.n)
	case h.n == null:
		s.element()
	case h.n == streamed && h.kind == '$':
		s.state = chunks
	case h.n == streamed:
		s.openStream(h.kind == '%')
	case isBulk(h.kind):
		s.state, s.bulk = content, h.n+2
	case h.kind == '%':
		s.more(2 * h.n)
		s.element()
	default:
		s.more(h.n)
		s.element()
	}
	if s.err != nil {
		return 0
	}
	return h.size
}

// begin notes the type of what begins, and says whether that is the reply itself or attributes of it. The elements of
// a streamed aggregate are counted one at a time, as they begin.
func (s *ReplyScanner) begin(kind byte) (top bool) {
	if s.left == 0 && kind != '>' {
		in := &s.streams[len(s.streams)-1]
		in.odd = !in.odd
		s.left = 1
	}
	top = s.kind == 0 && s.left == 1 && len(s.streams) == 0
	if top && kind != '|' {
		s.kind = kind
	}
	return top
}

func (s *ReplyScanner) more(n int64) {
	if s.left += n; s.left > maxLeft {
		s.err = ErrReplyLength
	}
}

func (s *ReplyScanner) openStream(pairs bool) {
	if len(s.streams) == maxStreams {
		s.err = ErrReplyDepth
		return
	}
	s.streams = append(s.streams, stream{outer: s.left, pairs: pairs})
	s.left = 0
}

func (s *ReplyScanner) endStream(size int) int {
	last := len(s.streams) - 1
	if last < 0 || s.left > 0 || s.streams[last].pairs && s.streams[last].odd {
		return s.fail(ErrReplyStream)
	}
	s.left = s.streams[last].outer
	if s.streams = s.streams[:last]; last == 0 {
		s.streams = nil
	}
	s.element()
	return size
}

// text takes the text of a line, to its CRLF or to the end of buf.
func (s *ReplyScanner) text(buf []byte) int {
	for n := 0; n < len(buf); {
		if s.cr && buf[n] == '\n' {
			s.cr = false
			s.element()
			return n + 1
		}
		i := bytes.IndexByte(buf[n:], '\r')
		s.cr = i >= 0
		if i < 0 {
			break
		}
		n += i + 1
	}
	return len(buf)
}

// content takes what there is of a bulk and of the CRLF behind it.
func (s *ReplyScanner) content(buf []byte) int {
	n := int(min(s.bulk, int64(len(buf))))
	s.bulk -= int64(n)
	if s.bulk > 1 {
		return n
	}
	// The last byte taken is the CR, or the LF with the CR before it unless that came with the former piece.
	last := n
	if s.bulk == 0 {
		if last--; last >= 0 && buf[last] != '\n' {
			s.err = ErrReplyBulk
			return n
		}
	}
	if last > 0 && buf[last-1] != '\r' {
		s.err = ErrReplyBulk
		return n
	}
	switch {
	case s.bulk > 0:
	case s.state == chunk:
		s.state = chunks
	default:
		s.element()
	}
	return n
}

// chunk takes the header of a streamed string's next chunk.
func (s *ReplyScanner) chunk(buf []byte) int {
	h, err := parseHeader(buf)
	switch {
	case h.size == 0:
		return s.fail(err)
	case h.kind != ';':
		return s.fail(ErrReplyStream)
	case h.n == 0:
		s.element()
	default:
		s.state, s.bulk = chunk, h.n+2
	}
	return h.size
}
