package tests

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"math/rand"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

// tlsProxy is a proxy with an encrypted listener.
type tlsProxy struct {
	*harness.Proxy
	ca     *harness.Authority
	server *harness.Certificate
	addr   string // of the encrypted listener
}

// startTLS runs one in front of a Redis of its own. more are further lines of the section tls, indented by two spaces.
func startTLS(t *testing.T, more string, o harness.Options) *tlsProxy {
	t.Helper()
	p := &tlsProxy{ca: harness.NewAuthority(t, "the test's authority"), addr: fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))}
	p.server = p.ca.Server(t, "server")
	o.Top += fmt.Sprintf("tls:\n  listen: %s\n  cert: %s\n  key: %s\n%s", p.addr, p.server.Cert, p.server.Key, strings.ReplaceAll(more, "CA", p.ca.File))
	p.Proxy = harness.StartProxy(t, harness.StartRedis(t).Addr, o)
	return p
}

// dial connects with TLS.
func (p *tlsProxy) dial(t *testing.T, c *tls.Config) *harness.Conn {
	t.Helper()
	conn, err := p.try(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (p *tlsProxy) try(c *tls.Config) (*harness.Conn, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", p.addr, c)
	if err != nil {
		return nil, err
	}
	return &harness.Conn{Conn: conn, R: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// login connects with TLS and logs in.
func (p *tlsProxy) login(t *testing.T, tenant harness.Tenant) *harness.Conn {
	t.Helper()
	c := p.dial(t, p.ca.Client(nil))
	expect(t, c, "+OK\r\n", "AUTH", tenant.ID, tenant.Secret)
	return c
}

// client is a go-redis client that connects with TLS.
func (p *tlsProxy) client(t *testing.T, tenant harness.Tenant, change ...func(*redis.Options)) *redis.Client {
	return p.Client(t, tenant, append([]func(*redis.Options){func(o *redis.Options) {
		o.Addr, o.TLSConfig = p.addr, p.ca.Client(nil)
	}}, change...)...)
}

// rediscli runs redis-cli with TLS and returns what it prints.
func (p *tlsProxy) rediscli(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(p.addr)
	cmd := exec.Command("redis-cli", append([]string{"-h", host, "-p", port, "--tls", "--cacert", p.ca.File, "--no-auth-warning"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestTLSRedisCLI(t *testing.T) {
	t.Parallel()
	p := startTLS(t, "", harness.Options{})
	as := []string{"--user", "acme", "--pass", "acme-secret"}
	if got := p.rediscli(t, "", append(as, "SET", "greeting", "hello")...); got != "OK\n" {
		t.Error(got)
	}
	if got := p.rediscli(t, "", append(as, "GET", "greeting")...); got != "hello\n" {
		t.Error(got)
	}
	// A pipe that ends is answered to its end.
	var commands strings.Builder
	for i := range 10000 {
		fmt.Fprintf(&commands, "SET k%d v\r\n", i)
	}
	if got := p.rediscli(t, commands.String(), append(as, "--pipe")...); !strings.Contains(got, "errors: 0, replies: 10000") {
		t.Error(got)
	}
	// And the same keys are there in plain text.
	if got, err := p.Client(t, harness.Acme).DBSize(harness.Context(t)).Result(); err != nil || got != 10001 {
		t.Error(got, err)
	}
}

// What goes through comes out as it was, in pieces of any size and both ways at once.
func TestTLSValues(t *testing.T) {
	t.Parallel()
	p := startTLS(t, "", harness.Options{})
	ctx, c := harness.Context(t), p.client(t, harness.Acme)
	rnd := rand.New(rand.NewSource(1))
	var wg sync.WaitGroup
	for i, size := range []int{0, 1, 1023, 1024, 1025, 16383, 16384, 16385, 100_000, 5_000_000} {
		value := make([]byte, size)
		rnd.Read(value)
		wg.Go(func() {
			for range 3 {
				key := fmt.Sprint("k", i)
				if err := c.Set(ctx, key, value, 0).Err(); err != nil {
					t.Error(size, err)
				}
				if got, err := c.Get(ctx, key).Bytes(); err != nil || !bytes.Equal(got, value) {
					t.Errorf("%d bytes: %d came back, %v", size, len(got), err)
				}
			}
		})
	}
	wg.Wait()
	_, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range 20000 {
			pipe.RPush(ctx, "list", i)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if all, err := c.LRange(ctx, "list", 0, -1).Result(); err != nil || len(all) != 20000 || all[19999] != "19999" {
		t.Error(len(all), err)
	}
}

// Everything that has a connection of its own works as in plain text.
func TestTLSStates(t *testing.T) {
	t.Parallel()
	p := startTLS(t, "", harness.Options{})
	ctx := harness.Context(t)
	for _, proto := range []int{2, 3} {
		c := p.client(t, harness.Acme, func(o *redis.Options) { o.Protocol = proto })
		news := fmt.Sprint("news ", proto)
		sub := c.Subscribe(ctx, news)
		defer sub.Close()
		if _, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Publish(ctx, news, "hello").Result(); n != 1 || err != nil {
			t.Error(n, err)
		}
		if m, err := sub.ReceiveMessage(ctx); err != nil || m.Payload != "hello" {
			t.Error(m, err)
		}
		if _, err := c.TxPipelined(ctx, func(tx redis.Pipeliner) error { tx.Incr(ctx, "n"); tx.Incr(ctx, "n"); return nil }); err != nil {
			t.Error(err)
		}
		popped := make(chan error, 1)
		go func() { popped <- c.BLPop(ctx, 10*time.Second, "queue").Err() }()
		harness.Eventually(t, "the pop waits", func() bool {
			list, err := c.ClientList(ctx).Result()
			return err == nil && strings.Contains(list, "flags=b")
		})
		c.RPush(ctx, "queue", "x")
		if err := <-popped; err != nil {
			t.Error(err)
		}
	}
	// A client has the address that it has.
	c := p.login(t, harness.Acme)
	reply, err := c.Do("CLIENT", "INFO")
	if want := "addr=" + c.LocalAddr().String() + " laddr=" + p.addr + " "; err != nil || !strings.Contains(reply, want) {
		t.Errorf("%q, want %q", reply, want)
	}
}

// A blocked client that goes away takes nothing with it.
func TestTLSBlockedClientLeaves(t *testing.T) {
	t.Parallel()
	p := startTLS(t, "", harness.Options{})
	watcher := p.login(t, harness.Acme)
	for i, leave := range []func(c *harness.Conn){
		func(c *harness.Conn) { c.Close() },
		func(c *harness.Conn) {
			c.Conn.(*tls.Conn).NetConn().(*net.TCPConn).SetLinger(0)
			c.Conn.(*tls.Conn).NetConn().Close()
		},
		func(c *harness.Conn) { // with more behind than the loop lets in
			if _, err := c.Write(bytes.Repeat(harness.Request("PING"), 18_000)); err != nil {
				t.Error(err)
			}
			c.Close()
		},
	} {
		c := p.login(t, harness.Acme)
		queue := fmt.Sprint("queue ", i)
		c.Send("BLPOP", queue, "0")
		harness.Eventually(t, "the pop waits", func() bool {
			list, err := watcher.Do("CLIENT", "LIST")
			return err == nil && strings.Contains(list, "flags=b")
		})
		leave(c)
		harness.Eventually(t, "the client is gone", func() bool {
			list, err := watcher.Do("CLIENT", "LIST")
			return err == nil && !strings.Contains(list, "flags=b")
		})
		expect(t, watcher, ":1\r\n", "RPUSH", queue, "x")
	}
}

// The last answer reaches a client whose connection ends with it.
func TestTLSLastAnswer(t *testing.T) {
	t.Parallel()
	p := startTLS(t, "", harness.Options{})
	for range 20 {
		c := p.login(t, harness.Acme)
		c.Write(append(harness.Request("SET", "k", strings.Repeat("v", 300_000)), harness.Request("GET", "k")...))
		c.Write(append(harness.Request("QUIT"), bytes.Repeat(harness.Request("PING"), 5000)...))
		for _, want := range []int{5, 300_000 + 11, 5} {
			if reply, err := c.Reply(); err != nil || len(reply) != want {
				t.Fatalf("%d bytes, want %d: %v", len(reply), want, err)
			}
		}
		if n, err := c.R.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Error("it goes on")
		}
	}
}

// Versions that are too old, and clients that speak no TLS, are turned away.
func TestTLSVersions(t *testing.T) {
	t.Parallel()
	p := startTLS(t, "  min_version: 1.3\n", harness.Options{})
	old := p.ca.Client(nil)
	old.MaxVersion = tls.VersionTLS12
	if c, err := p.try(old); err == nil {
		c.Close()
		t.Error("TLS 1.2 was spoken")
	}
	plain, err := harness.Dial(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if reply, err := plain.Do("PING"); err == nil {
		t.Errorf("PING in plain text: %q", reply)
	}
	expect(t, p.login(t, harness.Acme), "+PONG\r\n", "PING")
}

// A certificate that was replaced is used for the next connections, and those that are open do not notice. While the
// new one and its key do not fit, the old ones go on being used.
func TestTLSRenewal(t *testing.T) {
	t.Parallel()
	p := startTLS(t, "", harness.Options{})
	open := p.login(t, harness.Acme)
	serial := func() string {
		c := p.dial(t, p.ca.Client(nil))
		defer c.Close()
		return c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	cert, key := p.server.Cert, p.server.Key
	// Another key, which does not fit, and then the certificate that it belongs to.
	renewed := p.ca.Server(t, "renewed")
	replace(t, key, readFile(t, renewed.Key))
	harness.Eventually(t, "the misfit is told", func() bool { return strings.Contains(p.Log(), "were not loaded") })
	if serial() != before {
		t.Error("another certificate without its key")
	}
	replace(t, cert, readFile(t, renewed.Cert))
	harness.Eventually(t, "the new certificate is used", func() bool { return serial() != before })
	expect(t, open, "+PONG\r\n", "PING")
	// And so it is when both are broken.
	now := serial()
	replace(t, cert, []byte("nonsense"))
	harness.Eventually(t, "the nonsense is told", func() bool { return strings.Count(p.Log(), "were not loaded") > 1 })
	if serial() != now {
		t.Error("it was taken over")
	}
	if strings.Contains(p.Log(), "PRIVATE") {
		t.Error("a key is in the log")
	}
}

// readFile and replace a file; the latter as a program does that is careful.
func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func replace(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// newSessions remembers what may be resumed.
func newSessions() tls.ClientSessionCache { return tls.NewLRUClientSessionCache(4) }

func state(c *harness.Conn) tls.ConnectionState { return c.Conn.(*tls.Conn).ConnectionState() }
