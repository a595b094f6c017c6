package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// conn is as much of a Redis client as the benchmark needs to fill keys and to
// read counters. A real client library would send commands of its own when it
// connects, which not every peer understands.
type conn struct {
	net.Conn
	r *bufio.Reader
}

// dial connects and, given a secret, logs in. The timeout holds for everything
// that is done on the connection, so nothing that uses it can hang.
func dial(ctx context.Context, addr string, who login, timeout time.Duration) (*conn, error) {
	d := net.Dialer{Timeout: timeout}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	nc.SetDeadline(time.Now().Add(timeout))
	c := &conn{Conn: nc, r: bufio.NewReader(nc)}
	if who.Secret == "" {
		return c, nil
	}
	if _, err := c.do("AUTH", who.User, who.Secret); err != nil {
		c.Close()
		return nil, fmt.Errorf("log in as %s: %w", who.User, err)
	}
	return c, nil
}

// login is what AUTH takes; without a secret there is nothing to log in to.
type login struct{ User, Secret string }

func (c *conn) do(args ...string) (string, error) {
	if _, err := c.Write(appendCommand(nil, args...)); err != nil {
		return "", err
	}
	return c.reply()
}

// reply reads one reply that is not an array.
func (c *conn) reply() (string, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return "", fmt.Errorf("empty line instead of a reply")
	}
	switch line[0] {
	case '+', ':':
		return line[1:], nil
	case '-':
		return "", fmt.Errorf("error reply: %s", line[1:])
	case '$':
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 {
			return "", fmt.Errorf("no value: %q", line)
		}
		buf := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, buf); err != nil {
			return "", err
		}
		return string(buf[:n]), nil
	}
	return "", fmt.Errorf("unexpected reply %q", line)
}

func appendCommand(b []byte, args ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

// preload stores all keys of a value through the target itself, which for
// riptide is the only way into the tenant's namespace. Batches are small
// enough to fit socket buffers on the way, so writer and reader cannot block
// each other.
func preload(ctx context.Context, addr string, who login, v value) error {
	c, err := dial(ctx, addr, who, toolTimeout)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	content := v.content()
	perBatch := max(1, (64<<10)/(v.size+64))
	var batch []byte
	for i := 0; i < v.keys; {
		batch = batch[:0]
		n := min(perBatch, v.keys-i)
		for range n {
			batch = appendCommand(batch, "SET", v.keyName(i), content)
			i++
		}
		if _, err := c.Write(batch); err != nil {
			return err
		}
		for range n {
			if _, err := c.reply(); err != nil {
				return fmt.Errorf("SET: %w", err)
			}
		}
	}
	got, err := c.do("GET", v.keyName(v.keys-1))
	if err == nil && got != content {
		err = fmt.Errorf("GET returned %d bytes that are not what SET stored", len(got))
	}
	return err
}
