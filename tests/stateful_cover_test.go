package tests

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// stateCoverage counts what has succeeded.
type stateCoverage struct {
	mu   sync.Mutex
	good map[string]int
}

func (c *stateCoverage) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.good[what]++
}

// count notes what a frame of plain Redis shows to have worked. before is the
// state of the client that got it.
func (c *stateCoverage) count(f stateFrame, before *stateClient) {
	name := f.call.name()
	switch kind := statePush(f.text); {
	case kind == "pong":
		c.note("ping of a subscriber")
	case kind != "":
		c.note(kind)
		if strings.Contains(f.text, "\r\n__key") && strings.HasSuffix(kind, "message") {
			c.note("keyspace event")
		}
		if strings.Contains(f.text, "\r\n__redis__:invalidate\r\n") && kind == "message" {
			c.note("redirected invalidation")
		}
	case strings.HasPrefix(f.text, "-"):
		word, _, _ := strings.Cut(f.text[1:], " ")
		c.note("error " + word)
		if strings.HasPrefix(f.text, "-ERR Can't execute") {
			c.note("refused to a subscriber")
		}
	case f.text == "+QUEUED\r\n":
		c.note("queued")
	case name == "exec" && (f.text == "*-1\r\n" || f.text == "_\r\n"):
		c.note("exec without effect")
	case slices.Contains(stateBlocking, name) && (f.text == "*-1\r\n" || f.text == "_\r\n" || f.text == "$-1\r\n"):
		c.note("timeout")
	case before.blocked && name != "":
		c.note("served " + name)
		c.note(name)
	default:
		c.note(name)
	}
}

var stateBlocking = []string{"blpop", "brpop", "blmove", "brpoplpush", "blmpop", "bzpopmin", "bzpopmax", "bzmpop", "xread", "xreadgroup"}

// stateMust is what has to have come about in the sessions, so that the test
// can not do nothing without being noticed.
var stateMust = []string{
	"multi", "exec", "discard", "watch", "unwatch", "queued", "exec without effect", "error EXECABORT", "error WRONGTYPE",
	"wait", "timeout", "client|unblock", "error UNBLOCKED", "behind a blocked command",
	"subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe", "message", "pmessage", "smessage", "publish", "spublish",
	"pubsub|channels", "pubsub|numsub", "pubsub|numpat", "pubsub|shardchannels", "pubsub|shardnumsub", "ping of a subscriber", "refused to a subscriber",
	"keyspace event", "eval", "evalsha", "eval_ro", "evalsha_ro", "script|load", "script|exists", "script|flush", "error NOSCRIPT",
	"client|tracking", "client|caching", "client|trackinginfo", "client|getredir", "invalidate", "redirected invalidation", "client|reply", "reset", "hello", "auth", "select",
	"was somebody else", "error NOAUTH",
}

// check fails the test for everything that has never come about.
func (c *stateCoverage) check(t *testing.T) {
	must := slices.Clone(stateMust)
	for _, name := range stateBlocking {
		must = append(must, name, "served "+name)
	}
	for _, name := range must {
		if c.good[name] == 0 {
			t.Errorf("%q has never come about", name)
		}
	}
	var list strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.good)) {
		fmt.Fprintf(&list, "\n%-32s %6d", name, c.good[name])
	}
	if testing.Verbose() {
		t.Logf("what came about:%s", list.String())
	}
}

// stateQuiet is a tenant that does nothing but listen and wait.
var stateQuiet = harness.Tenant{ID: "initech", Secret: "initech-secret"}

// stateQuietBlocked is how many of its clients are blocked.
const stateQuietBlocked = 2

// stateNoise is what the neighbours on the same upstream do meanwhile, with the
// same names.
type stateNoise struct {
	stop    chan struct{}
	wg      sync.WaitGroup
	rounds  atomic.Int64
	waiting []*harness.Conn // of the quiet tenant; nobody ever sends it anything
	err     atomic.Value
}

// startStateNoise has one neighbour who works with the names of the sessions,
// and one who waits for things of the same names and must never get any.
func startStateNoise(t *testing.T, p *harness.Proxy, upstream string) *stateNoise {
	t.Helper()
	n := &stateNoise{stop: make(chan struct{})}
	for _, wait := range [][]string{{"BLPOP", "l1", "l2", "l3", "0"}, {"BZPOPMIN", "z1", "z2", "0"}, {"PSUBSCRIBE", "*"}, {"SSUBSCRIBE", "sh1"}} {
		c := p.Connect(t, stateQuiet)
		if err := c.Send(wait...); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(wait[0], "SUBSCRIBE") {
			if reply, err := c.Reply(); err != nil || !strings.HasPrefix(reply, "*3\r\n") {
				t.Fatalf("%q: %q, %v", wait, reply, err)
			}
		}
		n.waiting = append(n.waiting, c)
	}
	up := diffDial(t, upstream, "")
	harness.Eventually(t, "the quiet tenant is blocked", func() bool {
		return strings.Contains(diffMust(t, up, "INFO", "clients"), fmt.Sprintf("\r\nblocked_clients:%d\r\n", stateQuietBlocked))
	})
	c := p.Connect(t, harness.Globex)
	n.wg.Go(func() { n.err.Store(fmt.Sprint(n.work(c))) })
	return n
}

// work does something of everything that does not block, one call after the other, so that the
// machine is left to the sessions.
func (n *stateNoise) work(c *harness.Conn) error {
	calls := []string{
		"RPUSH l1 foreign foreign", "SET s1 foreign", "ZADD z1 1 foreign", "XADD x1 * foreign foreign", "XTRIM x1 MAXLEN 5", "PUBLISH ch1 foreign", "SPUBLISH sh1 foreign",
		"PUBLISH news.a foreign", "LPOP l1", "DEL l1 s1 z1", "HSET h1 foreign foreign", "MULTI", "SET s2 foreign", "INCR s2", "EXEC", "WATCH s1 s2", "UNWATCH",
		"SUBSCRIBE ch1", "UNSUBSCRIBE ch1", "SET s3 foreign PX 1", "FLUSHDB", "SCRIPT FLUSH", "EVAL return(1) 0",
	}
	for {
		for _, call := range calls {
			select {
			case <-n.stop:
				return nil
			default:
			}
			reply, err := c.Do(strings.Fields(call)...)
			if err != nil {
				return fmt.Errorf("%s: %q, %w", call, reply, err)
			}
			if strings.HasPrefix(reply, "-") && !strings.Contains(reply, "not an integer") {
				return fmt.Errorf("%s: %q", call, reply)
			}
			n.rounds.Add(1)
		}
	}
}

func (n *stateNoise) finish(t *testing.T) {
	t.Helper()
	close(n.stop)
	n.wg.Wait()
	if err := n.err.Load(); err != "<nil>" {
		t.Errorf("the neighbour: %v", err)
	}
	if n.rounds.Load() < 100 {
		t.Errorf("the neighbour has made %d calls only", n.rounds.Load())
	}
	for i, c := range n.waiting {
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if b, err := c.R.Peek(1); len(b) > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the quiet tenant's connection %d: %q, %v", i, b, err)
		}
	}
}
