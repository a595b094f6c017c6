package quota

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

const patience = 20 * time.Second

func newRedis(t *testing.T) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: harness.StartRedis(t).Addr, MaxRetries: -1})
	t.Cleanup(func() { c.Close() })
	return c
}

func askOne(t *testing.T, c *redis.Client, proxy string, sequence uint64, limits CountLimits, need, extra uint32) countAnswer {
	t.Helper()
	a := countAsk{c: &Counts{key: "t:acme:counts"}, sequence: sequence}
	for r := range limits {
		a.c.limits[r].Store(limits[r])
	}
	a.need[Connections], a.extra[Connections] = need, extra
	answers, err := runCounts(t.Context(), c, proxy, []countAsk{a})
	if err != nil {
		t.Fatal(err)
	}
	return answers[0]
}

func TestCountsScript(t *testing.T) {
	c := newRedis(t)
	limits := CountLimits{Connections: 20}
	for i, x := range []struct {
		proxy           string
		sequence        uint64
		need, extra     uint32
		granted         uint32
		others, proxies int64
		stale           bool
	}{
		{"a", 1, 1, 8, 9, 0, 1, false},
		{"a", 1, 1, 8, 9, 0, 1, false}, // the same once more is no more
		{"b", 1, 2, 8, 4, 9, 2, false}, // the nearer the limit, the less
		{"c", 1, 30, 8, 7, 13, 3, false},
		{"b", 2, 5, 8, 4, 16, 3, false},
		{"a", 3, 2, 0, 2, 11, 3, false},
		{"a", 2, 9, 0, 0, 0, 0, true}, // came late
		{"b", 3, 5, 0, 5, 9, 3, false},
		{"b", 4, 0, 0, 0, 9, 3, false}, // has nothing any more
		{"a", 4, 2, 0, 2, 7, 2, false},
	} {
		got := askOne(t, c, x.proxy, x.sequence, limits, x.need, x.extra)
		if got.granted[Connections] != x.granted || got.others[Connections] != x.others || got.proxies != x.proxies || got.old != x.stale {
			t.Errorf("%d: %+v", i, got)
		}
	}
	if ttl := c.PTTL(t.Context(), "t:acme:counts").Val(); ttl <= countSilence || ttl > 2*countSilence {
		t.Errorf("it is kept for %v", ttl)
	}
	// Who has been silent for too long is dropped.
	all := c.HGetAll(t.Context(), "t:acme:counts").Val()
	for proxy, record := range all {
		var at int64
		fmt.Sscan(record, &at)
		_, rest, _ := strings.Cut(record, " ")
		if proxy == "c" {
			c.HSet(t.Context(), "t:acme:counts", proxy, fmt.Sprint(at-countSilence.Milliseconds()-1000, " ", rest))
		}
	}
	if got := askOne(t, c, "a", 5, limits, 20, 0); got.granted[Connections] != 20 || got.proxies != 1 {
		t.Errorf("%+v", got)
	}
	if keys := slices.Collect(maps.Keys(c.HGetAll(t.Context(), "t:acme:counts").Val())); !slices.Equal(keys, []string{"a"}) {
		t.Errorf("left are %q", keys)
	}
	// A lower limit takes away.
	if got := askOne(t, c, "a", 6, CountLimits{Connections: 5}, 20, 0); got.granted[Connections] != 5 {
		t.Errorf("%+v", got)
	}
	askOne(t, c, "a", 7, limits, 0, 0)
	if n := c.Exists(t.Context(), "t:acme:counts").Val(); n != 0 {
		t.Error("what nobody needs is kept")
	}
}

// Many processes with many goroutines never have more than the limit together,
// and nobody is refused who would have room.
func TestCountsRace(t *testing.T) {
	c := newRedis(t)
	ctx, cancel := context.WithCancel(t.Context())
	var running, users sync.WaitGroup
	const limit = 20
	room := make(chan struct{}, limit)
	for k := range 4 {
		m := NewCountManager(c, fmt.Sprint("proxy", k))
		m.Set("acme", "t:acme:", CountLimits{Subscriptions: limit})
		counts := m.Tenant("acme")
		running.Go(func() { m.Run(ctx) })
		for i := range 16 {
			users.Go(func() {
				for range 20 {
					if !counts.Take(Subscriptions, 1) {
						x := counts.Claim(Subscriptions, 1)
						select {
						case <-x.Done():
						case <-time.After(patience):
							t.Error("a claim is not decided")
							return
						}
						if i == 0 {
							x.Cancel() // whatever came of it
						}
						if x.Err() != nil {
							continue
						}
					}
					select {
					case room <- struct{}{}:
					default:
						t.Error("more have been granted than there may be")
					}
					time.Sleep(time.Duration(i) * time.Millisecond / 4)
					<-room
					counts.Give(Subscriptions, 1)
				}
			})
		}
	}
	users.Wait()
	harness.Eventually(t, "all is given back", func() bool { return c.Exists(ctx, "t:acme:counts").Val() == 0 })
	cancel()
	running.Wait()
}

// clocked is a manager with a clock and an upstream of the test's.
type clocked struct {
	*CountManager
	t      *testing.T
	time   time.Time
	asks   int
	err    error
	others int64 // connections
	limit  int64
}

