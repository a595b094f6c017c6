package script

import "bytes"

// kind is what a token of Lua is. Comments are none.
type kind uint8

const (
	kindName kind = iota // an identifier or a keyword
	kindString
	kindNumber
	kindOther // a single byte
)

// token is a token of a script: source[beg:end], which for a string includes its quotes.
type token struct {
	kind kind
	beg  int
	end  int
	line int
}

// tokens splits a script into tokens, as Lua 5.1 does. ok is false for what it does not accept; then the tokens up to
// there are returned. To accept more than Lua does is no danger, to see a block end elsewhere would be one.
func tokens(source []byte) (list []token, ok bool) {
	line := 1
	for i := 0; i < len(source); {
		beg, first := i, source[i]
		switch {
		case first == '\n':
			line++
			i++
			continue
		case first == ' ' || first >= '\t' && first <= '\r':
			i++
			continue
		case first == '-' && bytes.HasPrefix(source[i:], []byte("--")):
			end, long, ok := longBracket(source, i+2)
			switch {
			case !ok:
				return list, false
			case long:
				i = end
			default:
				i = lineEnd(source, i)
			}
			line += bytes.Count(source[beg:i], []byte("\n"))
			continue
		case letter(first):
			for i < len(source) && (letter(source[i]) || digit(source[i])) {
				i++
			}
			list = append(list, token{kindName, beg, i, line})
		case digit(first):
			for i < len(source) && (digit(source[i]) || source[i] == '.') {
				i++
			}
			if i < len(source) && source[i]|0x20 == 'e' {
				if i++; i < len(source) && (source[i] == '+' || source[i] == '-') {
					i++
				}
			}
			for i < len(source) && (letter(source[i]) || digit(source[i])) {
				i++
			}
			list = append(list, token{kindNumber, beg, i, line})
		case first == '"' || first == '\'':
			end, ok := quoted(source, i)
			if !ok {
				return list, false
			}
			i = end
			list = append(list, token{kindString, beg, i, line})
			line += bytes.Count(source[beg:i], []byte("\n"))
		case first < ' ' || first >= 0x7f:
			return list, false // in no token of Lua's but strings
		default:
			end, long, ok := longBracket(source, i)
			if !ok {
				return list, false
			}
			if long {
				i = end
				list = append(list, token{kindString, beg, i, line})
				line += bytes.Count(source[beg:i], []byte("\n"))
				continue
			}
			i++
			list = append(list, token{kindOther, beg, i, line})
		}
	}
	return list, true
}

// longBracket finds the end of "[[...]]" or "[=[...]=]" that begins at i. long is false when none begins there, ok when
// it has no end.
func longBracket(source []byte, i int) (end int, long, ok bool) {
	if i >= len(source) || source[i] != '[' {
		return i, false, true
	}
	level := i + 1
	for level < len(source) && source[level] == '=' {
		level++
	}
	if level >= len(source) || source[level] != '[' {
		return i, false, true
	}
	closing := append(append([]byte{']'}, source[i+1:level]...), ']')
	at := bytes.Index(source[level+1:], closing)
	if at < 0 {
		return i, true, false
	}
	return level + 1 + at + len(closing), true, true
}

// quoted finds the end of the string in quotes that begins at i.
func quoted(source []byte, i int) (end int, ok bool) {
	for quote := source[i]; ; {
		i++
		if i >= len(source) || source[i] == '\n' || source[i] == '\r' {
			return i, false
		}
		if source[i] == '\\' {
			if i++; i+1 < len(source) && (source[i] == '\r' && source[i+1] == '\n' || source[i] == '\n' && source[i+1] == '\r') {
				i++ // one line end of two bytes
			}
		} else if source[i] == quote {
			return i + 1, true
		}
	}
}

func lineEnd(source []byte, i int) int {
	if at := bytes.IndexAny(source[i:], "\r\n"); at >= 0 {
		return i + at
	}
	return len(source)
}

// balanced reports whether every block and bracket that a script closes is one that it has opened, and the other way
// round. What is put around such a script stays around it.
func (p *program) balanced() bool {
	var open []byte
	for i, t := range p.list {
		var what byte
		switch {
		case t.kind == kindOther:
			what = p.source[t.beg]
		case t.kind != kindName:
			continue
		default:
			switch p.text(i) {
			case "function", "do", "if":
				what = 'b'
			case "repeat":
				what = 'r'
			case "end":
				what = 'e'
			case "until":
				what = 'u'
			}
		}
		if opener := closes[what]; opener != 0 {
			if len(open) == 0 || open[len(open)-1] != opener {
				return false
			}
			open = open[:len(open)-1]
		} else if opens[what] {
			open = append(open, what)
		}
	}
	return len(open) == 0
}

var (
	closes = map[byte]byte{'e': 'b', 'u': 'r', ')': '(', ']': '[', '}': '{'}
	opens  = map[byte]bool{'b': true, 'r': true, '(': true, '[': true, '{': true}
)

func letter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' || b == '_' }
func digit(b byte) bool  { return b >= '0' && b <= '9' }

// words returns every run of letters, digits and underscores in a text, in comments and strings too. An identifier of a
// Lua program can not be written in any other way, so a program names no global variable that is not among them.
func words(source []byte) map[string]bool {
	found := make(map[string]bool)
	for i := 0; i < len(source); i++ {
		beg := i
		for i < len(source) && (letter(source[i]) || digit(source[i])) {
			i++
		}
		if i > beg {
			found[string(source[beg:i])] = true
		}
	}
	return found
}
