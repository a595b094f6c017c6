package harness

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Conn is a raw connection: what it returns is what the server sent, byte for
// byte.
type Conn struct {
	net.Conn
	R *bufio.Reader
}

// Dial connects.
func Dial(addr string) (*Conn, error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &Conn{c, bufio.NewReaderSize(c, 64<<10)}, nil
}

// Request encodes a command.
func Request(args ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

// Do sends a command and returns the reply as it came.
func (c *Conn) Do(args ...string) (string, error) {
	if err := c.Send(args...); err != nil {
		return "", err
	}
	return c.Reply()
}

// Send sends a command.
func (c *Conn) Send(args ...string) error {
	_, err := c.Write(Request(args...))
	return err
}

// Reply reads one reply, of RESP2 or RESP3, as it came. It waits for a bounded
// time.
func (c *Conn) Reply() (string, error) {
	c.SetReadDeadline(time.Now().Add(deadline))
	b, err := c.read(nil)
	return string(b), err
}

func (c *Conn) read(b []byte) ([]byte, error) {
	line, err := c.R.ReadBytes('\n')
	b = append(b, line...)
	if err != nil {
		return b, err
	}
	if len(line) < 3 {
		return b, fmt.Errorf("short line %q", line)
	}
	n, _ := strconv.Atoi(string(line[1 : len(line)-2]))
	switch line[0] {
	case '+', '-', ':', '_', '#', ',', '(':
		return b, nil
	case '$', '=', '!':
		if n < 0 {
			return b, nil
		}
		at := len(b)
		b = append(b, make([]byte, n+2)...)
		_, err := io.ReadFull(c.R, b[at:])
		return b, err
	case '%':
		n *= 2
	case '|':
		n = 2*n + 1
	case '*', '~', '>':
	default:
		return b, fmt.Errorf("unknown type %q", line)
	}
	for range n {
		if b, err = c.read(b); err != nil {
			return b, err
		}
	}
	return b, nil
}
