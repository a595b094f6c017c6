package tests

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// stateSide is one of the two that are compared: a plain Redis, or the proxy
// with the Redis behind it. The other side may be a plain Redis as well, which
// shows what the test itself would find different.
type stateSide struct {
	addr     string         // where the clients connect
	proxy    *harness.Proxy // nil for a plain Redis
	control  *harness.Conn  // to the Redis itself
	observer *harness.Conn  // a client in whose name nothing is tested
	conns    []*stateConn
	ids      *strings.Replacer // from {id:n}
	others   int               // clients that are blocked there all the time and not ours
}

func newStateSide(t *testing.T, addr, redis, password string, proxy *harness.Proxy, others int) *stateSide {
	s := &stateSide{addr: addr, proxy: proxy, others: others, control: diffDial(t, redis, password), observer: diffDial(t, addr, "")}
	diffMust(t, s.observer, "AUTH", harness.Acme.ID, harness.Acme.Secret)
	return s
}

// blocked is how many clients the Redis has blocked.
func (s *stateSide) blocked(t *testing.T) (n int) {
	t.Helper()
	_, rest, _ := strings.Cut(diffMust(t, s.control, "INFO", "clients"), "\r\nblocked_clients:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatalf("blocked_clients: %v", err)
	}
	return n - s.others
}

// connect begins anew, with clients of the given versions of the protocol.
func (s *stateSide) connect(t *testing.T, protos []int) {
	t.Helper()
	s.close()
	var ids []string
	for i, proto := range protos {
		c, err := stateDial(s.addr)
		if err != nil {
			t.Fatal(err)
		}
		s.conns = append(s.conns, c)
		c.mustAll(t, nil, stateLogin(proto))
		id := c.mustAll(t, nil, []*stateCall{{words: []string{"CLIENT", "ID"}}})[0]
		c.id = strings.TrimSuffix(strings.TrimPrefix(id, ":"), "\r\n")
		ids = append(ids, fmt.Sprintf("{id:%d}", i), c.id)
	}
	s.ids = strings.NewReplacer(ids...)
	s.quiet(t, "FLUSHALL")
}

// close ends the clients and waits until nothing of them is left at the server.
func (s *stateSide) close() {
	for _, c := range s.conns {
		c.tcp.Close()
	}
	s.conns = nil
}

// quiet waits until the server has noticed that the clients of before are gone.
func (s *stateSide) quiet(t *testing.T, then ...string) {
	t.Helper()
	harness.Eventually(t, "those who have left are no longer blocked or subscribed", func() bool {
		for _, ask := range [][]string{{"PUBSUB", "NUMPAT"}, {"PUBSUB", "CHANNELS"}, {"PUBSUB", "SHARDCHANNELS"}} {
			if reply := diffMust(t, s.observer, ask...); reply != ":0\r\n" && reply != "*0\r\n" {
				return false
			}
		}
		return s.blocked(t) == 0
	})
	diffMust(t, s.observer, then...)
}

// mustAll sends calls and waits for one reply to each, none of them an error.
func (c *stateConn) mustAll(t *testing.T, ids *strings.Replacer, calls []*stateCall) (replies []string) {
	t.Helper()
	if ids == nil {
		ids = strings.NewReplacer()
	}
	c.send(calls, ids)
	for end := time.Now().Add(statePatience); len(c.frames) < len(calls) && c.err == nil && time.Now().Before(end); {
		if c.poll(); len(c.frames) < len(calls) {
			time.Sleep(50 * time.Microsecond)
		}
	}
	for _, f := range c.frames {
		replies = append(replies, f.text)
	}
	c.frames = nil
	if len(replies) != len(calls) || strings.Contains(strings.Join(replies, ""), "\r\n-") || strings.HasPrefix(replies[0], "-") {
		t.Fatalf("%s: %q, %v", calls, replies, c.err)
	}
	return replies
}

// stateLogin is what makes a fresh connection, or one after RESET, a client of
// the tenant.
func stateLogin(proto int) []*stateCall {
	return []*stateCall{
		{words: []string{"AUTH", harness.Acme.ID, harness.Acme.Secret}},
		{words: []string{"HELLO", strconv.Itoa(proto)}},
	}
}

// stateClient is what plain Redis says about a client.
type stateClient struct {
	known          bool
	blocked, multi bool
	queued         int
	tracking       bool
	subs           int
	kinds          [3]int // channels, patterns, shard channels
	db, proto      int
	authenticated  bool

	silent bool // asked for no replies, which Redis does not tell
}

// subscriber tells whether the client may do nothing but listen.
func (c *stateClient) subscriber() bool { return c.subs > 0 && c.proto == 2 }

// fence waits until a plain Redis has done and answered all that was sent to
// it, so far as it does not block, and returns what it says about its clients.
// What had arrived before the first request is answered, at the latest,
// together with it; asking twice leaves no doubt.
func (s *stateSide) fence(t *testing.T, clients []*stateClient) {
	t.Helper()
	diffMust(t, s.control, "PING")
	list := diffParse(diffMust(t, s.control, "CLIENT", "LIST")).text
	by := make(map[string]map[string]string)
	for line := range strings.Lines(list) {
		fields := make(map[string]string)
		for f := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(f, "=")
			fields[name] = value
		}
		by[fields["id"]] = fields
	}
	for i, c := range clients {
		f, ok := by[s.conns[i].id]
		number := func(name string) int {
			n, _ := strconv.Atoi(f[name])
			return n
		}
		c.known = ok
		c.blocked, c.multi = strings.Contains(f["flags"], "b"), strings.Contains(f["flags"], "x")
		c.tracking = strings.Contains(f["flags"], "t")
		c.queued, c.db, c.proto = number("multi"), number("db"), number("resp")
		c.kinds = [3]int{number("sub"), number("psub"), number("ssub")}
		c.subs = c.kinds[0] + c.kinds[1] + c.kinds[2]
		c.authenticated = f["user"] == harness.Acme.ID
	}
}
