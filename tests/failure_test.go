package tests

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

const (
	unavailable = "-UNAVAILABLE "
	unknown     = "-UNKNOWN connection to the upstream was lost, the command may have run\r\n"
)

// tally is what the clients of a counter were told.
type tally struct {
	mu           sync.Mutex
	acknowledged map[string]int
	unknown      map[string]int
	refused      int
	longest      time.Duration // of a pipeline, from sending to the last answer
}

// load runs clients that increment counters of their own in pipelines, each
// increment followed by an ECHO of its number, so that an answer out of order is
// noticed. It ends when stop is closed.
func load(t *testing.T, p *harness.Proxy, clients int, stop chan struct{}) (*tally, *sync.WaitGroup) {
	t.Helper()
	sum := &tally{acknowledged: make(map[string]int), unknown: make(map[string]int)}
	wg := new(sync.WaitGroup)
	for i := range clients {
		c := p.Connect(t, harness.Acme)
		wg.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := pipeline(c, sum, fmt.Sprintf("%d-%d", i, round)); err != nil {
					t.Errorf("client %d, round %d: %v", i, round, err)
					return
				}
			}
		})
	}
	return sum, wg
}

func pipeline(c *harness.Conn, sum *tally, id string) error {
	const depth = 10
	var out []byte
	for n := range depth {
		out = append(out, harness.Request("INCR", "c"+id)...)
		out = append(out, harness.Request("GET", "fixed")...)
		out = append(out, harness.Request("ECHO", fmt.Sprint(n))...)
	}
	began := time.Now()
	if _, err := c.Write(out); err != nil {
		return err
	}
	acknowledged, unknowns, refused := 0, 0, 0
	for n := range depth {
		incr, err := c.Reply()
		if err != nil {
			return err
		}
		get, err := c.Reply()
		if err != nil {
			return err
		}
		echo, err := c.Reply()
		if err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(incr, ":"):
			acknowledged++
			var value int
			if fmt.Sscanf(incr, ":%d", &value); value > n+1 {
				return fmt.Errorf("INCR gave %q as answer %d: one was applied twice", incr, n+1)
			}
		case incr == unknown:
			unknowns++
		case strings.HasPrefix(incr, unavailable):
			refused++
		default:
			return fmt.Errorf("INCR: %q", incr)
		}
		if get != "$5\r\nfixed\r\n" && get != "$-1\r\n" && get != unknown && !strings.HasPrefix(get, unavailable) {
			return fmt.Errorf("GET: %q", get)
		}
		if echo != fmt.Sprintf("$1\r\n%d\r\n", n) {
			return fmt.Errorf("out of order: ECHO %d: %q", n, echo)
		}
	}
	sum.mu.Lock()
	defer sum.mu.Unlock()
	sum.acknowledged["c"+id], sum.unknown["c"+id] = acknowledged, unknowns
	sum.refused += refused
	sum.longest = max(sum.longest, time.Since(began))
	return nil
}

// check compares what was told with what is stored.
func (sum *tally) check(t *testing.T, stored func(keys []string) []int) {
	t.Helper()
	var keys []string
	for key := range sum.acknowledged {
		keys = append(keys, key)
	}
	acknowledged, unknowns, bad := 0, 0, 0
	for i, n := range stored(keys) {
		low, high := sum.acknowledged[keys[i]], sum.acknowledged[keys[i]]+sum.unknown[keys[i]]
		acknowledged, unknowns = acknowledged+low, unknowns+high-low
		if n < low || n > high {
			if bad++; bad < 10 {
				t.Errorf("%s is %d, though %d were acknowledged and %d unknown", keys[i], n, low, high-low)
			}
		}
	}
	t.Logf("%d acknowledged, %d unknown, %d refused; the slowest pipeline took %v", acknowledged, unknowns, sum.refused, sum.longest)
	if acknowledged == 0 {
		t.Error("nothing was acknowledged")
	}
}

