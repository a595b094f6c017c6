package tests

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// clientHello is what a client begins its handshake with.
func clientHello(o *tls.Config) []byte {
	near, far := net.Pipe()
	go func() {
		tls.Client(near, o).Handshake()
		near.Close()
	}()
	b := make([]byte, 16<<10)
	n, _ := far.Read(b)
	far.Close()
	return b[:n]
}

// stranger is a connection that says b and nothing else.
func stranger(t *testing.T, address string, b []byte) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.Write(b)
	return c
}

// singing sets and gets by TLS, each time on a connection of its own, while f does what it does.
func singing(t *testing.T, p *tlsProxy, f func()) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan int)
	worst := time.Duration(0)
	go func() {
		n := 0
		defer func() { done <- n }()
		for ; ; n++ {
			select {
			case <-stop:
				if n > 5 {
					return
				}
			default:
			}
			began := time.Now()
			c, err := p.try(p.ca.Client(nil))
			if err != nil {
				t.Errorf("connection %d: %v", n, err)
				return
			}
			reply, err := c.Do("AUTH", "globex", "globex-secret")
			if err == nil {
				reply, err = c.Do("PING")
			}
			c.Close()
			if err != nil || reply != "+PONG\r\n" {
				t.Errorf("connection %d: %q, %v", n, reply, err)
				return
			}
			worst = max(worst, time.Since(began))
		}
	}()
	f()
	close(stop)
	t.Logf("%d connections meanwhile, the slowest took %v", <-done, worst.Round(time.Millisecond))
}

// Those who never get on with their handshake are bounded in number and in time, and in nobody's way.
func TestTLSHostileHandshakes(t *testing.T) {
	const most = 50
	p := startTLS(t, fmt.Sprintf("  handshakes: %d\n  handshake_timeout: 2s\n", most), harness.Options{})
	p.Ready(t)
	hello := clientHello(p.ca.Client(nil))
	high := peak(t, p.Process)
	before := resident(p.Cmd.Process.Pid)
	var crowd []net.Conn
	singing(t, p, func() {
		for i := range 1000 {
			crowd = append(crowd, stranger(t, p.addr, [][]byte{
				nil, hello[:1], hello[:5], hello[:len(hello)/2], hello[:len(hello)-1], hello, // and does not read on
			}[i%6]))
			if i%25 == 0 {
				time.Sleep(20 * time.Millisecond) // many, but the proxy can keep up
			}
			if n := metricEvery(t, p, i); n > most {
				t.Errorf("%v are at their handshake, of %d", n, most)
			}
		}
		// One byte at a time is no progress either.
		slow := stranger(t, p.addr, nil)
		for _, b := range hello {
			if _, err := slow.Write([]byte{b}); err != nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		for i, c := range crowd {
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("connection %d is still open", i)
			}
		}
	})
	if got := metric(t, p.Proxy, "riptide_tls_handshakes_in_progress"); got > 2 {
		t.Errorf("%v are still at their handshake", got)
	}
	if grown := (high() - before) >> 20; grown > 48 {
		t.Errorf("%d MiB more", grown)
	}
	if n := metric(t, p.Proxy, "riptide_tls_handshakes_total"); n < 1000 {
		t.Errorf("%v handshakes were counted", n)
	}
	alive(t, p.Proxy)
}

// metricEvery looks now and then how many are at their handshake.
func metricEvery(t *testing.T, p *tlsProxy, i int) float64 {
	if i%100 != 0 {
		return 0
	}
	return metric(t, p.Proxy, "riptide_tls_handshakes_in_progress")
}

// Garbage, and handshakes that break off at any place, leave nothing behind.
func TestTLSHostileFlood(t *testing.T) {
	t.Parallel()
	n := 600
	if full {
		n = 20000
	}
	p := startTLS(t, clientCA+"  client_auth: optional\n", harness.Options{})
	p.Ready(t)
	cert := p.ca.Issue(t, "c", named("nobody"))
	hello := clientHello(p.ca.Client(nil))
	round := func(n int) {
		var wg sync.WaitGroup
		for part := range 8 {
			wg.Go(func() {
				rnd := rand.New(rand.NewSource(int64(part)))
				for i := part; i < n; i += 8 {
					handshakeAttack(p, cert, hello, rnd, i)
				}
			})
		}
		wg.Wait()
	}
	type state struct {
		descriptors int
		goroutines  float64
	}
	measure := func() state {
		harness.Eventually(t, "all are gone", func() bool {
			return metric(t, p.Proxy, "riptide_clients") <= 1 && metric(t, p.Proxy, "riptide_tls_connections") == 0 &&
				metric(t, p.Proxy, "riptide_tls_handshakes_in_progress") == 0
		})
		return state{p.Descriptors(t), metric(t, p.Proxy, "go_goroutines")}
	}
	round(n / 10)
	before := measure()
	singing(t, p, func() { round(n) })
	after := measure()
	t.Logf("before %+v, after %+v", before, after)
	if after.descriptors > before.descriptors+20 || after.goroutines > before.goroutines+8 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	alive(t, p.Proxy)
}

