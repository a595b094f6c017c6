package upstream

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"riptide-proxy/netloop"
	"riptide-proxy/resp"
)

// patience is how long a test waits for what must happen. It is a deadline
// for failing, never a pause.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

func await[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		buf := make([]byte, 1<<20)
		t.Fatalf("waited in vain for %s\n%s", what, buf[:runtime.Stack(buf, true)])
	}
	return v
}

// fake is a server that does what a test says, one connection after the other.
type fake struct {
	t     testing.TB
	ln    net.Listener
	conns chan *fakeConn
	sick  atomic.Bool // answers -LOADING to whoever asks for facts
}

type fakeConn struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func newFake(t testing.TB) *fake {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, ln: ln, conns: make(chan *fakeConn, 1000)}
	f.serve()
	return f
}

func (f *fake) serve() {
	ln := f.ln
	f.t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(patience))
			f.conns <- &fakeConn{c, f.t, bufio.NewReader(c)}
		}
	}()
}

// down stops listening, and up starts it again at the same address.
func (f *fake) down() { f.ln.Close() }

func (f *fake) up() {
	f.t.Helper()
	var err error
	if f.ln, err = net.Listen("tcp", f.address()); err != nil {
		f.t.Fatal(err)
	}
	f.serve()
}

func (f *fake) address() string { return f.ln.Addr().String() }

// accept takes the next connection, and answers its greeting.
func (f *fake) accept() *fakeConn {
	f.t.Helper()
	c := await(f.t, f.conns, "a connection")
	c.want("PING")
	c.send("+PONG\r\n")
	return c
}

// next reads one command; empty at the end of input.
func (c *fakeConn) next() string {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return ""
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	args := make([]string, n)
	for i := range args {
		line, _ := c.r.ReadString('\n')
		size, err := strconv.Atoi(strings.TrimSpace(line[1:]))
		b := make([]byte, size+2)
		if _, e := io.ReadFull(c.r, b); e != nil || err != nil {
			return ""
		}
		args[i] = string(b[:size])
	}
	return strings.Join(args, " ")
}

func (c *fakeConn) want(commands ...string) {
	c.t.Helper()
	for _, want := range commands {
		if got := c.next(); got != want {
			c.t.Fatalf("the server got %.100q, want %.100q", got, want)
		}
	}
}

func (c *fakeConn) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

// echo answers every command with itself until the end.
func (c *fakeConn) echo() {
	w := bufio.NewWriter(c)
	for {
		s := c.next()
		if s == "" {
			return
		}
		fmt.Fprintf(w, "$%d\r\n%s\r\n", len(s), s)
		if c.r.Buffered() == 0 {
			w.Flush()
		}
	}
}

// reset drops the connection and whatever is in its buffers.
func (c *fakeConn) reset() {
	c.Conn.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// cmd is what the test's owner remembers of a command.
type cmd struct {
	id    int
	again bool
}

// fate is what has become of a command.
type fate struct {
	id    int
	reply string
	err   error
}

var errOversized = fmt.Errorf("oversized")

// owner writes down what it is told. Its fields belong to the loop.
type owner struct {
	l        *netloop.Loop
	k        *Link[cmd]
	t        testing.TB
	fates    chan fate
	asked    map[int]int
	relieved chan bool
	more     func(c *cmd, reply string) bool // whether another reply is to come
}

func (o *owner) Reply(c *cmd, b []byte) bool {
	o.fates <- fate{id: c.id, reply: string(b)}
	return o.more != nil && o.more(c, string(b))
}
func (o *owner) Failed(c *cmd, err error) { o.fates <- fate{id: c.id, err: err} }
func (o *owner) Oversized(c *cmd) bool {
	o.fates <- fate{id: c.id, err: errOversized}
	return o.more != nil && o.more(c, "")
}
func (o *owner) Relieved() { o.relieved <- true }
func (o *owner) Lost()     {}
func (o *owner) Refused()  {}
func (o *owner) Again(c *cmd) (again bool) {
	o.asked[c.id]++
	again, c.again = c.again, false
	return again
}

// newLoop makes a loop for links to the target, whose limits are generous where it has none.
func newLoop(t testing.TB, target *Target) *netloop.Loop {
	t.Helper()
	l, err := netloop.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*time.Duration{&target.ConnectTimeout, &target.Timeout} {
		if *d == 0 {
			*d = patience
		}
	}
	if target.MaxReply == 0 {
		target.MaxReply = 1 << 30
	}
	return l
}

// run runs a loop until the test ends, which has it call end first.
func run(t testing.TB, l *netloop.Loop, end func()) {
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	t.Cleanup(func() {
		l.Post(func() {
			end()
			l.StopRun()
		})
		await(t, done, "the loop to end")
	})
}

// newOwner runs a loop with a link to the target.
func newOwner(t testing.TB, target *Target, proto int) *owner {
	t.Helper()
	l := newLoop(t, target)
	o := &owner{l: l, t: t, fates: make(chan fate, 1<<20), asked: map[int]int{}, relieved: make(chan bool, 100)}
	l.BeforeWrite(func() {
		if o.k != nil {
			o.k.Flush()
		}
	})
	run(t, l, func() { o.k.Close() })
	o.on(func() { o.k = NewLink(l, target, proto, Owner[cmd](o)) })
	return o
}

func (o *owner) on(f func()) {
	o.t.Helper()
	done := make(chan struct{})
	if !o.l.Post(func() { defer close(done); f() }) {
		o.t.Fatal("the loop has ended")
	}
	await(o.t, done, "a posted function")
}

func (o *owner) eventually(what string, ok func() bool) {
	o.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); runtime.Gosched() {
		yes := false
		o.on(func() { yes = ok() })
		if yes {
			return
		}
	}
	o.t.Fatalf("waited in vain for %s", what)
}

// give is to be called on the loop. A command whose name begins with G may be
// sent again.
func (o *owner) give(id int, args ...string) {
	n := 0
	for _, a := range args {
		n += len(a) + 16
	}
	o.k.End(resp.AppendRequest(o.k.Begin(n+16), args...), cmd{id, args[0][0] == 'G'})
}

// send gives commands in one turn, numbered from first on.
func (o *owner) send(first int, commands ...string) {
	o.t.Helper()
	o.on(func() {
		for i, s := range commands {
			o.give(first+i, strings.Split(s, " ")...)
		}
	})
}

func (o *owner) wantFate(id int, reply string, err error) {
	o.t.Helper()
	if got, want := await(o.t, o.fates, "a reply"), (fate{id, reply, err}); got != want {
		o.t.Fatalf("got %.100v, want %.100v", got, want)
	}
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }
