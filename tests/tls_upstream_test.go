package tests

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

// tlsRedis is a Redis that speaks TLS, asks for a certificate, and can not be reached otherwise but at plain.
type tlsRedis struct {
	*harness.Process
	ca          *harness.Authority
	server, own *harness.Certificate
	port        int
}

func startTLSRedis(t *testing.T, args ...string) *tlsRedis {
	t.Helper()
	r := &tlsRedis{ca: harness.NewAuthority(t, "the upstream's authority"), port: harness.FreePort(t)}
	r.server, r.own = r.ca.Server(t, "redis"), r.ca.Issue(t, "proxy", named("proxy"))
	r.Process = harness.StartRedis(t, append([]string{"--tls-port", fmt.Sprint(r.port), "--tls-cert-file", r.server.Cert, "--tls-key-file", r.server.Key,
		"--tls-ca-cert-file", r.ca.File, "--tls-auth-clients", "yes"}, args...)...)
	return r
}

func (r *tlsRedis) address() string { return fmt.Sprintf("127.0.0.1:%d", r.port) }

func (r *tlsRedis) section() string {
	return fmt.Sprintf("  tls: {ca: %s, cert: %s, key: %s}\n", r.ca.File, r.own.Cert, r.own.Key)
}

// busyWith does a bit of everything that takes a connection of its own, or a go-redis client.
func busyWith(t *testing.T, c *redis.Client) {
	t.Helper()
	ctx := harness.Context(t)
	big := make([]byte, 3<<20)
	rand.New(rand.NewSource(2)).Read(big)
	if err := c.Set(ctx, "big", big, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Get(ctx, "big").Bytes(); err != nil || !bytes.Equal(got, big) {
		t.Error(len(got), err)
	}
	if keys, err := c.Keys(ctx, "*").Result(); err != nil || len(keys) != 1 {
		t.Error(keys, err)
	}
	if v, err := c.Eval(ctx, "return redis.call('STRLEN', KEYS[1])", []string{"big"}).Int(); err != nil || v != len(big) {
		t.Error(v, err)
	}
	if _, err := c.TxPipelined(ctx, func(tx redis.Pipeliner) error { tx.Incr(ctx, "n"); tx.Incr(ctx, "n"); return nil }); err != nil {
		t.Error(err)
	}
	sub := c.Subscribe(ctx, "news")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Publish(ctx, "news", "x").Result(); n != 1 || err != nil {
		t.Error(n, err)
	}
	_, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range 5000 {
			pipe.Set(ctx, fmt.Sprint("k", i), i, 0)
		}
		return nil
	})
	if n := c.DBSize(ctx).Val(); err != nil || n != 5002 {
		t.Error(n, err)
	}
}

func TestUpstreamTLS(t *testing.T) {
	t.Parallel()
	r := startTLSRedis(t)
	p := harness.StartProxy(t, r.address(), harness.Options{Upstream: r.section()})
	for _, proto := range []int{2, 3} {
		c := p.Client(t, harness.Acme, func(o *redis.Options) { o.Protocol = proto })
		c.FlushAll(harness.Context(t))
		busyWith(t, c)
	}
	// Nothing of it went in plain text.
	clients, err := redis.NewClient(&redis.Options{Addr: r.Addr}).ClientList(harness.Context(t)).Result()
	if err != nil || strings.Count(clients, fmt.Sprintf(":%d ", r.port)) < 2 || strings.Count(clients, "laddr="+r.Addr) != 1 {
		t.Errorf("%s, %v", clients, err)
	}
	// The command line goes the same way.
	if out, err := exec.Command(harness.Binary(t), "recompress", "--config", p.Config, "--tenant", "acme", "--plain").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// An upstream that can not prove who it is, or that does not believe the proxy, gets nothing of the tenants'.
func TestUpstreamTLSRefused(t *testing.T) {
	t.Parallel()
	r := startTLSRedis(t)
	stranger := harness.NewAuthority(t, "the upstream's authority")
	for name, tls := range map[string]string{
		"another authority": fmt.Sprintf("{ca: %s, cert: %s, key: %s}", stranger.File, r.own.Cert, r.own.Key),
		"another name":      fmt.Sprintf("{ca: %s, cert: %s, key: %s, server_name: redis.example}", r.ca.File, r.own.Cert, r.own.Key),
		"the system's":      fmt.Sprintf("{cert: %s, key: %s}", r.own.Cert, r.own.Key),
		"no certificate":    fmt.Sprintf("{ca: %s}", r.ca.File),
	} {
		p := harness.StartProxy(t, r.address(), harness.Options{Upstream: "  tls: " + tls + "\n"})
		c := p.Connect(t, harness.Acme)
		harness.Eventually(t, name, func() bool {
			reply, err := c.Do("GET", "k")
			return err == nil && strings.HasPrefix(reply, "-UNAVAILABLE")
		})
	}
}

// relay stands between the proxy and the upstream, and can cut the line, or stop without a word.
type relay struct {
	net.Listener
	to      string
	stopped atomic.Bool
	conns   chan net.Conn
}

func startRelay(t *testing.T, to string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: ln, to: to, conns: make(chan net.Conn, 1000)}
	t.Cleanup(func() { ln.Close(); r.cut() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.conns <- c
			if r.stopped.Load() {
				continue
			}
			go func() {
				up, err := net.Dial("tcp", to)
				if err != nil {
					c.Close()
					return
				}
				go r.copy(up, c)
				r.copy(c, up)
			}()
		}
	}()
	return r
}

func (r *relay) copy(to, from net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if r.stopped.Load() {
			continue // it is there, and says nothing
		}
		if n > 0 {
			to.Write(b[:n])
		}
		if err != nil {
			to.Close()
			from.Close()
			return
		}
	}
}

func (r *relay) cut() {
	for {
		select {
		case c := <-r.conns:
			c.Close()
		default:
			return
		}
	}
}

// A connection that breaks, falls silent or never finishes its handshake is as good as one in plain text that
// does, and leaves nothing behind.
func TestUpstreamTLSLost(t *testing.T) {
	t.Parallel()
	r := startTLSRedis(t)
	relay := startRelay(t, r.address())
	p := harness.StartProxy(t, relay.Addr().String(), harness.Options{Upstream: r.section() + "  timeout: 500ms\n  connect_timeout: 300ms\n"})
	p.Ready(t)
	c := p.Connect(t, harness.Acme)
	expect(t, c, "+OK\r\n", "SET", "k", "v")
	works := func(why string) {
		t.Helper()
		harness.Eventually(t, why, func() bool { reply, err := c.Do("GET", "k"); return err == nil && reply == "$1\r\nv\r\n" })
	}
	works("it answers")
	before := p.Descriptors(t)
	for range 5 {
		relay.cut()
		works("it is connected again")
	}
	relay.stopped.Store(true)
	harness.Eventually(t, "silence is told", func() bool { reply, err := c.Do("SET", "k", "v"); return err == nil && strings.HasPrefix(reply, "-UN") })
	time.Sleep(time.Second) // some tries that do not get through their handshake
	if reply, err := c.Do("GET", "k"); err != nil || !strings.HasPrefix(reply, "-UNAVAILABLE") {
		t.Errorf("%q, %v", reply, err)
	}
	relay.stopped.Store(false)
	relay.cut()
	works("it is there again")
	harness.Eventually(t, "nothing is left behind", func() bool { return p.Descriptors(t) <= before+6 })
	p.Cmd.Process.Signal(syscall.SIGTERM)
	if _, ok := p.Wait(10 * time.Second); !ok {
		t.Error("it does not end")
	}
}

func TestUpstreamUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "redis.sock")
	harness.StartRedis(t, "--unixsocket", path)
	p := harness.StartProxy(t, "'unix:"+path+"'", harness.Options{})
	busyWith(t, p.Client(t, harness.Acme))
	if out, err := exec.Command(harness.Binary(t), "recompress", "--config", p.Config, "--tenant", "acme", "--plain").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// The proxy's own certificate for the upstream, and the authorities that it believes, are replaced while it runs.
func TestUpstreamTLSRenewal(t *testing.T) {
	t.Parallel()
	r := startTLSRedis(t)
	front := &tls.Config{Certificates: []tls.Certificate{r.server.TLS}}
	seen := make(chan string, 1000)
	front.ClientAuth = tls.RequireAnyClientCert
	front.VerifyConnection = func(s tls.ConnectionState) error {
		seen <- s.PeerCertificates[0].Subject.CommonName
		return nil
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", front)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				up, err := net.Dial("tcp", r.Addr)
				if err != nil {
					return
				}
				defer up.Close()
				go io.Copy(up, c)
				io.Copy(c, up)
			}()
		}
	}()
	p := harness.StartProxy(t, ln.Addr().String(), harness.Options{Upstream: r.section()})
	p.Ready(t)
	renewed := r.ca.Issue(t, "renewed", named("renewed"))
	replace(t, r.own.Key, readFile(t, renewed.Key))
	replace(t, r.own.Cert, readFile(t, renewed.Cert))
	c := p.Connect(t, harness.Acme)
	harness.Eventually(t, "the new certificate is shown", func() bool {
		c.Do("MULTI") // on a connection of its own
		c.Do("SET", "k", "v")
		c.Do("EXEC")
		c.Close()
		c = p.Connect(t, harness.Acme)
		for {
			select {
			case name := <-seen:
				if name == "renewed" {
					return true
				}
				continue
			default:
			}
			redis.NewClient(&redis.Options{Addr: r.Addr}).ClientKillByFilter(harness.Context(t), "TYPE", "normal")
			return false
		}
	})
}
