package tests

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// A pinned connection is never handed on dirty: clients leave in the middle of
// everything that leaves something behind on a connection to the upstream, and
// whoever comes next must find what a fresh connection has.
//
// With RIPTIDE_DIFF_AGAINST=plain the clients talk to a plain Redis, which shows
// what the test expects in error.

// poolIdle is how many connections to the upstream may be kept for later, by
// everything in the proxy together.
const poolIdle = 64

// poolRig is what the clients talk to. Tenants use keys of their own names, so
// that the rig may be one Redis.
type poolRig struct {
	addr    string
	control *harness.Conn // to the Redis itself
	plain   bool
}

func startPool(t *testing.T) *poolRig {
	t.Helper()
	if os.Getenv("RIPTIDE_DIFF_AGAINST") == "plain" {
		r := harness.StartRedis(t, "--user", "acme", "on", ">acme-secret", "~*", "&*", "+@all", "--user", "globex", "on", ">globex-secret", "~*", "&*", "+@all")
		return &poolRig{addr: r.Addr, control: diffDial(t, r.Addr, ""), plain: true}
	}
	r := harness.StartRedis(t)
	p := harness.StartProxy(t, r.Addr, harness.Options{})
	p.Ready(t)
	return &poolRig{addr: p.Addr, control: diffDial(t, r.Addr, "")}
}

func (r *poolRig) connect(tenant harness.Tenant) (*harness.Conn, error) {
	c, err := harness.Dial(r.addr)
	if err != nil {
		return nil, err
	}
	if reply, err := c.Do("AUTH", tenant.ID, tenant.Secret); err != nil || reply != "+OK\r\n" {
		c.Close()
		return nil, fmt.Errorf("AUTH: %q, %w", reply, err)
	}
	return c, nil
}

// upstream counts the Redis's clients, without the test's own.
func (r *poolRig) upstream(t *testing.T) int {
	t.Helper()
	return strings.Count(diffParse(diffMust(t, r.control, "CLIENT", "LIST")).text, "\n") - 1
}

func (r *poolRig) blocked(t *testing.T) (n int) {
	t.Helper()
	_, rest, _ := strings.Cut(diffMust(t, r.control, "INFO", "clients"), "\r\nblocked_clients:")
	fmt.Sscan(rest, &n)
	return n
}

// poolPoint is where a client is when it leaves: the calls whose answers it has
// read, and what it has sent after them without reading. T stands for the
// tenant's name.
type poolPoint struct {
	name   string
	calls  []string
	unread []string
	blocks bool
}

const poolLong = "local n=0;for_i=1,500000_do_n=n+i_end;return_n" // takes some milliseconds; _ is a space

