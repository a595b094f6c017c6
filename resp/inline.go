package resp

import (
	"bytes"
	"strconv"
)

// scanInline reads a command as a person types it: one line of words. Redis does not count its arguments while a
// client has yet to log in, the length of the line being bound enough, so neither is that done here.
func (r *Request) scanInline(buf []byte, lim *Limits) error {
	window := buf[:min(len(buf), maxLine+1)]
	i := bytes.IndexByte(window[r.seen:], '\n')
	if i < 0 {
		if len(window) > maxLine {
			return ErrInlineSize
		}
		r.seen, r.have = len(window), len(buf)
		return nil
	}
	end := r.seen + i
	if end >= lim.Request {
		return ErrRequestSize
	}
	line := bytes.TrimSuffix(buf[:end], []byte{'\r'})
	r.inline = true
	if !r.split(line) {
		return ErrInlineQuotes
	}
	if !lim.Unauthenticated {
		if len(r.Args) > lim.Args {
			return ErrMultibulkLength
		}
		for _, a := range r.Args {
			if int(a.End-a.Beg) > lim.Bulk {
				return ErrBulkLength
			}
		}
	}
	r.encode()
	r.pos, r.left, r.started = end+1, 0, true
	return nil
}

// encode writes the canonical form of the words in scratch behind them, and makes Args refer to it.
func (r *Request) encode() {
	r.form = len(r.scratch)
	if len(r.Args) == 0 {
		return
	}
	b := AppendArray(r.scratch, len(r.Args))
	for i, a := range r.Args {
		head := len(b)
		b = append(b, '$')
		b = strconv.AppendUint(b, uint64(a.End-a.Beg), 10)
		b = append(b, '\r', '\n')
		beg := len(b)
		b = append(b, b[a.Beg:a.End]...)
		r.Args[i] = Arg{uint32(head - r.form), uint32(beg - r.form), uint32(len(b) - r.form)}
		b = append(b, '\r', '\n')
	}
	r.scratch = b
}

// split puts the words of line, without their quotes and escapes, one after the other into scratch, and where they
// are into Args. It says false when a quote is not closed, or closed in the middle of a word.
//
// The grammar is Redis's. The one difference is a zero byte, at which Redis stops looking for the end of the line and
// so waits for more until the line is too long; here it is a byte like others.
func (r *Request) split(line []byte) bool {
	out := r.scratch[:0]
	args := r.Args[:0]
	ok := true
	for ok {
		for len(line) > 0 && isSpace(line[0]) {
			line = line[1:]
		}
		if len(line) == 0 {
			break
		}
		beg := len(out)
		out, line, ok = word(out, line)
		args = append(args, Arg{Beg: uint32(beg), End: uint32(len(out))})
	}
	r.scratch, r.Args = out, args
	return ok
}

// word appends the word that line begins with to out, and returns what follows it. A quote may open anywhere in a word
// but ends it when it closes.
func word(out, line []byte) (_, rest []byte, ok bool) {
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\n', '\r', '\t':
			return out, line[i:], true
		case '"', '\'':
			return quoted(out, line[i+1:], c)
		default:
			out = append(out, c)
		}
	}
	return out, nil, true
}

// quoted appends what line holds up to the closing quote, which must be followed by space or the end of the line.
func quoted(out, line []byte, quote byte) (_, rest []byte, ok bool) {
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == quote:
			rest = line[i+1:]
			return out, rest, len(rest) == 0 || isSpace(rest[0])
		case c != '\\' || i+1 == len(line):
			out = append(out, c)
		case quote == '\'':
			if line[i+1] == '\'' {
				i++
			}
			out = append(out, line[i])
		case i+3 < len(line) && line[i+1] == 'x' && isHex(line[i+2]) && isHex(line[i+3]):
			out = append(out, unhex(line[i+2])<<4|unhex(line[i+3]))
			i += 3
		default:
			i++
			out = append(out, unescape(line[i]))
		}
	}
	return out, nil, false
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