// An upstream whose connections break under load, again and again, loses no
// acknowledged write and applies none twice; nobody hangs or gets an answer
// that belongs to another command.
func TestFailureConnectionsCut(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	p := harness.StartProxy(t, r.Addr, harness.Options{})
	p.Ready(t)
	control, err := harness.Dial(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	expect(t, control, "+OK\r\n", "SET", "t:acme:0:fixed", "fixed")
	stop := make(chan struct{})
	sum, wg := load(t, p, 20, stop)
	for range 30 {
		want := commandsDone(t, control) + 2000
		harness.Eventually(t, "there is load", func() bool { return commandsDone(t, control) > want })
		expect(t, control, ":", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	}
	close(stop)
	wg.Wait()
	sum.check(t, func(keys []string) (stored []int) {
		for _, key := range keys {
			reply, err := control.Do("INCRBY", "t:acme:0:"+key, "0")
			var n int
			if _, scanErr := fmt.Sscanf(reply, ":%d", &n); err != nil || scanErr != nil {
				t.Fatalf("INCRBY: %q, %v", reply, err)
			}
			stored = append(stored, n)
		}
		return stored
	})
	if sum.longest > 3*time.Second {
		t.Errorf("somebody waited %v", sum.longest)
	}
}

func commandsDone(t *testing.T, control *harness.Conn) (n int) {
	t.Helper()
	reply, err := control.Do("INFO", "stats")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(reply, "total_commands_processed:")
	fmt.Sscan(rest, &n)
	return n
}

// While the upstream is down every command is refused at once; within a second
// of its return everything works, on the same connections.
func TestFailureUpstreamRestart(t *testing.T) {
	r := harness.StartRedis(t)
	p := harness.StartProxy(t, r.Addr, harness.Options{})
	p.Ready(t)
	port := harnessPort(r)
	stop := make(chan struct{})
	sum, wg := load(t, p, 10, stop)
	c, c3 := p.Connect(t, harness.Acme), dial(t, p)
	expect(t, c3, "%7\r\n", "HELLO", "3", "AUTH", "acme", "acme-secret")
	for range 3 {
		r.Kill()
		harness.Eventually(t, "it is noticed", func() bool {
			reply, err := c.Do("SET", "k", "v")
			return err == nil && strings.HasPrefix(reply, unavailable)
		})
		began := time.Now()
		const n = 200
		for range n {
			expect(t, c, unavailable, "SET", "k", "v")
			expect(t, c3, unavailable, "GET", "k")
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%d refusals took %v", 2*n, took)
		}
		for _, args := range [][]string{{"DBSIZE"}, {"KEYS", "*"}, {"SCAN", "0"}, {"MGET", "a", "b"}, {"FLUSHDB"}, {"RANDOMKEY"}} {
			expect(t, c, unavailable, args...)
		}
		expect(t, c, "$1\r\nx\r\n", "ECHO", "x")
		expect(t, c, "+PONG\r\n", "PING")
		r = harness.StartRedisOn(t, port)
		began = time.Now()
		for _, conn := range []*harness.Conn{c, c3} {
			harness.Eventually(t, "the upstream is found again", func() bool {
				reply, err := conn.Do("SET", "k", "v")
				return err == nil && reply == "+OK\r\n"
			})
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v to find the upstream again", took)
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("%d refused; the slowest pipeline took %v", sum.refused, sum.longest)
	if sum.longest > 3*time.Second {
		t.Errorf("somebody waited %v", sum.longest)
	}
}

func harnessPort(p *harness.Process) (port int) {
	fmt.Sscanf(p.Addr[strings.LastIndexByte(p.Addr, ':')+1:], "%d", &port)
	return port
}

// An upstream that is there but answers nothing counts as lost after
// upstream.timeout; then commands are refused until it answers again.
func TestFailureUpstreamFrozen(t *testing.T) {
	r := harness.StartRedis(t)
	p := harness.StartProxy(t, r.Addr, harness.Options{Upstream: "  timeout: 500ms\n  connect_timeout: 500ms\n"})
	p.Ready(t)
	c := p.Connect(t, harness.Acme)
	expect(t, c, "+OK\r\n", "SET", "k", "v")
	if err := r.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	expect(t, c, unknown, "SET", "k", "w")
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the frozen upstream was given up after %v", took)
	}
	harness.Eventually(t, "commands are refused at once", func() bool {
		began := time.Now()
		reply, err := c.Do("GET", "k")
		return err == nil && strings.HasPrefix(reply, unavailable) && time.Since(began) < 100*time.Millisecond
	})
	for range 100 {
		began := time.Now()
		expect(t, c, unavailable, "GET", "k")
		if took := time.Since(began); took > time.Second {
			t.Fatalf("a refusal took %v", took)
		}
	}
	if err := r.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	harness.Eventually(t, "it works again", func() bool {
		reply, err := c.Do("SET", "k", "x")
		return err == nil && reply == "+OK\r\n"
	})
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("it took %v to find the upstream again", took)
	}
}

// A proxy that starts before its upstream, or with the wrong password for it,
// listens all the same and says what is the matter.
func TestFailureUpstreamNotReady(t *testing.T) {
	port := harness.FreePort(t)
	p := harness.StartProxy(t, fmt.Sprintf("127.0.0.1:%d", port), harness.Options{})
	c := p.Connect(t, harness.Acme)
	harness.Eventually(t, "commands are refused", func() bool {
		reply, err := c.Do("GET", "k")
		return err == nil && strings.HasPrefix(reply, unavailable)
	})
	expect(t, c, "+PONG\r\n", "PING")
	harness.StartRedisOn(t, port)
	harness.Eventually(t, "the upstream is found", func() bool {
		reply, err := c.Do("SET", "k", "v")
		return err == nil && reply == "+OK\r\n"
	})

	r := harness.StartRedis(t, "--requirepass", "default-secret", "--user", "proxy", "on", ">proxy-secret", "~*", "&*", "+@all")
	for _, tc := range []struct {
		login string
		ok    bool
	}{
		{"  password: default-secret\n", true},
		{"  username: proxy\n  password: proxy-secret\n", true},
		{"  username: proxy\n  password: default-secret\n", false},
		{"  password: wrong\n", false},
		{"", false},
	} {
		p := harness.StartProxy(t, r.Addr, harness.Options{Upstream: tc.login})
		for _, hello := range []string{"2", "3"} {
			c := dial(t, p)
			if reply, err := c.Do("HELLO", hello, "AUTH", "acme", "acme-secret"); err != nil || reply[0] == '-' {
				t.Fatalf("HELLO: %q, %v", reply, err)
			}
			want := unavailable
			if tc.ok {
				want = "+OK\r\n"
			}
			harness.Eventually(t, fmt.Sprintf("%q gives %q", tc.login, want), func() bool {
				set, err := c.Do("SET", "k", "v")
				size, err2 := c.Do("DBSIZE")
				return err == nil && err2 == nil && strings.HasPrefix(set, want) && (tc.ok == strings.HasPrefix(size, ":"))
			})
		}
		if strings.Contains(p.Log(), "-secret") {
			t.Errorf("a secret is in the log: %s", p.Log())
		}
		p.Kill()
	}
}

// SIGTERM under load: what was asked is answered, then the connections end and
// the process says that all went well.
func TestFailureShutdownUnderLoad(t *testing.T) {
	r := harness.StartRedis(t)
	p := harness.StartProxy(t, r.Addr, harness.Options{Top: "shutdown_timeout: 10s\n"})
	p.Ready(t)
	const depth = 50
	request := []byte(strings.Repeat(string(harness.Request("INCR", "n")), depth))
	var acknowledged, rounds atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		c := p.Connect(t, harness.Acme)
		wg.Go(func() {
			for {
				if _, err := c.Write(request); err != nil {
					return
				}
				for range depth {
					reply, err := c.Reply()
					if err != nil {
						return // the connection has ended
					}
					if !strings.HasPrefix(reply, ":") {
						t.Errorf("INCR: %q", reply)
						return
					}
					acknowledged.Add(1)
				}
				rounds.Add(1)
			}
		})
	}
	idle := p.Connect(t, harness.Acme)
	harness.Eventually(t, "there is load", func() bool { return rounds.Load() > 200 })
	began := time.Now()
	p.Cmd.Process.Signal(syscall.SIGTERM)
	err, ended := p.Wait(10 * time.Second)
	if !ended || err != nil {
		t.Errorf("ended: %v, %v", ended, err)
	}
	t.Logf("ended after %v", time.Since(began).Round(time.Millisecond))
	wg.Wait()
	if reply, err := idle.Reply(); err == nil {
		t.Errorf("an idle client was sent %q", reply)
	}
	control, err := harness.Dial(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	reply, err := control.Do("GET", "t:acme:0:n")
	if want := fmt.Sprint(acknowledged.Load()); err != nil || !strings.HasSuffix(reply, "\r\n"+want+"\r\n") {
		t.Errorf("stored: %q, %v; acknowledged: %s: what was done was not answered", reply, err, want)
	}
	if _, err := harness.Dial(p.Addr); err == nil {
		t.Error("it still accepts connections")
	}
}
