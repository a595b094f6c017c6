package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"riptide-proxy/tests/harness"
)

// The stateful differential test: sessions in which several clients at once do
// what leaves something behind on a connection, or depends on what others do:
// transactions, blocking, subscriptions, scripts, tracking. The tenant behind
// the proxy and the only user of a plain Redis are told the same, and each
// client must hear the same in the same order; after every step as many must be
// blocked.
//
//	RIPTIDE_DIFF_SEED=7      another sequence of steps; a failure names its seed
//	RIPTIDE_DIFF_STEPS=50000 longer sessions, 2500 steps each by default
//	RIPTIDE_DIFF_SESSION=3   that session alone
//	RIPTIDE_DIFF_AGAINST=plain   a second plain Redis in place of the proxy: what differs then
//	                             is the test's own fault

// stateTheme is what a session is mostly about.
type stateTheme struct {
	name             string
	parts            []statePart
	protos           []int
	channels         []string
	events, tracking bool
	scripts          bool
}

type statePart struct {
	weight int
	make   func(g *stateGen, s *stateStep, blocked int)
}

func (t *stateTheme) sum() (n int) {
	for _, p := range t.parts {
		n += p.weight
	}
	return n
}

var stateThemes = []stateTheme{
	{name: "transactions", protos: []int{2, 3, 2}, channels: stateChannels, scripts: true, parts: []statePart{
		{30, (*stateGen).data}, {60, (*stateGen).transaction}, {5, (*stateGen).script}, {5, (*stateGen).connection}}},
	{name: "blocking", protos: []int{2, 3, 2, 3}, channels: stateChannels, parts: []statePart{
		{25, (*stateGen).data}, {60, (*stateGen).block}, {8, (*stateGen).transaction}, {4, (*stateGen).connection}}},
	{name: "subscriptions", protos: []int{2, 3, 3, 2}, channels: stateChannels, scripts: true, parts: []statePart{
		{10, (*stateGen).data}, {70, (*stateGen).pubsub}, {8, (*stateGen).transaction}, {5, (*stateGen).script}, {5, (*stateGen).connection}}},
	{name: "events", protos: []int{2, 3, 3}, channels: slices.Concat(stateChannels, stateEvents, stateEvents), events: true, scripts: true, parts: []statePart{
		{50, (*stateGen).data}, {30, (*stateGen).pubsub}, {10, (*stateGen).transaction}, {5, (*stateGen).block}, {5, (*stateGen).script}, {5, (*stateGen).connection}}},
	{name: "scripts", protos: []int{2, 3, 2}, channels: stateChannels, scripts: true, parts: []statePart{
		{20, (*stateGen).data}, {70, (*stateGen).script}, {8, (*stateGen).transaction}, {5, (*stateGen).connection}}},
	{name: "tracking", protos: []int{3, 3, 2}, channels: stateChannels, tracking: true, scripts: true, parts: []statePart{
		{35, (*stateGen).data}, {50, (*stateGen).track}, {5, (*stateGen).transaction}, {4, (*stateGen).script}, {4, (*stateGen).connection}, {4, (*stateGen).reply}}},
	{name: "silence", protos: []int{2, 3, 3}, channels: stateChannels, parts: []statePart{
		{25, (*stateGen).data}, {40, (*stateGen).reply}, {20, (*stateGen).pubsub}, {10, (*stateGen).transaction}, {5, (*stateGen).connection}}},
	{name: "everything", protos: []int{2, 3, 2, 3}, channels: slices.Concat(stateChannels, stateEvents), events: true, tracking: true, scripts: true, parts: []statePart{
		{25, (*stateGen).data}, {15, (*stateGen).transaction}, {20, (*stateGen).block}, {15, (*stateGen).pubsub}, {10, (*stateGen).script},
		{10, (*stateGen).track}, {3, (*stateGen).reply}, {3, (*stateGen).connection}}},
}

// stateRun is one session.
type stateRun struct {
	t            *testing.T
	plain, other *stateSide
	clients      []*stateClient
	gen          *stateGen
	cover        *stateCoverage
	history      []statePast // since the clients connected
	failed       map[string]bool
	steps        int
	shared       bool // subscribers share a connection to the upstream
}

