package tlsterm

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"riptide-proxy/config"
	"riptide-proxy/netloop"
	"riptide-proxy/tests/harness"
)

const patience = 10 * time.Second

// rig is a terminator on a listener. What it lets in is on loops, in place of a loop.
type rig struct {
	*Terminator
	ca    *harness.Authority
	addr  string
	loops chan net.Conn
	conns chan *Conn
	errs  chan error
}

func newRig(t *testing.T, before func(net.Conn) error, change func(c *config.TLS)) *rig {
	t.Helper()
	r := &rig{ca: harness.NewAuthority(t, "ca"), loops: make(chan net.Conn, 100), conns: make(chan *Conn, 100), errs: make(chan error, 1000)}
	server := r.ca.Server(t, "server")
	c := section(func(x *config.TLS) { x.Cert, x.Key = server.Cert, server.Key; change(x) })
	if c.ClientCA != "" {
		c.ClientCA = r.ca.File
	}
	files, err := ServerFiles(c)
	if err != nil {
		t.Fatal(err)
	}
	r.Terminator = NewTerminator(c, files)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			fd, _ := netloop.Detach(conn.(*net.TCPConn))
			conn.Close()
			r.Take(fd, before, func(fd int, c *Conn, err error) {
				if err != nil {
					r.errs <- err
					return
				}
				f := os.NewFile(uintptr(fd), "loop")
				loop, _ := net.FileConn(f)
				f.Close()
				r.loops <- loop
				r.conns <- c
			})
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		r.Close(ctx)
		if n := r.Open(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
	return r
}

func (r *rig) dial(t *testing.T) (client *tls.Conn, loop net.Conn, c *Conn) {
	t.Helper()
	client, err := tls.Dial("tcp", r.addr, r.ca.Client(nil))
	if err != nil {
		t.Fatal(err)
	}
	loop = <-r.loops
	t.Cleanup(func() { client.Close(); loop.Close() })
	client.SetDeadline(time.Now().Add(patience))
	loop.SetDeadline(time.Now().Add(patience))
	return client, loop, <-r.conns
}

// Whatever goes in on one side comes out on the other, in pieces of any size, both ways at once.
func TestBridge(t *testing.T) {
	r := newRig(t, nil, func(*config.TLS) {})
	client, loop, _ := r.dial(t)
	data := make([]byte, 3<<20)
	rnd := rand.New(rand.NewSource(1))
	rnd.Read(data)
	pour := func(c io.Writer, seed int64) {
		rnd, b := rand.New(rand.NewSource(seed)), data
		for len(b) > 0 {
			n := min(len(b), 1+rnd.Intn(1<<rnd.Intn(17)))
			if _, err := c.Write(b[:n]); err != nil {
				t.Error(err)
				return
			}
			b = b[n:]
		}
	}
	go pour(client, 2)
	go pour(loop, 3)
	for _, c := range []io.Reader{client, loop} {
		got := make([]byte, len(data))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
			t.Errorf("what came out is something else: %v", err)
		}
	}
	// The client ends its side, and is still answered.
	client.CloseWrite()
	if n, err := loop.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
	loop.Write([]byte("last"))
	loop.Close()
	if rest, err := io.ReadAll(client); string(rest) != "last" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// What the loop has said before it closed is still given to a client that reads slowly, and one that reads nothing
// is given up.
func TestBridgeLeaves(t *testing.T) {
	r := newRig(t, nil, func(*config.TLS) {})
	for _, reads := range []bool{true, false} {
		client, loop, c := r.dial(t)
		sent := make(chan int, 1)
		go func() {
			n := 0
			for loop.SetWriteDeadline(time.Now().Add(200*time.Millisecond)) == nil {
				k, err := loop.Write(make([]byte, 8<<10))
				if n += k; err != nil || n > 64<<20 {
					break
				}
			}
			sent <- n
		}()
		n := <-sent // all that there is room for
		loop.Close()
		c.Leave()
		if !reads {
			continue
		}
		got, err := io.Copy(io.Discard, client)
		if err != nil || got != int64(n) {
			t.Errorf("%d bytes of %d, %v", got, n, err)
		}
	}
	for end := time.Now().Add(patience); r.Open() > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := r.Open(); n > 0 {
		t.Errorf("%d connections stay", n)
	}
}

// Those who keep the proxy waiting make room, the one that has done so longest first; one that is there is not
// in their way.
func TestHandshakesMakeRoom(t *testing.T) {
	r := newRig(t, nil, func(c *config.TLS) { c.Handshakes = 4 })
	client, loop, _ := r.dial(t)
	var silent []net.Conn
	for range 12 {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
		for r.Stats().Shaking == 0 || r.queued() != r.Stats().Shaking {
			time.Sleep(time.Millisecond)
		}
	}
	for i := range 8 {
		silent[i].SetReadDeadline(time.Now().Add(patience))
		if _, err := silent[i].Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	if s := r.Stats(); s.Shaking > 4 || s.Crowded < 8 {
		t.Errorf("%+v", s)
	}
	r.dial(t)
	client.Write([]byte("x"))
	if n, err := loop.Read(make([]byte, 1)); n != 1 {
		t.Error(n, err)
	}
}

func (r *rig) queued() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting.Len()
}

// Who takes too long is closed, and what comes ahead of the handshake may refuse.
func TestHandshakeRefused(t *testing.T) {
	r := newRig(t, nil, func(c *config.TLS) { c.HandshakeTimeout = config.Duration(50 * time.Millisecond) })
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
	if err := <-r.errs; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	no := errors.New("no")
	r = newRig(t, func(net.Conn) error { return no }, func(*config.TLS) {})
	if _, err := tls.Dial("tcp", r.addr, r.ca.Client(nil)); err == nil {
		t.Error("it was let in")
	}
	if err := <-r.errs; err != no {
		t.Error(err)
	}
}

// A certificate is looked at again when it ends, and when the authorities are others.
func TestVerifyAgain(t *testing.T) {
	r := newRig(t, nil, func(c *config.TLS) { c.ClientCA, c.ClientAuth = "the rig's", config.OptionalClientAuth })
	none, _, without := r.dial(t)
	defer none.Close()
	o := r.ca.Client(r.ca.Issue(t, "c", x509.Certificate{DNSNames: []string{"c"}}))
	client, err := tls.Dial("tcp", r.addr, o)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	loop, c := <-r.loops, <-r.conns
	defer loop.Close()
	if names := c.Names(); len(names) != 1 || names[0] != "dns:c" || without.Names() != nil {
		t.Error(names, without.Names())
	}
	now, same, other := time.Now(), r.files.Load().Config().ClientCAs, harness.NewAuthority(t, "ca")
	both := x509.NewCertPool()
	both.AddCert(parse(t, r.ca.File))
	both.AddCert(parse(t, other.File))
	for _, one := range []struct {
		about string
		by    *x509.CertPool
		at    time.Time
		good  bool
	}{
		{"as it was", same, now, true}, {"one more", both, now, true}, {"another one", other.Pool, now, false}, {"none", nil, now, false},
		{"later", same, now.Add(40 * 24 * time.Hour), false}, {"later, by others", both, now.Add(40 * 24 * time.Hour), false},
	} {
		by := &tls.Config{ClientCAs: one.by, ClientAuth: tls.VerifyClientCertIfGiven}
		if err := c.check(by, one.at); (err == nil) != one.good {
			t.Errorf("%s: %v", one.about, err)
		}
		if err := without.check(by, one.at); err != nil {
			t.Errorf("%s, without one: %v", one.about, err)
		}
	}
	if err := without.check(&tls.Config{ClientCAs: same, ClientAuth: tls.RequireAndVerifyClientCert}, now); err != errNoCertificate {
		t.Errorf("without one where there has to be one: %v", err)
	}
	r.open.verify(&tls.Config{ClientCAs: other.Pool}, now)
	loop.SetReadDeadline(time.Now().Add(patience))
	if _, err := loop.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("it stays", err)
	}
}

func parse(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	pool, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(block(pool))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The loop's end is as loops want it.
func TestPairDescriptor(t *testing.T) {
	fds, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		exec, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if flags&unix.O_NONBLOCK == 0 || exec&unix.FD_CLOEXEC == 0 {
			t.Error(flags, exec)
		}
		unix.Close(fd)
	}
}
