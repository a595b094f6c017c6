package proxy

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/command"
	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// metered runs a proxy on a real server with the tenant "slow", whose quotas are given in YAML's flow
// style, and its users default and joe. more goes to the end of the configuration.
func metered(t *testing.T, quotas, joe, more string) (*Server, *harness.Process) {
	t.Helper()
	redis := harness.StartRedis(t)
	s := startProxy(t, redis.Addr, options{tenants: "  slow:\n    quotas: {" + quotas + "}\n    users:\n      default: {sha256: [" + hashOf("slow") + "]}\n" +
		"      joe: {sha256: [" + hashOf("joe") + "], quotas: {" + joe + "}}\n" + more})
	harness.Eventually(t, "the upstream is there", s.Ready)
	return s, redis
}

func loginJoe(t *testing.T, s *Server) *client {
	t.Helper()
	c := dial(t, s)
	c.expect("+OK\r\n", "AUTH", "slow.joe", secretOf("joe"))
	return c
}

// some sends a command n times at once and tells how many were refused, each with an error that says
// what the tenant is over. All others are answered with want.
func (c *client) some(n int, over, want string, args ...string) (refused int) {
	c.t.Helper()
	c.write([]byte(strings.Repeat(string(harness.Request(args...)), n)))
	text := regexp.MustCompile(`^-THROTTLED tenant slow is over ` + regexp.QuoteMeta(over) + `, retry in [1-9][0-9]* ms\r\n$`)
	for range n {
		switch reply := c.next(); {
		case text.MatchString(reply):
			refused++
		case want != "" && reply != want || strings.HasPrefix(reply, "-THROTTLED"):
			c.t.Fatalf("%q: %q, want %q", args, reply, want)
		}
	}
	return refused
}

// between is whether n lies there.
func between(t *testing.T, what string, n, low, high int) {
	t.Helper()
	if n < low || n > high {
		t.Errorf("%s: %d, want %d to %d", what, n, low, high)
	}
}

// Over the rate commands are refused, and counted as that and not as run; what a client can not do
// without is not.
func TestThrottled(t *testing.T) {
	s, _ := metered(t, "ops_per_second: 1, ops_burst: 20", "", "")
	c := login(t, s, "slow")
	refused := c.some(100, "operations (1/s)", "$-1\r\n", "GET", "k")
	between(t, "refused of 100 with a burst of 20", refused, 78, 80)
	before := stats(t, s).Tenants["slow"]
	if n := before.Throttled; n != uint64(refused) {
		t.Errorf("%d are counted as throttled, %d were", n, refused)
	}
	if n := before.Commands[command.Lookup([]byte("get")).ID]; n != uint64(100-refused) {
		t.Errorf("%d are counted as run, %d were", n, 100-refused)
	}
	if n := before.Errors["THROTTLED"]; n != uint64(refused) {
		t.Errorf("%d errors", n)
	}
	c.expect("+OK\r\n", "SELECT", "1")
	c.expect("+OK\r\n", "CLIENT", "SETNAME", "x")
	c.expect("+OK\r\n", "QUIT")
	fresh := dial(t, s)
	fresh.expect("+OK\r\n", "AUTH", "slow", secretOf("slow"))
	if n := fresh.some(10, "operations (1/s)", "", "NOSUCH"); n < 9 {
		t.Errorf("unknown commands pass: %d of 10 were refused", n)
	}
	// The others notice nothing.
	other := login(t, s, "acme")
	for range 100 {
		other.expect("$-1\r\n", "GET", "k")
	}
}

// A command that is refused while a transaction queues has EXEC abort, as any error does; none of it
// is run.
func TestThrottledTransaction(t *testing.T) {
	for _, values := range []string{"", "}\n    compression: {algorithm: zstd, min_size: 1"} {
		s, _ := metered(t, "ops_per_second: 1, ops_burst: 20"+values, "", "")
		c := login(t, s, "slow")
		c.write([]byte(strings.Repeat(string(pipeline("MULTI", "INCR a", "INCR a", "EXEC")), 10)))
		ran, aborted := 0, 0
		for range 10 {
			c.read("+OK\r\n")
			throttled := false
			for range 2 {
				throttled = strings.HasPrefix(c.next(), "-THROTTLED") || throttled
			}
			switch reply := c.next(); {
			case throttled && strings.HasPrefix(reply, "-EXECABORT"):
				aborted++
			case !throttled && strings.HasPrefix(reply, "*2\r\n"):
				ran++
			default:
				t.Fatalf("EXEC: %q, throttled %v", reply, throttled)
			}
			if ran+aborted == 8 {
				break // what is left has to wait: the debt is too large
			}
		}
		between(t, "transactions that ran", ran, 4, 5)
	}
}