// stateMostFailures bounds what one session reports.
const stateMostFailures = 8

func TestStateful(t *testing.T) {
	if os.Getenv("RIPTIDE_DIFF_AGAINST") == "plain" {
		stateSessions(t, stateAll, func(t *testing.T) *stateSide {
			r := startStatePlain(t)
			return newStateSide(t, r.Addr, r.Addr, harness.Acme.Secret, nil, 0)
		})
		return
	}
	stateAgainstProxy(t, stateAll, harness.Options{})
}

// The same where all subscribers share one connection to the upstream.
func TestStatefulShared(t *testing.T) {
	stateAgainstProxy(t, stateShared, harness.Options{Upstream: "  subscriber_connections: 0\n"})
}

// And with values sealed. What scripts look at beforehand the server takes for read by clients that
// track keys, and so tells them more than it must; in those sessions more differs.
func TestStatefulSealed(t *testing.T) {
	if os.Getenv("RIPTIDE_TEST_VALUES") != "" {
		t.Skip("all tests run like that")
	}
	t.Setenv("RIPTIDE_TEST_VALUES", "zstd")
	if os.Getenv("RIPTIDE_DIFF_STEPS") == "" {
		t.Setenv("RIPTIDE_DIFF_STEPS", "1500")
	}
	stateAgainstProxy(t, stateSealed, harness.Options{})
}

// Which of the sessions are made.
var (
	stateSealed = []string{"transactions", "blocking", "subscriptions", "events", "scripts", "silence"}
	stateAll    []string
	stateShared = []string{"subscriptions", "events", "silence", "everything"}
)

func stateAgainstProxy(t *testing.T, themes []string, o harness.Options) {
	t.Helper()
	upstream := harness.StartRedis(t, "--notify-keyspace-events", "KEA")
	o.Tenants = []harness.Tenant{harness.Acme, harness.Globex, stateQuiet}
	proxy := harness.StartProxy(t, upstream.Addr, o)
	proxy.Ready(t)
	noise := startStateNoise(t, proxy, upstream.Addr)
	stateSessions(t, themes, func(t *testing.T) *stateSide {
		return newStateSide(t, proxy.Addr, upstream.Addr, "", proxy, stateQuietBlocked)
	})
	noise.finish(t)
}

// startStatePlain runs a Redis that knows the tenant as a user.
func startStatePlain(t *testing.T) *harness.Process {
	t.Helper()
	return harness.StartRedis(t, "--notify-keyspace-events", "KEA", "--requirepass", harness.Acme.Secret,
		"--user", harness.Acme.ID, "on", ">"+harness.Acme.Secret, "~*", "&*", "+@all")
}

// stateSteps is how long a session is by default.
const stateSteps = 2500

func stateSessions(t *testing.T, themes []string, other func(t *testing.T) *stateSide) {
	t.Helper()
	// One seed, as there are others, 101 and 102 among them, in which a plain server tells a tracker of a key that it read
	// before RESET or CLIENT TRACKING OFF: turned on again, it has its old entries back, as no one took them out of the
	// table. With the proxy it does not.
	seed := diffSetting(t, "RIPTIDE_DIFF_SEED", 7)
	steps := int(diffSetting(t, "RIPTIDE_DIFF_STEPS", stateSteps))
	only := int(diffSetting(t, "RIPTIDE_DIFF_SESSION", 0))
	redis := startStatePlain(t)
	cover := &stateCoverage{good: make(map[string]int)}
	for i, theme := range stateThemes {
		if only > 0 && only != i+1 || themes != nil && !slices.Contains(themes, theme.name) {
			continue
		}
		t.Run(fmt.Sprintf("%d %s", i+1, theme.name), func(t *testing.T) {
			r := &stateRun{
				t: t, shared: themes != nil, cover: cover, failed: make(map[string]bool), other: other(t),
				plain: newStateSide(t, redis.Addr, redis.Addr, harness.Acme.Secret, nil, 0),
				gen:   &stateGen{Rand: rand.New(rand.NewPCG(seed, uint64(i))), theme: theme},
			}
			r.run(steps)
			if t.Failed() {
				t.Logf("again with RIPTIDE_DIFF_SEED=%d RIPTIDE_DIFF_SESSION=%d RIPTIDE_DIFF_STEPS=%d", seed, i+1, steps)
			}
		})
	}
	if only == 0 && themes == nil {
		if steps >= stateSteps { // shorter ones have not had the time
			cover.check(t)
		}
	}
}

