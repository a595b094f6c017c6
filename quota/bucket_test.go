package quota

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

// home is a real server with the buckets.
type home struct {
	t      *testing.T
	client *redis.Client
}

func newHome(t *testing.T) *home {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: harness.StartRedis(t).Addr, MaxRetries: -1})
	t.Cleanup(func() { c.Close() })
	return &home{t, c}
}

const bucketKey = "t:acme:rates"

// draw asks one bucket as a participant.
func (h *home) draw(who string, a Ask) Answer {
	h.t.Helper()
	c := &Call{Key: bucketKey, Asks: []Ask{a}}
	Draw(context.Background(), h.client, who, []*Call{c})
	if c.Err != nil {
		h.t.Fatal(c.Err)
	}
	return c.Answers[0]
}

// age makes the buckets older.
func (h *home) age(limit *Limit, d time.Duration) {
	h.t.Helper()
	// What the script has saved begins with the tokens and the time.
	const older = `local v = redis.call('HGET', KEYS[1], ARGV[1])
		v = string.gsub(v, '(%d%d%d%d%d%d%d%d%d%d%d%d+)', function(at) return string.format('%.0f', tonumber(at) - ARGV[2]) end)
		return redis.call('HSET', KEYS[1], ARGV[1], v)`
	if err := h.client.Eval(context.Background(), older, []string{bucketKey}, limit.Name, d.Microseconds()).Err(); err != nil {
		h.t.Fatal(err)
	}
}

func near(t *testing.T, what string, got, want, by float64) {
	t.Helper()
	if math.Abs(got-want) > by {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// slowly is a limit that time does not change while a test runs.
func slowly() *Limit { return &Limit{Name: "ops", Rate: 0.001, Burst: 100, Unit: 1} }

// A bucket is full at first, is emptied by whoever asks, and fills with time up to the burst.
func TestBucketFills(t *testing.T) {
	h, l := newHome(t), slowly()
	near(t, "a first draw", h.draw("a", Ask{Limit: l, Want: 60}).Granted, 60, 0.1)
	second := h.draw("b", Ask{Limit: l, Want: 60})
	near(t, "what is left", second.Granted, 40, 0.1)
	near(t, "tokens", second.Tokens, 0, 0.1)
	l.Rate = 10
	h.age(l, 3*time.Second)
	near(t, "after three seconds", h.draw("a", Ask{Limit: l}).Tokens, 30, 5)
	h.age(l, time.Hour)
	near(t, "after an hour", h.draw("a", Ask{Limit: l}).Tokens, 100, 0.1)
	if ttl := h.client.PTTL(context.Background(), bucketKey).Val(); ttl < 50*time.Second || ttl > 2*time.Minute {
		t.Errorf("the key lives for %v", ttl)
	}
}

// What was spent beyond the lease is a debt of everybody's, and what is given back is for
// everybody.
func TestBucketDebt(t *testing.T) {
	h, l := newHome(t), slowly()
	near(t, "debt", h.draw("a", Ask{Limit: l, Spent: 250}).Tokens, -150, 0.1)
	near(t, "granted to another", h.draw("b", Ask{Limit: l, Want: 1}).Granted, 0, 0)
	near(t, "given back", h.draw("a", Ask{Limit: l, Spent: -170, Want: 0}).Tokens, 20, 0.1)
	near(t, "granted then", h.draw("b", Ask{Limit: l, Want: 30}).Granted, 20, 0.1)
	ttl := h.client.PTTL(context.Background(), bucketKey).Val()
	if want := 100 / 0.001 * float64(time.Second); float64(ttl) < want {
		t.Errorf("the key goes after %v, before the bucket is full", ttl)
	}
}

// What has been lent and not used counts against the burst, as long as it is known of.
func TestBucketLent(t *testing.T) {
	h, l := newHome(t), slowly()
	l.Rate = 100
	near(t, "a", h.draw("a", Ask{Limit: l, Want: 70}).Granted, 70, 0.1)
	h.age(l, 5*time.Second)
	near(t, "tokens with 70 lent", h.draw("b", Ask{Limit: l}).Tokens, 30, 0.1)
	h.age(l, time.Minute)
	near(t, "tokens after a was heard of last", h.draw("b", Ask{Limit: l}).Tokens, 100, 0.1)
}

// When tokens are scarce each participant has its part by demand; when they are not, one that
// asks has all.
func TestBucketShares(t *testing.T) {
	h, l := newHome(t), slowly()
	h.draw("a", Ask{Limit: l, Demand: 3000})
	b := h.draw("b", Ask{Limit: l, Demand: 1000, Want: 1000})
	near(t, "b of 100 tokens", b.Granted, 25, 0.1)
	near(t, "b's share", b.Share, 0.00025, 0.001)
	near(t, "all demand", b.Demand, 4000, 0.1)
	if b.Proxies != 2 {
		t.Errorf("%d participants", b.Proxies)
	}
	near(t, "a of 75", h.draw("a", Ask{Limit: l, Demand: 3000, Want: 1000}).Granted, 75*0.75, 0.1)
	h.age(l, 3*time.Second)
	c := h.draw("c", Ask{Limit: l, Demand: 1, Want: 5})
	near(t, "c, of whom the others are not heard any more", c.Granted, 5, 0.1)
	if c.Proxies != 1 {
		t.Errorf("%d participants", c.Proxies)
	}
	near(t, "c's share", c.Share, l.Rate, 0.0001)
}

// Many buckets of many tenants are one call, also for a server that has forgotten the script.
func TestDrawMany(t *testing.T) {
	h, l, other := newHome(t), slowly(), &Limit{Name: "user:joe:in", Rate: 1000, Burst: 10, Unit: 1}
	for range 2 {
		calls := []*Call{
			{Key: "t:a:rates", Asks: []Ask{{Limit: l, Want: 1}, {Limit: other, Want: 2}}},
			{Key: "t:b:rates", Asks: []Ask{{Limit: l, Want: 3}}},
			{Key: "t:c:rates"},
		}
		Draw(context.Background(), h.client, "a", calls)
		for _, c := range calls {
			if c.Err != nil || len(c.Answers) != len(c.Asks) {
				t.Fatalf("%s: %v, %v", c.Key, c.Answers, c.Err)
			}
			for i, a := range c.Asks {
				near(t, c.Key, c.Answers[i].Granted, a.Want, 0.01)
			}
		}
		h.client.ScriptFlush(context.Background())
	}
	if n := h.client.Exists(context.Background(), "t:c:rates").Val(); n != 0 {
		t.Error("a key for nothing")
	}
}

// What can not be is an error of its call.
func TestDrawFails(t *testing.T) {
	h := newHome(t)
	h.client.Set(context.Background(), "t:a:rates", "x", 0)
	calls := []*Call{{Key: "t:a:rates", Asks: []Ask{{Limit: slowly(), Want: 1}}}, {Key: "t:b:rates", Asks: []Ask{{Limit: slowly(), Want: 1}}}}
	Draw(context.Background(), h.client, "a", calls)
	if calls[0].Err == nil || calls[1].Err != nil {
		t.Errorf("%v and %v", calls[0].Err, calls[1].Err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	Draw(ctx, h.client, "a", calls[1:])
	if calls[1].Err == nil {
		t.Error("no error from a call that was not made")
	}
}