var poolPoints = []poolPoint{
	{name: "after MULTI", calls: []string{"MULTI"}},
	{name: "after a queued command", calls: []string{"MULTI", "SET T-k dirty", "SELECT 3"}},
	{name: "after an error in MULTI", calls: []string{"MULTI", "!NOSUCH"}},
	{name: "after EXEC unread", calls: []string{"MULTI", "INCR T-n"}, unread: []string{"EXEC"}},
	{name: "MULTI and EXEC unread", unread: []string{"MULTI", "INCR T-n", "GET T-big", "EXEC", "MULTI", "INCR T-n"}},
	{name: "SELECT in MULTI", calls: []string{"MULTI", "SELECT 5", "EXEC"}},
	{name: "WATCH", calls: []string{"WATCH T-w globex-k"}},
	{name: "WATCH and MULTI", calls: []string{"WATCH T-w", "MULTI", "GET T-w"}},
	{name: "SUBSCRIBE", calls: []string{"SUBSCRIBE news"}},
	{name: "PSUBSCRIBE", calls: []string{"PSUBSCRIBE n*"}},
	{name: "SSUBSCRIBE", calls: []string{"SSUBSCRIBE news"}},
	{name: "SUBSCRIBE unread", unread: []string{"SUBSCRIBE news", "PSUBSCRIBE *", "SSUBSCRIBE news"}},
	{name: "SUBSCRIBE in RESP3", calls: []string{"HELLO 3", "SUBSCRIBE news", "PSUBSCRIBE *"}},
	{name: "BLPOP", unread: []string{"BLPOP T-l 0"}, blocks: true},
	{name: "BLPOP and more behind it", unread: []string{"BLPOP T-l 0", "SET T-k dirty", "BLPOP T-l 0"}, blocks: true},
	{name: "BLMOVE", unread: []string{"BLMOVE T-l T-l2 LEFT RIGHT 0"}, blocks: true},
	{name: "BZPOPMIN", unread: []string{"BZPOPMIN T-z 0"}, blocks: true},
	{name: "XREAD", unread: []string{"XREAD BLOCK 0 STREAMS T-x $"}, blocks: true},
	{name: "WAIT", unread: []string{"WAIT 3 0"}, blocks: true},
	{name: "tracking", calls: []string{"HELLO 3", "CLIENT TRACKING ON", "GET T-k", "GET globex-k"}},
	{name: "tracking BCAST", calls: []string{"HELLO 3", "CLIENT TRACKING ON BCAST"}},
	{name: "tracking BCAST PREFIX", calls: []string{"HELLO 3", "CLIENT TRACKING ON BCAST PREFIX g PREFIX T"}},
	{name: "tracking OPTIN", calls: []string{"HELLO 3", "CLIENT TRACKING ON OPTIN", "CLIENT CACHING YES"}},
	{name: "tracking OPTOUT NOLOOP", calls: []string{"HELLO 3", "CLIENT TRACKING ON OPTOUT NOLOOP", "CLIENT CACHING NO"}},
	{name: "CLIENT REPLY OFF", unread: []string{"CLIENT REPLY OFF"}},
	{name: "CLIENT REPLY SKIP", unread: []string{"CLIENT REPLY SKIP"}},
	{name: "CLIENT REPLY OFF in MULTI", calls: []string{"MULTI"}, unread: []string{"CLIENT REPLY OFF", "EXEC"}},
	{name: "EVAL", unread: []string{"EVAL " + poolLong + " 0"}},
	{name: "EVAL in MULTI", calls: []string{"MULTI", "EVAL " + poolLong + " 0"}, unread: []string{"EXEC"}},
	{name: "EVAL in RESP3", unread: []string{"EVAL redis.setresp(3);return_redis.call('hgetall',KEYS[1]) 1 T-h"}},
	{name: "SELECT", calls: []string{"SELECT 5", "WATCH T-w", "MULTI"}},
	{name: "CLIENT NO-TOUCH", calls: []string{"?CLIENT NO-TOUCH ON", "?CLIENT NO-EVICT ON", "WATCH T-w"}},
	{name: "HELLO 3", calls: []string{"HELLO 3 SETNAME dirty", "WATCH T-w"}},
	{name: "CLIENT SETNAME", calls: []string{"CLIENT SETNAME dirty", "WATCH T-w"}},
	{name: "AUTH as somebody else", calls: []string{"WATCH T-w", "SUBSCRIBE3 news", "AUTH globex globex-secret"}},
	{name: "RESET", calls: []string{"MULTI", "RESET"}},
}

// poolWords are the words of a call.
func poolWords(call, tenant string) []string {
	words := strings.Fields(call)
	for i, w := range words {
		if i > 0 {
			w = strings.ReplaceAll(w, "_", " ")
		}
		if w == "T" || strings.HasPrefix(w, "T-") {
			w = tenant + w[1:]
		}
		words[i] = w
	}
	return words
}

// reach brings a client to the point.
func (p *poolPoint) reach(c *harness.Conn, tenant string) error {
	for _, call := range p.calls {
		if rest, ok := strings.CutPrefix(call, "SUBSCRIBE3 "); ok { // where AUTH is still possible
			if _, err := c.Do("HELLO", "3"); err != nil {
				return err
			}
			call = "SUBSCRIBE " + rest
		}
		words := poolWords(strings.TrimLeft(call, "!?"), tenant)
		reply, err := c.Do(words...)
		if err != nil {
			return fmt.Errorf("%q: %w", words, err)
		}
		if call[0] != '?' && (call[0] == '!') != (reply[0] == '-') {
			return fmt.Errorf("%q: %q", words, reply)
		}
	}
	var b []byte
	for _, call := range p.unread {
		b = append(b, harness.Request(poolWords(call, tenant)...)...)
	}
	_, err := c.Write(b)
	return err
}

// poolWays are how clients leave.
var poolWays = map[string]func(c *harness.Conn){
	"FIN": func(c *harness.Conn) { c.Close() },
	"RST": func(c *harness.Conn) {
		c.Conn.(*net.TCPConn).SetLinger(0)
		c.Close()
	},
	"half-close": func(c *harness.Conn) {
		c.Conn.(*net.TCPConn).CloseWrite()
		go func() { // the server has to close the other half
			c.SetReadDeadline(time.Now().Add(statePatience))
			for b := make([]byte, 4096); ; {
				if _, err := c.Read(b); err != nil {
					c.Close()
					return
				}
			}
		}()
	},
}