// run makes the steps, and ends with a comparison of what is stored.
func (r *stateRun) run(steps int) {
	defer r.plain.close()
	defer r.other.close()
	r.connect()
	for ; r.steps < steps && len(r.failed) < stateMostFailures; r.steps++ {
		var ok bool
		if i := r.gen.IntN(len(r.clients)); r.gen.chance(1) && r.canLeave(i) {
			ok = r.relogin(i)
		} else {
			ok = r.do(r.gen.step())
		}
		if !ok {
			r.connect()
		}
	}
	r.compare()
}

func (r *stateRun) connect() {
	protos := r.gen.theme.protos
	r.plain.connect(r.t, protos)
	r.other.connect(r.t, protos)
	r.history = nil
	r.clients = make([]*stateClient, len(protos))
	for i := range r.clients {
		r.clients[i] = &stateClient{}
	}
	r.gen.clients, r.gen.loaded = r.clients, nil
	r.gen.waiting = func(i int) *stateCall { return r.plain.conns[i].queue[0] }
	r.plain.fence(r.t, r.clients)
	for _, side := range []*stateSide{r.plain, r.other} {
		diffMust(r.t, side.observer, "SCRIPT", "FLUSH")
	}
}

// canLeave tells whether a client may log in as somebody else: plain Redis
// would let it keep what the proxy has it leave behind, so it must be able to
// do away with everything by RESET.
func (r *stateRun) canLeave(i int) bool {
	c := r.clients[i]
	return !c.blocked && !c.silent && !c.multi && !c.subscriber() && c.authenticated && !r.gen.theme.tracking
}

// relogin makes a client another tenant's for a moment. At plain Redis it is
// reset, so that afterwards neither side may have anything of before.
func (r *stateRun) relogin(i int) bool {
	proto := 2 + r.gen.IntN(2)
	reset := append([]*stateCall{{words: []string{"RESET"}}}, stateLogin(proto)...)
	for _, side := range []*stateSide{r.plain, r.other} {
		calls := reset
		if side.proxy != nil {
			calls = append([]*stateCall{
				{words: []string{"AUTH", harness.Globex.ID, harness.Globex.Secret}},
				{words: []string{"WATCH", "s1"}}, {words: []string{"SELECT", "1"}},
			}, stateLogin(proto)...)
		}
		side.conns[i].mustAll(r.t, nil, calls)
	}
	r.plain.fence(r.t, r.clients)
	r.history = append(r.history, statePast{&stateStep{client: i, calls: reset}, "  (was somebody else for a moment)"})
	r.cover.note("was somebody else")
	return true
}

// compare looks at all keys on both sides.
func (r *stateRun) compare() {
	asks := map[string][]string{
		"+string\r\n": {"GET"}, "+list\r\n": {"LRANGE", "0", "-1"}, "+zset\r\n": {"ZRANGE", "0", "-1", "WITHSCORES"},
		"+stream\r\n": {"XRANGE", "-", "+"}, "+hash\r\n": {"HGETALL"}, "+set\r\n": {"SORT"},
	}
	for db := range 2 {
		for _, key := range statePools["$k"] {
			var got [2]string
			for i, side := range []*stateSide{r.plain, r.other} {
				diffMust(r.t, side.observer, "SELECT", fmt.Sprint(db))
				got[i] = diffMust(r.t, side.observer, "TYPE", key)
				if ask := asks[got[i]]; ask != nil {
					got[i] = diffMust(r.t, side.observer, append([]string{ask[0], key}, ask[1:]...)...)
				}
				diffMust(r.t, side.observer, "SELECT", "0")
			}
			if got[0] != got[1] {
				r.t.Errorf("database %d, %s\n  plain: %s\n  other: %s", db, key, diffShow(got[0]), diffShow(got[1]))
			}
		}
	}
}