// With delay no command is refused: each waits its turn, and is counted once.
func TestDelayed(t *testing.T) {
	s, _ := metered(t, "ops_per_second: 50, ops_burst: 10, over: delay", "", "")
	one, two := login(t, s, "slow"), login(t, s, "slow")
	began := time.Now()
	for _, c := range []*client{one, two} {
		c.write([]byte(strings.Repeat(string(pipeline("INCR k", "PING")), 15)))
	}
	for _, c := range []*client{one, two} {
		last := 0
		for range 15 {
			reply := c.next()
			n, err := strconv.Atoi(strings.Trim(reply, ":\r\n"))
			if err != nil || n <= last {
				t.Fatalf("%q after %d", reply, last)
			}
			last = n
			c.read("+PONG\r\n")
		}
	}
	if took := time.Since(began); took < 900*time.Millisecond || took > 5*time.Second {
		t.Errorf("60 operations with a burst of 10 and 50 a second took %v", took)
	}
	sum := stats(t, s).Tenants["slow"]
	between(t, "throttled of 60", int(sum.Throttled), 10, 52)
	if n := sum.Commands[command.Lookup([]byte("ping")).ID]; n != 30 {
		t.Errorf("%d of 30 PING are counted", n)
	}
	if len(sum.Errors) > 0 {
		t.Errorf("%v", sum.Errors)
	}
}

