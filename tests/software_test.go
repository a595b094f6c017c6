package tests

import (
	"fmt"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"riptide-proxy/tests/harness"
)

// The tests called TestSoftware... run programs and libraries that were written
// for Redis and know nothing of the proxy. Every test must also pass on Redis
// itself: RIPTIDE_SOFTWARE_PLAIN=1 runs them on it, which tells a mistake in a
// test from one in the proxy, and logs which commands the software needs.

// account is how a program reaches what it takes for a Redis of its own.
type account struct {
	name         string
	addr         string
	user, secret string // empty on plain Redis
}

// accounts returns two tenants of one proxy, or two Redis servers. The server
// behind them takes redisArgs.
func accounts(t testing.TB, redisArgs ...string) (acme, globex account) {
	t.Helper()
	if os.Getenv("RIPTIDE_SOFTWARE_PLAIN") != "" {
		return plainAccount(t, "acme", redisArgs), plainAccount(t, "globex", redisArgs)
	}
	r := harness.StartRedis(t, redisArgs...)
	p := harness.StartProxy(t, r.Addr, harness.Options{})
	p.Ready(t)
	t.Cleanup(func() { allPrefixed(t, r.Addr) })
	of := func(tenant harness.Tenant) account {
		return account{name: tenant.ID, addr: p.Addr, user: tenant.ID, secret: tenant.Secret}
	}
	return of(harness.Acme), of(harness.Globex)
}

// allPrefixed checks that whatever names a program made up, in scripts too, the
// upstream holds nothing that does not belong to a tenant.
func allPrefixed(t testing.TB, upstream string) {
	t.Helper()
	c, err := harness.Dial(upstream)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	keys, err := c.Do("KEYS", "*")
	if err != nil {
		t.Error(err)
	}
	for line := range strings.SplitSeq(keys, "\r\n") {
		if line != "" && !strings.ContainsAny(line[:1], "*$") && !strings.HasPrefix(line, "t:acme:") && !strings.HasPrefix(line, "t:globex:") &&
			!(os.Getenv("RIPTIDE_TEST_VALUES") != "" && strings.HasPrefix(line, "riptide:")) { // the proxy's own
			t.Errorf("the upstream holds the key %q", line)
		}
	}
}

func plainAccount(t testing.TB, name string, redisArgs []string) account {
	t.Helper()
	a := account{name: name, addr: harness.StartRedis(t, redisArgs...).Addr}
	logCommands(t, a)
	return a
}

// goRedis returns a go-redis client.
func (a account) goRedis(t testing.TB, change ...func(*goredis.Options)) *goredis.Client {
	t.Helper()
	o := &goredis.Options{Addr: a.addr, Username: a.user, Password: a.secret}
	for _, f := range change {
		f(o)
	}
	c := goredis.NewClient(o)
	t.Cleanup(func() { c.Close() })
	return c
}

// redigo returns a connection of redigo, which speaks RESP2.
func (a account) redigo(t testing.TB) redis.Conn {
	t.Helper()
	var login []redis.DialOption
	if a.secret != "" {
		login = append(login, redis.DialUsername(a.user), redis.DialPassword(a.secret))
	}
	c, err := redis.Dial("tcp", a.addr, login...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// rueidis returns a client of rueidis, which speaks RESP3 and keeps a cache.
func (a account) rueidis(t testing.TB, change ...func(*rueidis.ClientOption)) rueidis.Client {
	t.Helper()
	o := rueidis.ClientOption{InitAddress: []string{a.addr}, Username: a.user, Password: a.secret}
	for _, f := range change {
		f(&o)
	}
	c, err := rueidis.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// eachAccount runs f for both tenants at once.
func eachAccount(t *testing.T, f func(t *testing.T, a account), redisArgs ...string) {
	t.Helper()
	acme, globex := accounts(t, redisArgs...)
	var wg sync.WaitGroup
	for _, a := range []account{acme, globex} {
		wg.Go(func() { t.Run(a.name, func(t *testing.T) { f(t, a) }) })
	}
	wg.Wait()
}

// allAtOnce runs f in n goroutines and reports the errors they return.
func allAtOnce(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := f(i); err != nil {
				t.Errorf("%d of %d: %v", i, n, err)
			}
		})
	}
	wg.Wait()
}

// monitored is a line of MONITOR: who, the command, and its first argument.
var monitored = regexp.MustCompile(`^\+\S+ \[\d+ (\S+)\] "((?:[^"\\]|\\.)*)"(?: "((?:[^"\\]|\\.)*)")?`)

// containers are commands whose first argument says what they do.
var containers = []string{
	"ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "FUNCTION", "HELLO", "INFO", "LATENCY", "MEMORY", "OBJECT",
	"PUBSUB", "SCRIPT", "SLOWLOG", "XGROUP", "XINFO",
}

// logCommands logs, when the test ends, which commands the server has got.
func logCommands(t testing.TB, a account) {
	t.Helper()
	c, err := harness.Dial(a.addr)
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := c.Do("MONITOR"); err != nil || reply != "+OK\r\n" {
		t.Fatalf("MONITOR: %q, %v", reply, err)
	}
	c.SetReadDeadline(time.Time{})
	done := make(chan map[string]bool)
	go func() {
		seen := map[string]bool{}
		for {
			line, err := c.R.ReadString('\n')
			if err != nil {
				break
			}
			m := monitored.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			name := strings.ToUpper(m[2])
			if slices.Contains(containers, name) && m[3] != "" {
				name += " " + strings.ToUpper(m[3])
			}
			if m[1] == "lua" {
				name = "(script) " + name
			}
			seen[name] = true
		}
		done <- seen
	}()
	t.Cleanup(func() {
		time.Sleep(50 * time.Millisecond) // what the server has yet to report
		c.Close()
		seen := <-done
		for name := range adminCommands(t, a) {
			seen[name] = true
		}
		t.Logf("commands of %s: %s", a.name, strings.Join(slices.Sorted(maps.Keys(seen)), ", "))
	})
}

// adminCommands are those that ran and that MONITOR does not show.
func adminCommands(t testing.TB, a account) map[string]bool {
	t.Helper()
	c, err := harness.Dial(a.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stats, err := c.Do("INFO", "commandstats")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`cmdstat_([^:]+):`).FindAllStringSubmatch(stats, -1) {
		name := strings.ToUpper(strings.Replace(m[1], "|", " ", 1))
		reply, err := c.Do("COMMAND", "INFO", m[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, hidden := range []string{"+admin\r\n", "+skip_monitor\r\n"} {
			if strings.Contains(reply, hidden) && name != "MONITOR" {
				found[name] = true
			}
		}
	}
	return found
}

// environ is an account in environment variables.
func (a account) environ() []string {
	host, port, _ := net.SplitHostPort(a.addr)
	return []string{
		"TENANT=" + a.name, "REDIS_HOST=" + host, "REDIS_PORT=" + port,
		fmt.Sprint("REDIS_USER=", a.user), fmt.Sprint("REDIS_PASSWORD=", a.secret),
	}
}
