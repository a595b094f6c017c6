package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
	"riptide-proxy/upstream"
)

// patience is how long a test waits for what must happen. It is a deadline for
// failing, never a pause.
const patience = 20 * time.Second

// options change the proxy under test.
type options struct {
	loops   int    // 1 when 0
	limits  string // the limits section's content, in YAML's flow style
	timeout time.Duration
	tenants string // further tenants, indented by two spaces
	top     string // further sections
}

// secretOf is every tenant's own: "<tenant>-secret".
func secretOf(tenant string) string { return tenant + "-secret" }

func hashOf(tenant string) string { return config.HashSecret(secretOf(tenant)) }

// startProxy runs a proxy with the tenants acme and globex in this process. It
// ends with the test.
func startProxy(t testing.TB, address string, o options) *Server {
	t.Helper()
	text := "listen: 127.0.0.1:0\nupstream: {addresses: [" + address + "]}\nlimits: {" + o.limits + "}\nusage: {flush: 0s}\n" + o.top + "tenants:\n"
	for _, id := range []string{"acme", "globex"} {
		text += "  " + id + ": {users: {default: {sha256: [" + hashOf(id) + "]}}}\n"
	}
	cfg, _, err := config.Parse("test.yaml", []byte(text+o.tenants), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Loops = max(1, o.loops)
	if o.timeout == 0 {
		o.timeout = patience
	}
	s, err := Start(cfg, &upstream.Target{Address: address, ConnectTimeout: 5 * time.Second, Timeout: o.timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what a test left unanswered stays so
		s.Shutdown(ctx)
		select {
		case err := <-s.Failed():
			t.Errorf("a loop failed: %v", err)
		default:
		}
	})
	return s
}

// startEmbedded runs a proxy on the embedded upstream.
func startEmbedded(t testing.TB, o options) *Server {
	t.Helper()
	e, err := upstream.StartEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return startProxy(t, e.Address(), o)
}

// startFake runs a proxy on a fake upstream.
func startFake(t testing.TB, o options) (*Server, *fake) {
	t.Helper()
	f := newFake(t)
	return startProxy(t, f.address(), o), f
}

// client is one raw connection to the proxy.
type client struct {
	*harness.Conn
	t testing.TB
}

// dial connects without logging in.
func dial(t testing.TB, s *Server) *client {
	t.Helper()
	c, err := harness.Dial(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &client{c, t}
}

// login connects as a tenant.
func login(t testing.TB, s *Server, tenant string) *client {
	t.Helper()
	c := dial(t, s)
	c.expect("+OK\r\n", "AUTH", tenant, secretOf(tenant))
	return c
}

func (c *client) tcp() *net.TCPConn { return c.Conn.Conn.(*net.TCPConn) }

// send writes commands, each given as words with spaces between.
func (c *client) send(commands ...string) {
	c.t.Helper()
	c.write(pipeline(commands...))
}

// pipeline encodes commands, each given as words with spaces between.
func pipeline(commands ...string) []byte {
	var b []byte
	for _, line := range commands {
		b = append(b, harness.Request(strings.Fields(line)...)...)
	}
	return b
}

func (c *client) write(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// do sends a command and returns its reply as it came.
func (c *client) do(args ...string) string {
	c.t.Helper()
	c.write(harness.Request(args...))
	return c.next()
}

// next returns the next reply as it comes.
func (c *client) next() string {
	c.t.Helper()
	reply, err := c.Reply()
	if err != nil {
		c.t.Fatalf("%v after %q", err, reply)
	}
	return reply
}

// expect sends a command and wants this reply.
func (c *client) expect(want string, args ...string) {
	c.t.Helper()
	if got := c.do(args...); got != want {
		c.t.Fatalf("%q: %q, want %q", args, got, want)
	}
}

// read wants these bytes next.
func (c *client) read(want string) {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, len(want))
	n, err := io.ReadFull(c.R, b)
	if string(b[:n]) != want || err != nil {
		c.t.Fatalf("read %q and %v, want %q", b[:n], err, want)
	}
}

// ends wants the connection to be closed with nothing more sent.
func (c *client) ends() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c.R)
	if len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("read %q and %v, want the end", b, err)
	}
}

// silent wants that nothing has been sent to the client so far. It is only as
// good as the reason why everything that could have come must be there.
func (c *client) silent() {
	c.t.Helper()
	if n := c.R.Buffered(); n > 0 {
		c.t.Fatalf("%d bytes came", n)
	}
	raw, err := c.tcp().SyscallConn()
	if err != nil {
		c.t.Fatal(err)
	}
	// A deadline that has passed would not do: the socket is not even looked at.
	b := make([]byte, 512)
	if err := raw.Control(func(fd uintptr) {
		if n, _, err := unix.Recvfrom(int(fd), b, unix.MSG_PEEK|unix.MSG_DONTWAIT); err != unix.EAGAIN {
			c.t.Errorf("%q came, and %v", b[:max(0, n)], err)
		}
	}); err != nil {
		c.t.Fatal(err)
	}
}

// onLoop runs f on a loop and waits for it.
func onLoop(t testing.TB, w *worker, f func()) {
	t.Helper()
	done := make(chan struct{})
	if !w.loop.Post(func() { defer close(done); f() }) {
		t.Fatal("the loop has ended")
	}
	await(t, done, "the loop")
}

func await[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
	return v
}

// stats asks for the counters.
func stats(t testing.TB, s *Server) *Stats {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	sum, err := s.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