func newClocked(t *testing.T, limits CountLimits) (*clocked, *Counts) {
	x := &clocked{CountManager: NewCountManager(nil, "me"), t: t, time: time.Unix(1e9, 0), limit: limits[Connections]}
	x.now = func() time.Time { return x.time }
	x.ask = func(_ context.Context, asks []countAsk) ([]countAnswer, error) {
		x.asks += len(asks)
		if x.err != nil {
			return nil, x.err
		}
		answers := make([]countAnswer, len(asks))
		for i, a := range asks {
			free := max(0, x.limit-x.others)
			answers[i].proxies = 2
			answers[i].others[Connections] = x.others
			answers[i].granted[Connections] = uint32(min(free, int64(a.need[Connections]+a.extra[Connections])))
		}
		return answers, nil
	}
	x.Set("acme", "t:acme:", limits)
	return x, x.Tenant("acme")
}

// pass lets time go by, as Run would see it.
func (x *clocked) pass(d time.Duration) {
	for end := x.time.Add(d); ; {
		next := max(time.Millisecond, x.round(x.t.Context()))
		if x.time.Add(next).After(end) {
			x.time = end
			return
		}
		x.time = x.time.Add(next)
	}
}

func (x *clocked) claim(c *Counts, want error) {
	x.t.Helper()
	claim := c.Claim(Connections, 1)
	x.pass(0)
	if !claim.Decided() || claim.Err() != want {
		x.t.Fatalf("decided %v, %v", claim.Decided(), claim.Err())
	}
}

func TestCountsWithin(t *testing.T) {
	x, c := newClocked(t, CountLimits{Connections: 20})
	x.claim(c, nil)
	for range countExtra { // which were asked for in advance
		if !c.Take(Connections, 1) {
			t.Fatal("nothing was asked for in advance")
		}
	}
	if x.asks != 1 || c.Take(Connections, 1) {
		t.Fatalf("asked %d times", x.asks)
	}
	x.pass(time.Minute)
	if n := x.asks; n < 15 || n > 25 {
		t.Errorf("in a minute in which nothing happened the upstream was asked %d times", n)
	}
	c.Give(Connections, countExtra)
	x.pass(2*countPeriod + time.Millisecond)
	if c.Take(Connections, 1) {
		t.Error("what was not used is still there")
	}
	if u := x.Usage("acme"); len(u) != 1 || u[0] != (Usage{"connections", 1, 20}) {
		t.Errorf("%+v", u)
	}
	c.Give(Connections, 1)
	x.pass(3 * countPeriod)
	asks := x.asks
	x.pass(2 * countLook)
	if after := x.asks; after-asks > int(countLook/countLookAgain)+1 {
		t.Errorf("with nothing there the upstream was asked %d times", after-asks)
	}
}

func TestCountsFull(t *testing.T) {
	x, c := newClocked(t, CountLimits{Connections: 20})
	x.others = 20
	claim := c.Claim(Connections, 1)
	x.pass(countWait - 10*time.Millisecond)
	if claim.Decided() {
		t.Fatal("others may give something back")
	}
	if x.asks > int(countWait/countAgain)+2 {
		t.Errorf("asked %d times", x.asks)
	}
	x.pass(countAgain + 10*time.Millisecond)
	if !claim.Decided() || claim.Err() != ErrFull {
		t.Fatal("that was enough")
	}
	x.others = 19
	claim = c.Claim(Connections, 1)
	canceled := c.Claim(Connections, 1)
	canceled.Cancel()
	x.pass(countAgain)
	if !claim.Decided() || claim.Err() != nil || canceled.Err() != ErrFull {
		t.Fatal("there was one")
	}
	claim.Cancel()
	if c.Used(Connections) != 0 {
		t.Error("it is still counted")
	}
	if c.Claim(Connections, 21).Err() != ErrFull {
		t.Error("more than there can be")
	}
	// When the upstream has given away what was thought to be ours.
	x.others = 0
	x.claim(c, nil)
	x.claim(c, nil)
	x.others = 20
	x.pass(countSign)
	c.Give(Connections, 1)
	if c.Take(Connections, 1) {
		t.Error("others have it")
	}
	if c.Used(Connections) != 1 {
		t.Errorf("%d are used", c.Used(Connections))
	}
}

func TestCountsUpstreamAway(t *testing.T) {
	x, c := newClocked(t, CountLimits{Connections: 20})
	x.claim(c, nil)
	x.pass(time.Minute)
	x.err = errors.New("away")
	for range 9 { // half of the limit, as there were two proxies
		if !c.Take(Connections, 1) {
			x.claim(c, nil)
		}
	}
	x.claim(c, ErrFull)
	asks := x.asks
	x.pass(10 * countPeriod)
	if n := x.asks - asks; n < 5 || n > 12 {
		t.Errorf("asked %d times", n)
	}
	x.err, x.others = nil, 15
	x.pass(2 * countPeriod)
	c.Give(Connections, 4)
	if c.Take(Connections, 1) {
		t.Error("20 are counted over all")
	}
	c.Give(Connections, 2)
	x.pass(countPeriod)
	x.claim(c, nil)
}

// What is claimed while the upstream is being asked for something else is not
// decided by that.
func TestCountsClaimedMeanwhile(t *testing.T) {
	x, c := newClocked(t, CountLimits{Connections: 20})
	ask := x.ask
	var late *Claim
	x.ask = func(ctx context.Context, asks []countAsk) ([]countAnswer, error) {
		answers, err := ask(ctx, asks)
		if late == nil {
			answers[0].granted[Connections] = 1
			late = c.Claim(Connections, 2)
		}
		return answers, err
	}
	x.claim(c, nil)
	x.pass(0)
	if !late.Decided() || late.Err() != nil {
		t.Fatal("there was room")
	}
}
