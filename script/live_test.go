package script

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

const (
	acmeRoot = "t:acme:"
	acme     = "t:acme:0:"
	secret   = "t:globex:0:secret"
)

var allModes = []Mode{{}, {Trusted: true}, {Values: true}, {Trusted: true, Values: true}}

// inIsolated runs a test in both modes for isolated scripts.
func inIsolated(t *testing.T, test func(*testing.T, Mode)) {
	t.Run("isolated", func(t *testing.T) { test(t, Mode{}) })
	t.Run("isolated values", func(t *testing.T) { test(t, Mode{Values: true}) })
}

// inTrusted does so for trusted ones.
func inTrusted(t *testing.T, test func(*testing.T, Mode)) {
	t.Run("trusted", func(t *testing.T) { test(t, Mode{Trusted: true}) })
	t.Run("trusted values", func(t *testing.T) { test(t, Mode{Trusted: true, Values: true}) })
}

// world is a plain server and one behind the wall, with a connection to each.
type world struct {
	plain *harness.Conn
	wall  *harness.Conn // logged in as acme's upstream user, or for trusted scripts as the proxy's own
	admin *redis.Client // of the server behind the wall
	mode  Mode
}

func newWorld(t testing.TB, mode Mode) *world {
	t.Helper()
	w := &world{mode: mode}
	a, b := harness.StartRedis(t), harness.StartRedis(t)
	w.plain = dial(t, a.Addr)
	w.admin = redis.NewClient(&redis.Options{Addr: b.Addr, MaxRetries: -1, Protocol: 2})
	t.Cleanup(func() { w.admin.Close() })
	provision(t, w.admin, "acme", "globex")
	w.wall = dial(t, b.Addr)
	if !mode.Trusted {
		login(t, w.wall, "acme")
	}
	return w
}

func dial(t testing.TB, addr string) *harness.Conn {
	t.Helper()
	c, err := harness.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var users = NewUsers([]byte("the fleet's secret"))

func login(t testing.TB, c *harness.Conn, tenant string) {
	t.Helper()
	user := users.Tenant(tenant)
	if reply := do(t, c, "AUTH", user.Name, user.Password); reply != "+OK\r\n" {
		t.Fatalf("AUTH: %q", reply)
	}
}

func provision(t testing.TB, admin *redis.Client, tenants ...string) {
	t.Helper()
	ctx := harness.Context(t)
	known, err := Known(ctx, admin)
	if err != nil {
		t.Fatal(err)
	}
	var accounts []Account
	for _, id := range tenants {
		accounts = append(accounts, Account{Name: id, Root: "t:" + id + ":"})
	}
	if err := Provision(ctx, admin, users, AllowList(known), accounts...); err != nil {
		t.Fatal(err)
	}
}

func do(t testing.TB, c *harness.Conn, args ...string) string {
	t.Helper()
	reply, err := c.Do(args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return reply
}

// eval sends a script as the proxy would, and returns what the client would get.
func eval(t testing.TB, c *harness.Conn, mode Mode, source, prefix string, keys, argv []string) string {
	t.Helper()
	s := New([]byte(source), mode)
	args := []string{"EVAL", string(s.Wrapped), fmt.Sprint(len(keys))}
	for _, k := range keys {
		args = append(args, prefix+k)
	}
	args = append(args, argv...)
	if s.selects {
		args = append(args, "16")
	}
	reply := do(t, c, append(args, prefix)...)
	if CompileError([]byte(reply)) {
		reply = do(t, c, "EVAL", string(s.Diagnosis()), "0")
	}
	if strings.HasPrefix(reply, "-") {
		reply = string(RestoreError(nil, []byte(reply), s, []byte(prefix)))
	}
	return reply
}

// both runs a script on both servers.
func (w *world) both(t testing.TB, source string, keys, argv []string) (plain, wrapped string) {
	t.Helper()
	args := append([]string{"EVAL", source, fmt.Sprint(len(keys))}, keys...)
	return do(t, w.plain, append(args, argv...)...), eval(t, w.wall, w.mode, source, acme, keys, argv)
}

func (w *world) same(t *testing.T, source string) {
	t.Helper()
	plain, wrapped := w.both(t, source, []string{"k1", "k2"}, []string{"a1", "a2", ""})
	if plain != wrapped {
		t.Errorf("%s\n   plain: %q\n wrapped: %q", source, plain, wrapped)
	}
}

// flush empties both servers.
func (w *world) flush(t testing.TB) {
	do(t, w.plain, "FLUSHALL")
	if err := w.admin.FlushAll(harness.Context(t)).Err(); err != nil {
		t.Fatal(err)
	}
}
