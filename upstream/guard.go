package upstream

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// guard stands between go-redis and the server. go-redis allocates for whatever
// length a reply announces and recurses as deeply as a reply is nested, so a
// server gone mad, or somebody in its place, could end the process. What the
// proxy asks through go-redis has replies well within these bounds.
type guard struct {
	net.Conn
	bulk  int64             // bytes of a bulk still to come, its CRLF included
	left  [guardDepth]int   // elements still to come, by depth
	depth int               // open arrays
	line  [guardHeader]byte // header in progress
	n     int               // bytes of it
	text  bool              // in the text of a simple string or an error
	err   error
}

const (
	guardDepth  = 16
	guardHeader = 24
	guardArray  = 1 << 20 // elements of one array
	guardBulk   = 1 << 30 // bytes of a bulk
)

var errGuard = errors.New("the upstream's reply is out of bounds")

// Read implements net.Conn. Bytes behind a violation are not passed on.
func (g *guard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.Conn.Read(p)
	if g.err = g.check(p[:n]); g.err != nil {
		return 0, g.err
	}
	return n, err
}

func (g *guard) check(b []byte) error {
	for len(b) > 0 {
		if g.bulk > 0 {
			n := min(int64(len(b)), g.bulk)
			g.bulk -= n
			b = b[n:]
			continue
		}
		c := b[0]
		b = b[1:]
		switch {
		case g.text:
			g.text = c != '\n'
		case c == '\n':
			if err := g.header(string(g.line[:g.n])); err != nil {
				return err
			}
			g.n = 0
		case g.n == 0 && isLine(c):
			g.element()
			g.text = true
		case g.n == len(g.line):
			return errGuard
		default:
			g.line[g.n] = c
			g.n++
		}
	}
	return nil
}

// header takes a complete header line, without its LF.
func (g *guard) header(line string) error {
	if len(line) < 3 || line[len(line)-1] != '\r' {
		return errGuard
	}
	n, err := strconv.ParseInt(line[1:len(line)-1], 10, 64)
	if err != nil {
		return errGuard
	}
	g.element()
	switch line[0] {
	case ':':
	case '$', '=', '!':
		if n > guardBulk || n < -1 {
			return fmt.Errorf("%w: a bulk of %d bytes", errGuard, n)
		}
		if n >= 0 {
			g.bulk = n + 2
		}
	case '*', '~', '>', '%':
		if n > guardArray || n < -1 {
			return fmt.Errorf("%w: an array of %d elements", errGuard, n)
		}
		if n > 0 {
			if g.depth == guardDepth {
				return fmt.Errorf("%w: nested too deeply", errGuard)
			}
			g.left[g.depth] = int(n)
			if line[0] == '%' {
				g.left[g.depth] *= 2
			}
			g.depth++
		}
	default:
		return errGuard
	}
	return nil
}

// isLine tells what takes one line, whatever stands on it: simple strings and
// errors, and RESP3's null, booleans, doubles and big numbers.
func isLine(c byte) bool {
	switch c {
	case '+', '-', '_', '#', ',', '(':
		return true
	}
	return false
}

// element counts one element of the innermost array, and closes the arrays
// that are complete before it.
func (g *guard) element() {
	for g.depth > 0 && g.left[g.depth-1] == 0 {
		g.depth--
	}
	if g.depth > 0 {
		g.left[g.depth-1]--
	}
}
