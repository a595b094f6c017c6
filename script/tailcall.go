package script

// A script that ends with "return redis.call(...)" leaves its frame before the call begins, so that nobody can tell
// afterwards on which line it stood. Plain Redis can, its redis.call being no Lua function. So such calls are put in
// parentheses, which keeps the frame and, since redis.call returns exactly one value, changes nothing else.

// program is a script's text with its tokens.
type program struct {
	source  []byte
	list    []token
	shebang bool // a line was in front of it
	broken  bool // it has to be run inside a function, and can not be
}

func (p *program) text(i int) string {
	if i < 0 || i >= len(p.list) {
		return ""
	}
	return string(p.source[p.list[i].beg:p.list[i].end])
}

func (p *program) is(i int, text string) bool { return p.text(i) == text }

// keepFrames returns the script with parentheses around the calls that it returns.
func (p *program) keepFrames() []byte {
	aliases := p.aliases()
	var out []byte
	from := 0
	for i := range p.list {
		if !p.is(i, "return") || p.list[i].kind != kindName {
			continue
		}
		open := i + 2
		if p.is(i+1, "redis") || p.is(i+1, "server") {
			if !p.is(i+2, ".") || !p.is(i+3, "call") {
				continue
			}
			open = i + 4
		} else if !aliases[p.text(i+1)] {
			continue
		}
		end := p.closing(open)
		if end < 0 {
			continue
		}
		switch p.text(end + 1) {
		case "", "end", "else", "elseif", "until", ";":
		default:
			continue
		}
		beg, last := p.list[i+1].beg, p.list[end].end
		out = append(out, p.source[from:beg]...)
		out = append(append(append(out, '('), p.source[beg:last]...), ')')
		from = last
	}
	return append(out, p.source[from:]...)
}

// closing returns the token that closes the parenthesis at open, or -1 when there is none.
func (p *program) closing(open int) int {
	if !p.is(open, "(") {
		return -1
	}
	depth := 0
	for i := open; i < len(p.list); i++ {
		if p.list[i].kind != kindOther {
			continue
		}
		switch p.source[p.list[i].beg] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// aliases returns the names that stand for redis.call throughout the script: given that value once, by "local call =
// redis.call", and in all other places only called.
func (p *program) aliases() map[string]bool {
	found := make(map[string]bool)
	for i := range p.list {
		if p.is(i, "local") && p.is(i+2, "=") && p.is(i+3, "redis") && p.is(i+4, ".") && p.is(i+5, "call") &&
			!p.is(i+6, "(") && !p.is(i+6, ",") && p.list[i+1].kind == kindName {
			found[p.text(i+1)] = true
		}
	}
	if len(found) == 0 {
		return nil
	}
	defined := make(map[string]bool)
	for i, t := range p.list {
		name := p.text(i)
		if t.kind != kindName || !found[name] {
			continue
		}
		switch {
		case p.is(i-1, "local") && !defined[name]:
			defined[name] = true
		case !p.is(i+1, "(") || p.is(i-1, "function") || p.is(i-1, ".") || p.is(i-1, ":"):
			delete(found, name)
		}
	}
	return found
}
