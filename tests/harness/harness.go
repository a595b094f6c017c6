// Package harness runs what the end-to-end tests need: a real redis-server, and
// the proxy's own binary in front of it. Everything listens on free ports of the
// loopback interface and is gone when the test ends.
package harness

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"riptide-proxy/config"
)

// What go-redis logs by itself, a line for each connection, would bury what tests say.
func init() { logging.Disable() }

// deadline bounds every wait for something that should come about.
const deadline = 30 * time.Second

// Eventually waits until ok returns true, which is asked often at first, and then less and less.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	pause := 100 * time.Microsecond
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(pause) {
		if ok() {
			return
		}
		pause = min(pause*5/4, 5*time.Millisecond)
	}
	t.Fatalf("did not come about within %v: %s", deadline, what)
}

// RedisBinary is the server that the tests run against: $REDIS_SERVER, or
// redis-server. Without one the tests fail.
func RedisBinary(t testing.TB) string {
	t.Helper()
	name := os.Getenv("REDIS_SERVER")
	if name == "" {
		name = "redis-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("the tests need a Redis server (Debian: apt-get install redis-server; or name one in REDIS_SERVER): %v", err)
	}
	return path
}

var binaryDir string

var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "riptide-test-")
	if err != nil {
		return "", err
	}
	binaryDir = dir
	path := filepath.Join(dir, "riptide-proxy")
	args := []string{"build", "-o", path}
	if os.Getenv("RIPTIDE_TEST_RACE") != "" {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "riptide-proxy/cmd/riptide-proxy")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// Clean removes what Binary built. To be called when all tests are over.
func Clean() {
	if binaryDir != "" {
		os.RemoveAll(binaryDir)
	}
}

// Binary is the proxy, built once per test run; with the race detector when
// RIPTIDE_TEST_RACE is set.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// handedOut are the ports that FreePort has returned, so that nobody gets one
// that somebody else is about to listen on.
var handedOut sync.Map

// FreePort returns a TCP port of the loopback interface that nobody listens on.
// It lies below those that the system gives to outgoing connections: a client
// must not take it before its server does.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 12000 + rand.IntN(20000)
		if _, taken := handedOut.LoadOrStore(port, true); taken {
			continue
		}
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		ln.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}

// StartRedis runs a server without persistence on a free port.
func StartRedis(t testing.TB, args ...string) *Process {
	t.Helper()
	return StartRedisOn(t, FreePort(t), args...)
}

// StartRedisOn does so on a given port, for servers that come back.
func StartRedisOn(t testing.TB, port int, args ...string) *Process {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	all := append([]string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir()}, args...)
	p := start(t, addr, nil, RedisBinary(t), all...)
	Eventually(t, "redis-server answers", func() bool {
		if !p.Running() {
			t.Fatalf("redis-server ended: %v\n%s", p.err, p.Log())
		}
		c, err := Dial(addr)
		if err != nil {
			return false
		}
		defer c.Close()
		reply, err := c.Do("PING")
		return err == nil && (reply == "+PONG\r\n" || strings.HasPrefix(reply, "-NOAUTH"))
	})
	return p
}

// Tenant is a tenant of the proxy under test.
type Tenant struct {
	ID     string
	Secret string
	YAML   string // further fields, each line indented by four spaces
}

// Options change the configuration of the proxy under test.
type Options struct {
	Tenants  []Tenant // acme and globex when empty
	Upstream string   // further lines of the upstream section, indented by two spaces
	Limits   string   // the limits section's lines, indented by two spaces
	Admin    string   // further lines of the admin section, indented by two spaces
	Top      string   // further sections
	Env      []string // further environment variables of the process
	Values   string   // how values are stored, as RIPTIDE_TEST_VALUES has it; empty: as that says
}

// Proxy is a running proxy.
type Proxy struct {
	*Process
	Admin    string // address of the admin listener
	Config   string // path of the configuration file
	Upstream string // address; empty: the one that is built in
	Tenants  []Tenant
	env      []string
}

// Acme and Globex are the tenants that a proxy under test has by default.
var (
	Acme   = Tenant{ID: "acme", Secret: "acme-secret"}
	Globex = Tenant{ID: "globex", Secret: "globex-secret"}
)