// A client leaves at each point, in each way, and the next ones find nothing of
// it. What it was blocked in takes no element any more.
func TestPoolLeftAtEveryPoint(t *testing.T) {
	t.Parallel()
	r := startPool(t)
	for _, p := range poolPoints {
		t.Run(p.name, func(t *testing.T) {
			id := 0
			for way, leave := range poolWays {
				id++
				diffMust(t, r.control, "FLUSHALL")
				c, err := r.connect(harness.Acme)
				if err != nil {
					t.Fatal(err)
				}
				if err := p.reach(c, "acme"); err != nil {
					t.Fatal(err)
				}
				if p.blocks {
					harness.Eventually(t, "it is blocked", func() bool { return r.blocked(t) == 1 })
				}
				leave(c)
				harness.Eventually(t, "it is no longer blocked, "+way, func() bool { return r.blocked(t) == 0 })
				if p.blocks {
					r.nothingTaken(t, way)
				}
				for _, tenant := range []harness.Tenant{harness.Globex, harness.Acme} {
					if err := r.next(tenant, id); err != nil {
						t.Errorf("%s, left by %s, then %s: %v", p.name, way, tenant.ID, err)
					}
				}
			}
		})
	}
}

// nothingTaken checks that what is pushed when a blocked client has left stays.
func (r *poolRig) nothingTaken(t *testing.T, way string) {
	t.Helper()
	c, err := r.connect(harness.Acme)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, x := range []struct{ call, want string }{
		{"RPUSH acme-l element", ":1\r\n"}, {"LLEN acme-l", ":1\r\n"}, {"LLEN acme-l2", ":0\r\n"}, {"EXISTS acme-k", ":0\r\n"},
		{"ZADD acme-z 1 member", ":1\r\n"}, {"ZCARD acme-z", ":1\r\n"}, {"DEL acme-l acme-z", ":2\r\n"},
	} {
		if reply, err := c.Do(strings.Fields(x.call)...); err != nil || reply != x.want {
			t.Errorf("left by %s: %s: %q, %v; want %q", way, x.call, reply, err, x.want)
		}
	}
}

// Hundreds of clients come and leave at random points, while others of another
// tenant, and of the same, do everything properly. The number of connections to
// the upstream is bounded all the time, and goes down again.
func TestPoolCrowd(t *testing.T) {
	t.Parallel()
	r := startPool(t)
	seed := diffSeed(t)
	const crowd, rounds, users = 600, 4, 6
	if err := r.next(harness.Acme, 0); err != nil {
		t.Fatal(err)
	}
	var idle []int
	for round := range rounds {
		var others, leavers sync.WaitGroup
		stop := make(chan struct{})
		for i := range users {
			others.Go(func() {
				tenant := []harness.Tenant{harness.Globex, harness.Acme}[i%2]
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					if err := r.next(tenant, 100+i); err != nil {
						t.Errorf("seed %d, round %d, client %d of %s: %v", seed, round, i, tenant.ID, err)
						return
					}
				}
			})
		}
		var mu sync.Mutex
		var all []*harness.Conn
		for part := range 6 {
			leavers.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(round*100+part)))
				for i := range crowd / 6 {
					// Names of its own, that only the points' scripts and channels share.
					if err := r.leaver(rng, fmt.Sprintf("leaver%d", part*1000+i), &mu, &all); err != nil {
						t.Errorf("seed %d, round %d: %v", seed, round, err)
						return
					}
				}
			})
		}
		leavers.Wait()
		if n := r.upstream(t); n > crowd+users*4+poolIdle {
			t.Errorf("%d connections to the upstream for %d clients", n, crowd+users*4)
		}
		for _, c := range all {
			c.Close()
		}
		close(stop)
		others.Wait()
		harness.Eventually(t, "few connections to the upstream are left, and nobody is blocked", func() bool {
			return r.upstream(t) <= poolIdle && r.blocked(t) == 0
		})
		idle = append(idle, r.upstream(t))
	}
	t.Logf("connections to the upstream after each round: %v", idle)
	if idle[rounds-1] > idle[0]+poolIdle/2 {
		t.Errorf("they become more and more: %v", idle)
	}
}

// leaver is one client of the crowd: half of them leave at once, the others when
// all do.
func (r *poolRig) leaver(rng *rand.Rand, name string, mu *sync.Mutex, all *[]*harness.Conn) error {
	c, err := r.connect(harness.Acme)
	if err != nil {
		return err
	}
	p := poolPoints[rng.IntN(len(poolPoints))]
	if strings.Contains(p.name, "EVAL") && rng.IntN(4) > 0 {
		p = poolPoints[0] // they take their time
	}
	if err := p.reach(c, name); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	if rng.IntN(2) == 0 {
		mu.Lock()
		*all = append(*all, c)
		mu.Unlock()
		return nil
	}
	time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond) // any moment is as good as another
	poolWays[[]string{"FIN", "RST", "half-close"}[rng.IntN(3)]](c)
	return nil
}