// A client that has left waits no more, and a shutdown waits for nobody who only waits for a rate.
func TestDelayedLeave(t *testing.T) {
	s, _ := metered(t, "ops_per_second: 1, ops_burst: 1, over: delay", "", "")
	var all []*client
	for range 5 {
		c := login(t, s, "slow")
		c.write([]byte(strings.Repeat(string(pipeline("PING")), 10)))
		all = append(all, c)
	}
	waiting := func(n int) func() bool {
		return func() (ok bool) {
			onLoop(t, s.workers[0], func() { ok = s.workers[0].stats["slow"].meter.waiting == n })
			return ok
		}
	}
	harness.Eventually(t, "all wait", waiting(5))
	for _, c := range all[:3] {
		c.tcp().SetLinger(0)
		c.Close()
	}
	harness.Eventually(t, "those that are left wait", waiting(2))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// Users and classes have rates of their own beside the tenant's, and scripts cost what the operator
// says.
func TestThrottledUsersAndClasses(t *testing.T) {
	s, _ := metered(t, "ops_per_second: 1, ops_burst: 100, script_cost: 9, classes: {write: {ops_per_second: 1, ops_burst: 5}}", "ops_per_second: 1, ops_burst: 7", "")
	c, joe := login(t, s, "slow"), loginJoe(t, s)
	between(t, "refused of 20 writes", c.some(20, "operations of class write (1/s)", "+OK\r\n", "SET", "k", "v"), 14, 15)
	between(t, "refused of 20 of joe's", joe.some(20, "operations of user joe (1/s)", "$1\r\nv\r\n", "GET", "k"), 12, 13)
	// 100 less 5, 7 and what lets time pass: 8 scripts of 10, the last of which may be paid later.
	between(t, "refused of 20 scripts", c.some(20, "operations (1/s)", ":1\r\n", "EVAL", "return 1", "0"), 10, 12)
	if n := c.some(5, "operations (1/s)", "", "GET", "k"); n != 5 {
		t.Errorf("%d of 5 were refused", n)
	}
	sum := 0.0
	harness.Eventually(t, "the use of rates is known", func() bool {
		sum = 0
		for _, u := range s.RateUsage("slow") {
			sum += u.Used
		}
		return sum > 0
	})
	names := ""
	for _, u := range s.RateUsage("slow") {
		names += fmt.Sprintf("%s/%v ", u.Resource, u.Limit)
	}
	if names != "ops_per_second/1 classes.write.ops_per_second/1 users.joe.ops_per_second/1 " || s.RateUsage("acme") != nil {
		t.Errorf("%s", names)
	}
}

// Bytes either way are limited; a large one is a debt.
func TestThrottledBytes(t *testing.T) {
	large := strings.Repeat("x", 100<<10)
	t.Run("in", func(t *testing.T) {
		s, _ := metered(t, "bytes_in_per_second: 1KiB, bytes_in_burst: 64KiB", "", "")
		c := login(t, s, "slow")
		c.expect("+OK\r\n", "SET", "k", large)
		if n := c.some(10, "bytes in (1024/s)", "", "GET", "k"); n != 10 {
			t.Errorf("%d of 10 were refused", n)
		}
		// What is refused costs nothing.
		if n := c.some(50, "bytes in (1024/s)", "", "SET", "k", large); n != 50 {
			t.Errorf("%d of 50 were refused", n)
		}
		onLoop(t, s.workers[0], func() {
			if debt := s.workers[0].stats["slow"].meter.in.Debt(); debt > 40<<10 {
				t.Errorf("a debt of %.0f bytes", debt)
			}
		})
	})
	t.Run("out", func(t *testing.T) {
		s, _ := metered(t, "bytes_out_per_second: 1KiB, bytes_out_burst: 64KiB", "", "")
		c := login(t, s, "slow")
		c.expect("+OK\r\n", "SET", "k", large)
		c.expect(string(bulk(large)), "GET", "k")
		if n := c.some(2000, "bytes out (1024/s)", "", "PING"); n != 2000 {
			t.Errorf("%d of 2000 were refused", n)
		}
		onLoop(t, s.workers[0], func() {
			if debt := s.workers[0].stats["slow"].meter.out.Debt(); debt > 40<<10 {
				t.Errorf("a debt of %.0f bytes", debt)
			}
		})
	})
	t.Run("messages", func(t *testing.T) {
		s, _ := metered(t, "bytes_out_per_second: 32KiB, bytes_out_burst: 64KiB", "", "")
		subscriber, c := login(t, s, "slow"), login(t, s, "slow")
		subscriber.do("SUBSCRIBE", "ch")
		c.expect(":1\r\n", "PUBLISH", "ch", large)
		subscriber.next()
		harness.Eventually(t, "the message is paid for", func() bool { return strings.HasPrefix(c.do("PUBLISH", "ch", "x"), "-THROTTLED") })
		if reply := subscriber.do("UNSUBSCRIBE", "ch"); !strings.Contains(reply, "unsubscribe") && !strings.Contains(reply, "message") {
			t.Errorf("%q", reply)
		}
	})
}

// Replies that a client does not want are not sent when a command is refused, and those that it
// wants again come in order.
func TestThrottledMute(t *testing.T) {
	s, _ := metered(t, "ops_per_second: 1, ops_burst: 5", "", "")
	c := login(t, s, "slow")
	c.send("CLIENT REPLY OFF")
	c.write([]byte(strings.Repeat(string(pipeline("PING")), 50)))
	c.send("CLIENT REPLY ON")
	c.read("+OK\r\n")
	if n := c.some(3, "operations (1/s)", "", "ECHO", "x"); n != 3 {
		t.Errorf("%d of 3 were refused", n)
	}
}

// Nobody over a rate, and nobody there: the upstream is asked seldom, and then not at all.
func TestMeterTraffic(t *testing.T) {
	s, redis := metered(t, "ops_per_second: 1000", "", "")
	up := upClient(t, redis.Addr)
	calls := func() int { return callsOf(t, up, "evalsha") + callsOf(t, up, "eval") }
	c := login(t, s, "slow")
	from, began := calls(), time.Now()
	for time.Since(began) < 4*time.Second {
		c.expect("$-1\r\n", "GET", "k")
		time.Sleep(20 * time.Millisecond)
	}
	between(t, "calls in 4 s of light use", calls()-from, 1, 12)
	asleep := func() (ok bool) {
		onLoop(t, s.workers[0], func() { ok = len(s.workers[0].meters) == 0 })
		return ok
	}
	harness.Eventually(t, "nobody is looked at", asleep)
	from = calls()
	time.Sleep(500 * time.Millisecond)
	if n := calls() - from; n != 0 || !asleep() {
		t.Errorf("%d calls for nothing", n)
	}
	// A first command costs none either: something was kept.
	c.expect("$-1\r\n", "GET", "k")
	if sum := stats(t, s).Tenants["slow"]; sum.Throttled != 0 {
		t.Errorf("%d throttled", sum.Throttled)
	}
}

// The embedded upstream keeps buckets as well.
func TestMeterEmbedded(t *testing.T) {
	s := startEmbedded(t, options{tenants: "  slow: {quotas: {ops_per_second: 1, ops_burst: 20}, users: {default: {sha256: [" + hashOf("slow") + "]}}}\n"})
	harness.Eventually(t, "the upstream is there", s.Ready)
	c := login(t, s, "slow")
	between(t, "refused of 100", c.some(100, "operations (1/s)", "$-1\r\n", "GET", "k"), 79, 80)
	onLoop(t, s.workers[0], func() {
		if a := s.workers[0].stats["slow"].meter.ops.Told(); a.Away || a.Proxies != 1 {
			t.Errorf("%+v", a)
		}
	})
}

// Where the buckets are is nothing to a tenant.
func TestMeterKeyIsHidden(t *testing.T) {
	s, redis := metered(t, "ops_per_second: 1000, ops_burst: 1000", "", "")
	up, c := upClient(t, redis.Addr), login(t, s, "slow")
	there := func() bool { return up.Exists(context.Background(), "t:slow:rates").Val() == 1 }
	harness.Eventually(t, "the buckets are there", there)
	c.expect("*0\r\n", "KEYS", "*")
	c.expect(":0\r\n", "DBSIZE")
	c.expect("$-1\r\n", "RANDOMKEY")
	c.expect("*2\r\n$1\r\n0\r\n*0\r\n", "SCAN", "0", "COUNT", "1000")
	c.expect("+OK\r\n", "FLUSHALL")
	c.send("MULTI", "FLUSHALL", "DBSIZE", "EXEC")
	c.read("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:0\r\n")
	for _, script := range []string{"return redis.call('EXISTS', 'rates')", "return redis.call('EXISTS', '../rates')"} {
		c.expect(":0\r\n", "EVAL", script, "0")
	}
	if !there() {
		t.Error("the buckets are gone")
	}
}

// While the upstream is away each proxy goes on with its share, or lets everybody pass, or nobody,
// as the operator says. Only what needs no upstream can show it.
func TestMeterOutage(t *testing.T) {
	for _, policy := range []config.Unreachable{config.Share, config.Open, config.Closed} {
		t.Run(string(policy), func(t *testing.T) {
			s, redis := metered(t, "ops_per_second: 100", "", "accounting: {unreachable: "+string(policy)+"}\n")
			c := login(t, s, "slow")
			c.expect("+PONG\r\n", "PING")
			redis.Kill()
			harness.Eventually(t, "the bucket is known to be away", func() (ok bool) {
				c.do("PING")
				onLoop(t, s.workers[0], func() { ok = s.workers[0].stats["slow"].meter.ops.Told().Away })
				return ok
			})
			began, refused := time.Now(), 0
			for range 20 {
				for range 100 {
					if strings.HasPrefix(c.do("PING"), "-THROTTLED tenant slow is ") {
						refused++
					}
				}
				time.Sleep(time.Until(began.Add(time.Second / 20)))
			}
			took := time.Since(began)
			t.Logf("%d of 2000 refused in %v", refused, took)
			switch policy {
			case config.Share:
				between(t, "passed", 2000-refused, int(60*took.Seconds()), int(60+100*took.Seconds()))
			case config.Open:
				between(t, "refused", refused, 0, 0)
			case config.Closed:
				between(t, "passed", 2000-refused, 0, 60) // what it had been lent
			}
		})
	}
}

func upClient(t *testing.T, address string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: address})
	t.Cleanup(func() { c.Close() })
	return c
}

// callsOf is how often the upstream has run a command.
func callsOf(t *testing.T, c *redis.Client, name string) int {
	t.Helper()
	text, err := c.Info(context.Background(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(text, "cmdstat_"+name+":calls=")
	digits, _, _ := strings.Cut(rest, ",")
	n, _ := strconv.Atoi(digits)
	return n
}
