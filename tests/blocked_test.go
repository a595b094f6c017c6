package tests

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// blockedSize is how many clients are blocked, and how many subscribe: 1000 of
// each, with RIPTIDE_TEST_FULL=1 5000, or RIPTIDE_TEST_CONNECTIONS. There are
// fewer where the system does not let the proxy have one descriptor for each
// and another one for the blocked and for some of the subscribers.
func blockedSize(t *testing.T) int {
	t.Helper()
	n := uint64(1000)
	if full {
		n = 5000
	}
	n = diffSetting(t, "RIPTIDE_TEST_CONNECTIONS", n)
	others := uint64(150 + 2500)
	each := uint64(3) // of the proxy
	if os.Getenv("RIPTIDE_DIFF_AGAINST") == "plain" {
		each, others = 2, 150
	}
	need := each*n + others
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// Set even if it is enough: otherwise the servers that the test starts get
	// the limit that the test itself was started with.
	wanted := syscall.Rlimit{Cur: max(limit.Cur, need), Max: max(limit.Max, need)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &wanted); err != nil {
		limit.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		n = min(n, (limit.Max-others)/each)
		t.Logf("only %d descriptors: %d clients of each kind", limit.Max, n)
	}
	return int(n)
}

// blockedRig is the proxy, or with RIPTIDE_DIFF_AGAINST=plain a Redis alone.
type blockedRig struct {
	server  *harness.Process
	control *harness.Conn // to the Redis itself
	n       int
}

func startBlocked(t *testing.T) *blockedRig {
	t.Helper()
	n := blockedSize(t)
	maxClients := 10000 // Redis's default, for the proxy takes no more
	if os.Getenv("RIPTIDE_DIFF_AGAINST") == "plain" {
		maxClients = 2*n + 200
	}
	r := harness.StartRedis(t, "--maxclients", fmt.Sprint(maxClients), "--user", "acme", "on", ">acme-secret", "~*", "&*", "+@all")
	rig := &blockedRig{server: r, control: diffDial(t, r.Addr, ""), n: n}
	if os.Getenv("RIPTIDE_DIFF_AGAINST") != "plain" {
		p := harness.StartProxy(t, r.Addr, harness.Options{Limits: fmt.Sprintf("  clients: %d\n", 3*n+100)})
		p.Ready(t)
		rig.server = p.Process
	}
	return rig
}

// connect logs in, with a buffer that thousands can have.
func (r *blockedRig) connect() (*harness.Conn, error) {
	c, err := net.Dial("tcp", r.server.Addr)
	if err != nil {
		return nil, err
	}
	conn := &harness.Conn{Conn: c, R: bufio.NewReaderSize(c, 128)}
	if reply, err := conn.Do("AUTH", "acme", "acme-secret"); err != nil || reply != "+OK\r\n" {
		c.Close()
		return nil, fmt.Errorf("AUTH: %q, %v", reply, err)
	}
	return conn, nil
}

// each runs f for every number below n, a few at a time, and reports the first
// errors.
func (r *blockedRig) each(t *testing.T, what string, n int, f func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	var failed atomic.Int64
	for part := range 8 {
		wg.Go(func() {
			for i := part; i < n && failed.Load() < 5; i += 8 {
				if err := f(i); err != nil {
					failed.Add(1)
					t.Errorf("%s, client %d: %v", what, i, err)
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// info is a number that the Redis itself tells about its clients.
func (r *blockedRig) info(t *testing.T, field string) (n int) {
	t.Helper()
	_, rest, _ := strings.Cut(diffMust(t, r.control, "INFO", "clients"), "\r\n"+field+":")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatalf("%s: %v", field, err)
	}
	return n
}

// blockedTraffic is an ordinary client beside the waiting ones, who counts how
// long everything takes him.
type blockedTraffic struct {
	stop, done chan struct{}
	rounds     atomic.Int64
	mu         sync.Mutex
	worst, sum time.Duration
	count      int
	err        error
}

func (r *blockedRig) traffic(t *testing.T) *blockedTraffic {
	t.Helper()
	c, err := r.connect()
	if err != nil {
		t.Fatal(err)
	}
	b := &blockedTraffic{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(b.done)
		defer c.Close()
		for i := 0; ; i++ {
			select {
			case <-b.stop:
				return
			default:
			}
			value := fmt.Sprint("value", i)
			began := time.Now()
			set, err := c.Do("SET", "beside", value)
			if err == nil {
				var get string
				if get, err = c.Do("GET", "beside"); err == nil && (set != "+OK\r\n" || get != poolBulks(value)) {
					err = fmt.Errorf("SET: %q, GET: %q", set, get)
				}
			}
			took := time.Since(began)
			b.rounds.Add(1)
			b.mu.Lock()
			b.worst, b.sum, b.count = max(b.worst, took), b.sum+took, b.count+1
			if b.err = err; err != nil {
				b.mu.Unlock()
				return
			}
			b.mu.Unlock()
		}
	}()
	return b
}

// report checks that the traffic goes on, and prints how it went since the last
// report.
func (b *blockedTraffic) report(t *testing.T, when string) {
	t.Helper()
	after := b.rounds.Load() + 20
	harness.Eventually(t, "traffic goes on "+when, func() bool {
		select {
		case <-b.done:
			return true
		default:
			return b.rounds.Load() > after
		}
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		t.Fatalf("traffic %s: %v", when, b.err)
	}
	t.Logf("a SET and a GET beside it, %s: %v on average, %v at worst, of %d", when, b.sum/time.Duration(max(1, b.count)), b.worst, b.count)
	b.worst, b.sum, b.count = 0, 0, 0
}

// Thousands are blocked and thousands listen at once, while others work. All
// the blocked are served one element each, all listeners hear the one message,
// and when they have left nothing of them is left.
func TestBlockedThousands(t *testing.T) {
	t.Parallel()
	r := startBlocked(t)
	beside := r.traffic(t)
	beside.report(t, "alone")
	idle := r.info(t, "connected_clients")
	descriptors := r.server.Descriptors(t)
	var rss []int
	for wave := range 3 {
		peak := r.wave(t, beside, wave)
		if wave == 0 {
			rss = append(rss, peak)
		}
		harness.Eventually(t, "few connections to the upstream are left", func() bool { return r.info(t, "connected_clients") <= idle+poolIdle })
		harness.Eventually(t, "descriptors are closed", func() bool { return r.server.Descriptors(t) <= descriptors+poolIdle+20 })
		rss = append(rss, r.server.RSS(t))
	}
	beside.report(t, "after all have left")
	close(beside.stop)
	<-beside.done
	t.Logf("resident bytes in the first wave and after each: %d", rss)
	// A process may keep what it has had, to use it again in the next wave, and
	// gives it back after a while; what three waves have left behind would be
	// there for good.
	most := rss[0]*3/2 + 8<<20
	harness.Eventually(t, fmt.Sprintf("no more than %d MiB are in use", most>>20), func() bool { return r.server.RSS(t) <= most })
}

// wave is one coming and going of all. It returns the memory that the server
// had in use meanwhile.
func (r *blockedRig) wave(t *testing.T, beside *blockedTraffic, wave int) (rss int) {
	t.Helper()
	blocked, listening := make([]*harness.Conn, r.n), make([]*harness.Conn, r.n)
	defer func() {
		for _, c := range append(blocked, listening...) {
			if c != nil {
				c.Close()
			}
		}
	}()
	began := time.Now()
	r.each(t, "BLPOP", r.n, func(i int) (err error) {
		if blocked[i], err = r.connect(); err != nil {
			return err
		}
		return blocked[i].Send("BLPOP", fmt.Sprint("own", i), "queue", "0")
	})
	r.each(t, "SUBSCRIBE", r.n, func(i int) (err error) {
		if listening[i], err = r.connect(); err != nil {
			return err
		}
		reply, err := listening[i].Do("SUBSCRIBE", "news")
		if want := "*3\r\n" + poolBulks("subscribe", "news") + ":1\r\n"; err == nil && reply != want {
			err = fmt.Errorf("%q", reply)
		}
		return err
	})
	harness.Eventually(t, "all are blocked", func() bool { return r.info(t, "blocked_clients") == r.n })
	took := time.Since(began).Round(time.Millisecond)
	rss = r.server.RSS(t)
	t.Logf("%d are blocked and %d listen after %v; %d MiB, %d descriptors", r.n, r.n, took, rss>>20, r.server.Descriptors(t))
	beside.report(t, "while they wait")

	push, err := r.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer push.Close()
	const batch = 50
	for i := 0; i < r.n; i += batch {
		words := []string{"RPUSH", "queue"}
		for j := i; j < min(i+batch, r.n); j++ {
			words = append(words, fmt.Sprint("element", j))
		}
		if reply, err := push.Do(words...); err != nil || reply != fmt.Sprintf(":%d\r\n", len(words)-2) {
			t.Fatalf("RPUSH: %q, %v", reply, err)
		}
	}
	if reply, err := push.Do("PUBLISH", "news", "once"); err != nil || reply != fmt.Sprintf(":%d\r\n", r.n) {
		t.Fatalf("PUBLISH: %q, %v", reply, err)
	}
	var mu sync.Mutex
	got := make(map[string]bool)
	r.each(t, "served", r.n, func(i int) error {
		reply, err := blocked[i].Reply()
		if err != nil {
			return err
		}
		element, ok := strings.CutPrefix(reply, "*2\r\n"+poolBulks("queue"))
		mu.Lock()
		defer mu.Unlock()
		if !ok || !strings.Contains(element, "\r\nelement") || got[element] {
			return fmt.Errorf("%q, or somebody else has got it too", reply)
		}
		got[element] = true
		return nil
	})
	r.each(t, "message", r.n, func(i int) error {
		reply, err := listening[i].Reply()
		if want := "*3\r\n" + poolBulks("message", "news", "once"); err == nil && reply != want {
			err = fmt.Errorf("%q", reply)
		}
		return err
	})
	expect(t, push, ":0\r\n", "LLEN", "queue")
	beside.report(t, "while they are served")

	// Nobody gets a second thing, and everybody can go on. Some are blocked
	// again and leave so.
	r.each(t, "afterwards", r.n, func(i int) error {
		reply, err := blocked[i].Do("ECHO", "nothing else")
		if err == nil && reply != poolBulks("nothing else") {
			err = fmt.Errorf("%q", reply)
		}
		if err == nil {
			if reply, err = listening[i].Do("PING"); err == nil && reply != "*2\r\n"+poolBulks("pong", "") {
				err = fmt.Errorf("%q", reply)
			}
		}
		if err == nil && i%3 == wave {
			err = blocked[i].Send("BLPOP", "queue", "0")
		}
		return err
	})
	harness.Eventually(t, "a third is blocked again", func() bool { return r.info(t, "blocked_clients") == (r.n-wave+2)/3 })
	for _, c := range append(blocked, listening...) {
		c.Close()
	}
	harness.Eventually(t, "nobody is blocked any more", func() bool { return r.info(t, "blocked_clients") == 0 })
	expect(t, push, ":1\r\n", "RPUSH", "queue", "for nobody")
	expect(t, push, ":1\r\n", "LLEN", "queue")
	expect(t, push, ":1\r\n", "DEL", "queue")
	return rss
}