// handshakeAttack is one connection that is no good.
func handshakeAttack(p *tlsProxy, cert *harness.Certificate, hello []byte, rnd *rand.Rand, i int) {
	raw, err := net.DialTimeout("tcp", p.addr, 5*time.Second)
	if err != nil {
		return
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(10 * time.Second))
	if i%3 == 0 {
		raw.(*net.TCPConn).SetLinger(0)
	}
	bent := bytes.Clone(hello)
	switch i % 12 {
	case 0: // garbage
		junk := make([]byte, 1+rnd.Intn(4000))
		rnd.Read(junk)
		raw.Write(junk)
	case 1: // a hello that was bent
		bent[rnd.Intn(len(bent))] ^= byte(1 + rnd.Intn(255))
		raw.Write(bent)
		io.ReadFull(raw, make([]byte, 5))
	case 2: // a record that announces more than there may be
		raw.Write([]byte{22, 3, 1, 0xff, 0xff})
		raw.Write(make([]byte, 20000))
	case 3: // half closed in the middle
		raw.Write(hello[:rnd.Intn(len(hello))])
		raw.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, raw)
	case 4: // gone after the hello
		raw.Write(hello)
	case 5: // another protocol
		raw.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		io.Copy(io.Discard, raw)
	case 6: // empty records
		raw.Write(bytes.Repeat([]byte{22, 3, 1, 0, 0}, 1000))
	default:
		o := p.ca.Client(nil)
		if i%2 == 0 {
			o = p.ca.Client(cert)
		}
		if i%4 == 1 {
			o.MaxVersion = tls.VersionTLS12
		}
		c := tls.Client(raw, o)
		if c.Handshake() != nil {
			return
		}
		switch i % 5 {
		case 0: // closes at once
			c.Close()
		case 1: // leaves in the middle of a record
			raw.Write([]byte{23, 3, 3, 0x10, 0})
		case 2: // a record that is forged
			raw.Write(append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...))
			io.Copy(io.Discard, raw)
		case 3: // leaves with answers under way
			c.Write(append(harness.Request("AUTH", "acme", "acme-secret"), bytes.Repeat(harness.Request("PING"), 2000)...))
		case 4: // says goodbye, and waits
			c.Write(harness.Request("AUTH", "acme", "acme-secret"))
			c.CloseWrite()
			io.Copy(io.Discard, c)
		}
	}
}

// A client that does not read is closed as in plain text, and what was on its way to it is let go.
func TestTLSHostileReader(t *testing.T) {
	t.Parallel()
	p := startTLS(t, "", harness.Options{Limits: "  output_buffer: 1MiB\n"})
	p.Ready(t)
	setup := p.login(t, harness.Acme)
	expect(t, setup, "+OK\r\n", "SET", "big", strings.Repeat("x", 1<<20))
	before := p.Descriptors(t)
	var idle []*harness.Conn
	for range 5 {
		c := p.login(t, harness.Acme)
		state(c)
		for range 30 {
			c.Send("GET", "big")
		}
		idle = append(idle, c)
	}
	harness.Eventually(t, "they are closed", func() bool { return strings.Count(p.Log(), "does not read its replies") >= len(idle) })
	harness.Eventually(t, "nothing is left of them", func() bool { return p.Descriptors(t) <= before+4 })
	expect(t, setup, "+PONG\r\n", "PING")
}

// Silence behind the handshake is bounded by limits.auth_timeout, and the number of clients by limits.clients.
func TestTLSHostileStrangers(t *testing.T) {
	t.Parallel()
	const most = 20
	p := startTLS(t, "", harness.Options{Limits: fmt.Sprintf("  clients: %d\n  auth_timeout: 300ms\n", most)})
	member := p.login(t, harness.Acme)
	for range 2 {
		var crowd []*harness.Conn
		for range 2 * most {
			if c, err := p.try(p.ca.Client(nil)); err == nil {
				crowd = append(crowd, c)
			}
		}
		if len(crowd) > most {
			t.Errorf("%d were let in, of %d", len(crowd), most)
		}
		expect(t, member, "+PONG\r\n", "PING")
		for _, c := range crowd {
			closes(t, c, "a stranger")
			c.Close()
		}
		harness.Eventually(t, "there is room again", func() bool { return metric(t, p.Proxy, "riptide_tls_connections") < 5 })
	}
	expect(t, p.login(t, harness.Acme), "+PONG\r\n", "PING")
}

// Handshakes and clients that do not get on do not keep a proxy from ending.
func TestTLSHostileShutdown(t *testing.T) {
	t.Parallel()
	p := startTLS(t, "  handshake_timeout: 1m\n", harness.Options{Top: "shutdown_timeout: 3s\n"})
	p.Ready(t)
	hello := clientHello(p.ca.Client(nil))
	for i := range 20 {
		stranger(t, p.addr, hello[:i*len(hello)/20])
	}
	busy := p.login(t, harness.Acme)
	expect(t, busy, "+OK\r\n", "SET", "big", strings.Repeat("x", 4<<20))
	for range 8 {
		busy.Send("GET", "big") // and reads nothing
	}
	idle := p.login(t, harness.Acme)
	p.Cmd.Process.Signal(syscall.SIGTERM)
	closes(t, idle, "the proxy ends")
	if _, ok := p.Wait(8 * time.Second); !ok {
		t.Error("it does not end")
	}
	alive := p.Log()
	if strings.Contains(alive, "panic") || !strings.Contains(alive, "stopped") {
		t.Error(alive)
	}
}
