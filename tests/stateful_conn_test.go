package tests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"riptide-proxy/tests/harness"
)

// stateConn is a client's connection to one of the two sides. It never waits:
// what the server has written is either here or it is not, which is how the
// test knows that a command has blocked.
type stateConn struct {
	tcp    *net.TCPConn
	raw    syscall.RawConn
	buf    []byte
	frames []stateFrame // arrived since the last comparison
	queue  []*stateCall // sent and not yet answered
	inside bool         // a message arrived within a reply
	id     string       // what CLIENT ID says
	err    error        // how it ended
}

// stateFrame is something that a server sent, and which call it answers; none
// if nobody asked for it.
type stateFrame struct {
	text string
	call *stateCall
}

// stateCall is a command. What differs between the sides by its nature stands
// in it as {id:2}, the number of client 2's connection.
type stateCall struct {
	words    []string
	confirms int // how many confirmations it has, if it is a subscription
}

func (c *stateCall) String() string {
	list := make([]string, len(c.words))
	for i, w := range c.words {
		if list[i] = w; w == "" || strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r > '~' }) {
			list[i] = strconv.Quote(w)
		}
	}
	return strings.Join(list, " ")
}

func (c *stateCall) name() string {
	if c == nil {
		return ""
	}
	switch first := strings.ToLower(c.words[0]); first {
	case "client", "script", "pubsub", "xgroup":
		if len(c.words) > 1 {
			return first + "|" + strings.ToLower(c.words[1])
		}
		return first
	default:
		return first
	}
}

func stateDial(addr string) (*stateConn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	tcp := c.(*net.TCPConn)
	raw, err := tcp.SyscallConn()
	return &stateConn{tcp: tcp, raw: raw}, err
}

// send writes calls at once, with the connections' numbers of this side.
func (c *stateConn) send(calls []*stateCall, ids *strings.Replacer) {
	var b []byte
	for _, call := range calls {
		words := slices.Clone(call.words)
		for i, w := range words {
			words[i] = ids.Replace(w)
		}
		b = append(b, harness.Request(words...)...)
	}
	if _, err := c.tcp.Write(b); err != nil && c.err == nil {
		c.err = err
	}
}

// expect remembers what is to be answered.
func (c *stateConn) expect(calls []*stateCall) {
	for _, call := range calls {
		waiting := *call
		c.queue = append(c.queue, &waiting)
	}
}

// poll takes what has arrived.
func (c *stateConn) poll() {
	var chunk [16 << 10]byte
	for c.err == nil {
		var n int
		var errRead error
		err := c.raw.Read(func(fd uintptr) bool {
			n, errRead = syscall.Read(int(fd), chunk[:])
			return true
		})
		switch {
		case err != nil:
			c.err = err
		case errors.Is(errRead, syscall.EINTR):
			continue
		case errors.Is(errRead, syscall.EAGAIN):
			n = 0
		case errRead != nil:
			c.err = errRead
		case n == 0:
			c.err = io.EOF
		}
		if n <= 0 {
			break
		}
		c.buf = append(c.buf, chunk[:n]...)
	}
	for {
		var pushes []string
		n := stateFrameLen(c.buf, &pushes)
		if n < 0 && c.err == nil {
			c.err = fmt.Errorf("not RESP: %.100q", c.buf)
		}
		if n <= 0 {
			return
		}
		text := string(c.buf[:n])
		c.buf = c.buf[n:]
		for _, p := range pushes {
			text = strings.Replace(text, p, "", 1)
			c.take(p)
		}
		c.take(text)
		c.inside = c.inside || pushes != nil
	}
}

// take finds out what a frame answers.
func (c *stateConn) take(text string) {
	kind := statePush(text)
	head := func() *stateCall {
		if len(c.queue) == 0 {
			return nil
		}
		return c.queue[0]
	}()
	f := stateFrame{text: text}
	switch {
	case kind == "" || kind == "pong":
		if f.call = head; head != nil {
			c.queue = c.queue[1:]
		}
	case strings.HasSuffix(kind, "subscribe"):
		if head != nil && head.confirms > 0 {
			f.call = head
			if head.confirms--; head.confirms == 0 {
				c.queue = c.queue[1:]
			}
		}
	}
	c.frames = append(c.frames, f)
}

var statePushes = []string{
	"message", "pmessage", "smessage", "invalidate", "tracking-redir-broken", "pong",
	"subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe",
}

// statePush is the kind of a message or of a subscription's confirmation, in
// either version of the protocol; empty for any other reply.
func statePush(text string) string {
	if text[0] != '>' && text[0] != '*' {
		return ""
	}
	r := diffParse(text)
	if len(r.kids) < 2 || r.kids[0].kind != '$' {
		return ""
	}
	if kind := r.kids[0].text; slices.Contains(statePushes, kind) {
		return kind
	}
	return ""
}

// stateFrameLen is the length of the first frame in b: 0 if it is incomplete,
// negative if it is none. Redis 7.0 writes what a transaction makes a client
// of RESP3 hear into the middle of EXEC's reply, of which it is no element.
func stateFrameLen(b []byte, pushes *[]string) int {
	end := bytes.Index(b, []byte("\r\n"))
	if end < 0 {
		return 0
	}
	if end == 0 {
		return -1
	}
	n, err := strconv.Atoi(string(b[1:end]))
	at := end + 2
	switch b[0] {
	case '+', '-', ':', '_', '#', ',', '(':
		return at
	case '$', '=', '!':
		if err != nil {
			return -1
		}
		if n < 0 {
			return at
		}
		if len(b) < at+n+2 {
			return 0
		}
		return at + n + 2
	case '%', '|':
		n *= 2
	case '*', '~', '>':
	default:
		return -1
	}
	if err != nil {
		return -1
	}
	for i := 0; i < n; i++ {
		m := stateFrameLen(b[at:], pushes)
		if m <= 0 {
			return m
		}
		if b[at] == '>' {
			*pushes = append(*pushes, string(b[at:at+m]))
			i--
		}
		at += m
	}
	return at
}