// StartProxy runs the proxy in front of an upstream, or with the one that is built in where none is given. RIPTIDE_TEST_LOOPS sets the
// number of its event loops, RIPTIDE_TEST_SUBSCRIBERS how many subscribers may
// have an upstream connection of their own.
func StartProxy(t testing.TB, upstream string, o Options) *Proxy {
	t.Helper()
	if len(o.Tenants) == 0 {
		o.Tenants = []Tenant{Acme, Globex}
	}
	p := &Proxy{
		Admin:    fmt.Sprintf("127.0.0.1:%d", FreePort(t)),
		Config:   filepath.Join(t.TempDir(), "riptide.yaml"),
		Upstream: upstream,
		Tenants:  o.Tenants,
	}
	addr := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	var b strings.Builder
	fmt.Fprintf(&b, "listen: %s\nadmin:\n  listen: %s\n%s", addr, p.Admin, o.Admin)
	if upstream == "" {
		fmt.Fprintf(&b, "upstream:\n  mode: embedded\n%s", o.Upstream)
	} else {
		fmt.Fprintf(&b, "upstream:\n  mode: standalone\n  addresses: [%s]\n%s", upstream, o.Upstream)
	}
	if n := os.Getenv("RIPTIDE_TEST_SUBSCRIBERS"); n != "" && !strings.Contains(o.Upstream, "subscriber_connections:") {
		fmt.Fprintf(&b, "  subscriber_connections: %s\n", n)
	}
	if o.Limits != "" {
		fmt.Fprintf(&b, "limits:\n%s", o.Limits)
	}
	b.WriteString(o.Top)
	if !strings.Contains(o.Top, "usage:") {
		b.WriteString(usage())
	}
	if n := os.Getenv("RIPTIDE_TEST_LOOPS"); n != "" && !strings.Contains(o.Top, "loops:") {
		fmt.Fprintf(&b, "loops: %s\n", n)
	}
	stored := cmp.Or(o.Values, os.Getenv(valuesEnv))
	if stored != "" && !strings.Contains(o.Top, "encryption_keys:") {
		b.WriteString("encryption_keys:\n  test: {env: RIPTIDE_TEST_KEY}\n")
		o.Env = append(o.Env, "RIPTIDE_TEST_KEY="+config.HashSecret("a key of the tests"))
	}
	b.WriteString("tenants:\n")
	for _, tenant := range o.Tenants {
		fmt.Fprintf(&b, "  %s:\n    users:\n      default: {sha256: [%s]}\n%s", tenant.ID, config.HashSecret(tenant.Secret), tenant.YAML)
		if quotas := os.Getenv(quotasEnv); quotas != "" && !strings.Contains(tenant.YAML, "quotas:") {
			fmt.Fprintf(&b, "    quotas: {%s}\n", quotas)
		}
		if !strings.Contains(tenant.YAML, "compression:") && !strings.Contains(tenant.YAML, "encryption:") {
			b.WriteString(values(t, stored))
		}
	}
	if err := os.WriteFile(p.Config, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p.env = o.Env
	p.Process = &Process{Addr: addr}
	p.Restart(t)
	return p
}

// usageEnv says how often usage is reported of proxies whose configuration does not say it, as
// 200ms. Without it there is no ledger: tests look at the upstream's keys and commands.
const usageEnv = "RIPTIDE_TEST_USAGE"

func usage() string {
	flush := os.Getenv(usageEnv)
	if flush == "" {
		flush = "0s"
	}
	return fmt.Sprintf("usage: {flush: %s}\n", flush)
}

// quotasEnv are the quotas of tenants that have none, in YAML's flow style without the braces.
const quotasEnv = "RIPTIDE_TEST_QUOTAS"

// Accounts reports whether a key of the upstream is one in which proxies keep account of rates,
// counts, memory or usage. Without RIPTIDE_TEST_USAGE and RIPTIDE_TEST_QUOTAS there are none.
func Accounts(key string) bool {
	if os.Getenv(usageEnv) == "" && os.Getenv(quotasEnv) == "" {
		return false
	}
	if strings.HasPrefix(key, "riptide:") {
		return true
	}
	parts := strings.SplitN(key, ":", 4) // t, the tenant, the word, what else
	return len(parts) > 2 && parts[0] == "t" && slices.Contains([]string{"rates", "counts", "space", "usage"}, parts[2])
}

// valuesEnv says how the values of tenants are stored that say nothing of it
// themselves, so that any test can be run with values sealed: an algorithm, a
// cipher, or both with a "+" between them.
const valuesEnv = "RIPTIDE_TEST_VALUES"

// values are a tenant's further fields for that: as much is sealed as can be.
func values(t testing.TB, stored string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(stored, "+") {
		switch word {
		case "":
		case "lz4", "s2", "zstd":
			fmt.Fprintf(&b, "    compression: {algorithm: %s, min_size: 1, min_saving: 0, streams: true}\n", word)
		case "aes-256-gcm", "chacha20-poly1305":
			fmt.Fprintf(&b, "    encryption: {algorithm: %s, key: test}\n", word)
		default:
			t.Fatalf("%q is no way to store values", word)
		}
	}
	return b.String()
}

// Ready waits until the upstream answers the proxy.
func (p *Proxy) Ready(t testing.TB) {
	t.Helper()
	c := p.Connect(t, p.Tenants[0])
	Eventually(t, "the upstream answers through the proxy", func() bool {
		reply, err := c.Do("EXISTS", "ready")
		return err == nil && strings.HasPrefix(reply, ":")
	})
}

// Connect returns a raw connection that has logged in as a tenant.
func (p *Proxy) Connect(t testing.TB, tenant Tenant) *Conn {
	t.Helper()
	c, err := Dial(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	reply, err := c.Do("AUTH", tenant.ID, tenant.Secret)
	if err != nil || reply != "+OK\r\n" {
		t.Fatalf("AUTH %s: %q, %v", tenant.ID, reply, err)
	}
	return c
}

// Client returns a go-redis client that logs in as a tenant.
func (p *Proxy) Client(t testing.TB, tenant Tenant, change ...func(*redis.Options)) *redis.Client {
	t.Helper()
	o := &redis.Options{Addr: p.Addr, Username: tenant.ID, Password: tenant.Secret, MaxRetries: -1, ReadTimeout: deadline}
	for _, f := range change {
		f(o)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { c.Close() })
	return c
}

// Context is one that ends with the test's patience.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
