package quota

import (
	"context"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

var acmeLimits = &RateLimits{Tenant: "acme", Key: bucketKey}

// answersTo hands a request over and waits for what comes of it.
func answersTo(t *testing.T, l *Lender, loop int, asks ...Ask) []Answer {
	t.Helper()
	got := make(chan []Answer, 1)
	l.Submit(&Request{Limits: acmeLimits, Loop: loop, Asks: asks, Done: func(a []Answer) { got <- a }})
	select {
	case a := <-got:
		return a
	case <-time.After(15 * time.Second):
		t.Fatal("no answer")
		return nil
	}
}

// runLender runs one until the test ends.
func runLender(t *testing.T, address string, policy config.Unreachable) *Lender {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1, DialTimeout: DrawTime, ReadTimeout: DrawTime, ContextTimeoutEnabled: true})
	l := NewLender(client, "me", policy)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		client.Close()
		running.Wait()
	})
	return l
}

// Several loops' wants are one call, and what is granted is theirs in proportion.
func TestBorrowerMerges(t *testing.T) {
	b, l, now := newBorrower(acmeLimits), slowly(), time.Unix(1000, 0)
	got := make([][]Answer, 3)
	for i, a := range []Ask{{Limit: l, Want: 30, Demand: 3, Used: 1, Held: 2}, {Limit: l, Want: 10, Demand: 1, Spent: 5}, {Limit: l, Spent: -7, Demand: 2}} {
		b.requests = append(b.requests, &Request{Limits: acmeLimits, Loop: i, Asks: []Ask{a}, Done: func(a []Answer) { got[i] = a }})
	}
	c := b.call(now)
	if want := (Ask{Limit: l, Want: 40, Spent: -2, Demand: 6, Used: 1, Held: 2}); len(c.Asks) != 1 || c.Asks[0] != want {
		t.Fatalf("%+v", c.Asks)
	}
	c.Answers = []Answer{{Granted: 20, Share: 9}}
	b.settle(c)
	for i, want := range []float64{15, 5, 0} {
		if len(got[i]) != 1 || got[i][0].Granted != want || got[i][0].Share != 9 {
			t.Errorf("loop %d: %+v, want %v", i, got[i], want)
		}
	}
	// What the others have said counts for a while.
	one := &Request{Limits: acmeLimits, Loop: 1, Asks: []Ask{{Limit: l, Want: 1, Demand: 10}}, Done: func([]Answer) {}}
	b.requests = []*Request{one}
	near(t, "demand with the others'", b.call(now.Add(time.Second)).Asks[0].Demand, 15, 0)
	near(t, "held with the others'", b.call(now.Add(time.Second)).Asks[0].Held, 17, 0)
	near(t, "demand once they are silent", b.call(now.Add(4 * time.Second)).Asks[0].Demand, 10, 0)
}

// While the home is away a process keeps to the share it was told last, or to the rate if it was
// told none.
func TestBorrowerImprovises(t *testing.T) {
	now := time.Unix(1000, 0)
	l := &Limit{Name: "ops", Rate: 1000, Burst: 500, Unit: 1}
	ask := func(b *borrower, policy config.Unreachable, a Ask) (got Answer) {
		a.Limit = l
		b.requests = append(b.requests, &Request{Limits: acmeLimits, Asks: []Ask{a}, Done: func(all []Answer) { got = all[0] }})
		b.improvise(now, policy)
		if !got.Away {
			t.Errorf("%+v", got)
		}
		return got
	}
	share := func(b *borrower) (sum float64) {
		for range 100 {
			now = now.Add(LeasePeriod)
			sum += ask(b, config.Share, Ask{Want: 300}).Granted
		}
		return sum / 10
	}
	b := newBorrower(acmeLimits)
	near(t, "never told, at first", ask(b, config.Share, Ask{Want: 600}).Granted, 500, 0)
	near(t, "never told", share(b), 1000, 1)
	b.bucket(l).told, b.bucket(l).knows = Answer{Share: 120, Tokens: 3}, true
	near(t, "told 120", share(b), 120, 10)
	near(t, "with a debt", ask(b, config.Share, Ask{Want: 300, Spent: 1200}).Granted, 0, 0)
	near(t, "paying it", share(b), 0, 0.1)
	near(t, "having paid it", share(b), 120, 5)
	b.bucket(l).told = Answer{Share: 0}
	near(t, "told nothing is its", share(b), 10, 2)

	near(t, "open", ask(b, config.Open, Ask{Want: 3000}).Granted, 3000, 0)
	if a := ask(b, config.Closed, Ask{Want: 3}); a.Granted != 0 || !a.Shut {
		t.Errorf("closed: %+v", a)
	}
}

// A home that goes away and comes back is noticed, and nobody waits for it longer than for one
// call.
func TestLenderOutage(t *testing.T) {
	server := harness.StartRedis(t)
	l := runLender(t, server.Addr, config.Share)
	limit := &Limit{Name: "ops", Rate: 1000, Burst: 500, Unit: 1}
	if a := answersTo(t, l, 0, Ask{Limit: limit, Want: 10, Demand: 100}); a[0].Granted != 10 || a[0].Away || a[0].Share != 1000 {
		t.Fatalf("%+v", a)
	}
	server.Kill()
	harness.Eventually(t, "the outage is noticed", func() bool { return answersTo(t, l, 0, Ask{Limit: limit, Want: 1, Demand: 100})[0].Away })
	for range 1000 {
		if a := answersTo(t, l, 0, Ask{Limit: limit, Want: 1}); !a[0].Away {
			t.Fatalf("%+v", a)
		}
	}
	harness.StartRedisOn(t, portOf(t, server.Addr))
	harness.Eventually(t, "the return is noticed", func() bool { return !answersTo(t, l, 0, Ask{Limit: limit, Want: 1})[0].Away })
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Two requests that come together may be taken as one batch, and wake it once more for nothing.
func TestLenderWokenForNothing(t *testing.T) {
	l := runLender(t, "127.0.0.1:1", config.Share)
	for range 20 {
		answersTo(t, l, 0, Ask{Limit: slowly(), Want: 1}) // which finds out that there is no home
		l.Submit()
	}
	var all sync.WaitGroup
	for loop := range 4 {
		all.Go(func() {
			for range 2000 {
				answered := make(chan struct{})
				l.Submit(&Request{Limits: acmeLimits, Loop: loop, Asks: []Ask{{Limit: slowly()}}, Done: func([]Answer) { close(answered) }})
				<-answered
			}
		})
	}
	all.Wait()
}
