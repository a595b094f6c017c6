package resp

import "bytes"

// replyHeader is a header line that was understood.
type replyHeader struct {
	kind byte
	n    int64 // length of a bulk or an aggregate, or one of the constants below
	size int   // of the line
}

const (
	null     = -1 // the value is null, or is all in the line
	streamed = -2 // the length is not known
)

// isText says whether a type's value is the rest of the line, which may be of any length.
func isText(kind byte) bool {
	switch kind {
	case '+', '-', ',', '(':
		return true
	}
	return false
}

// isBulk says whether a type's value follows the line, and is as long as it says.
func isBulk(kind byte) bool { return kind == '$' || kind == '=' || kind == '!' }

// parseHeader reads the header line that buf begins with, of any type that is not text. The size is 0 on an error and
// when the line is incomplete.
func parseHeader(buf []byte) (h replyHeader, err error) {
	if len(buf) == 0 {
		return h, nil
	}
	h.kind = buf[0]
	switch h.kind {
	case '$', '=', '!', '*', '~', '%', '>', '|', ';', ':', '_', '#', '.':
	default:
		return h, ErrReplyType
	}
	n, size := length(buf)
	if size == 0 {
		window := buf[:min(len(buf), maxHeader-2)]
		cr := bytes.IndexByte(window, '\r')
		switch {
		case cr < 0 && len(window) == maxHeader-2:
			return h, ErrReplyHeader
		case cr < 0 || cr+1 == len(buf):
			return h, nil
		case buf[cr+1] != '\n':
			return h, ErrReplyHeader
		}
		return h.parse(buf[1:cr])
	}
	switch {
	case h.kind == '_' || h.kind == '#' || h.kind == '.':
		return h, ErrReplyHeader
	case h.kind == '=' && n < len("txt:"):
		return h, ErrReplyLength
	}
	h.n, h.size = int64(n), size
	if h.kind == ':' {
		h.n = null
	}
	return h, nil
}

// parse reads what stands between the type and the end of the line.
func (h replyHeader) parse(field []byte) (replyHeader, error) {
	size := len(field) + 3
	value := string(field)
	ok := false
	switch h.kind {
	case '_', '.':
		h.n, ok = null, value == ""
	case '#':
		h.n, ok = null, value == "t" || value == "f"
	case ':':
		h.n, ok = null, isInteger(field)
	case '$', '*':
		switch value {
		case "-1":
			h.n, ok = null, true
		case "?":
			h.n, ok = streamed, true
		}
	case '~', '%':
		h.n, ok = streamed, value == "?"
	}
	if ok {
		h.size = size
		return h, nil
	}
	n, isInt := ParseInt(field)
	switch h.kind {
	case '_', '.', '#', ':':
		return h, ErrReplyHeader
	}
	switch {
	case !isInt:
		return h, ErrReplyHeader
	case n < 0 || n > maxLength || h.kind == '=' && n < int64(len("txt:")):
		return h, ErrReplyLength
	}
	h.n, h.size = n, size
	return h, nil
}

// isInteger says whether field is a number as it may stand in a reply. Numbers are only passed on, so the sign and
// leading zeros are not looked at as strictly as in a length.
func isInteger(field []byte) bool {
	if len(field) > 0 && (field[0] == '-' || field[0] == '+') {
		field = field[1:]
	}
	for _, c := range field {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(field) > 0 && len(field) <= 19
}
