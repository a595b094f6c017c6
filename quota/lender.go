package quota

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/config"
)

// Lender is a process's way to the buckets: it gathers what the loops ask, asks the buckets' home,
// and tells the loops.
type Lender struct {
	client      redis.UniversalClient
	participant string
	now         func() time.Time

	mu     sync.Mutex
	policy config.Unreachable
	inbox  []*Request
	gone   []*RateLimits
	past   map[*RateLimits]map[string]float64 // shares that an earlier process was told, by Limit.Key
	woken  chan struct{}

	// Of Run's goroutine.
	tenants map[*RateLimits]*borrower
	away    bool
	probed  time.Time
	probes  chan error
	probing bool
	trying  sync.WaitGroup
}

// Request is what one loop asks of one tenant's buckets.
type Request struct {
	Limits *RateLimits
	Loop   int
	Asks   []Ask
	// Done gets an answer for each Ask, exactly once, on a goroutine of the lender's.
	Done func(answers []Answer)
}

const (
	// DrawTime is how long the home may take. A call that takes longer is not made again:
	// it may have been counted.
	DrawTime = 250 * time.Millisecond
	// probeTime is how often an unreachable home is tried.
	probeTime = time.Second
	// staleTime is after how long without a word what a loop has said counts no more.
	staleTime = 2 * time.Second
)

// NewLender returns one that asks through client, as the participant of that name. policy is
// what holds while the home is unreachable.
func NewLender(client redis.UniversalClient, participant string, policy config.Unreachable) *Lender {
	return &Lender{client: client, participant: participant, policy: policy, now: time.Now, woken: make(chan struct{}, 1), tenants: make(map[*RateLimits]*borrower), probes: make(chan error, 1)}
}

// Submit hands requests over. It does not wait. A loop has at most one Request of a tenant under
// way.
func (l *Lender) Submit(requests ...*Request) {
	l.mu.Lock()
	l.inbox = append(l.inbox, requests...)
	l.mu.Unlock()
	l.wake()
}

// SetPolicy changes what holds while the home is unreachable.
func (l *Lender) SetPolicy(policy config.Unreachable) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.policy = policy
}

// Forget drops what is known of limits for which nobody asks any more.
func (l *Lender) Forget(limits *RateLimits) {
	l.mu.Lock()
	l.gone = append(l.gone, limits)
	delete(l.past, limits)
	l.mu.Unlock()
	l.wake()
}

func (l *Lender) wake() {
	select {
	case l.woken <- struct{}{}:
	default: // it is going to look
	}
}

// Run serves until ctx ends.
func (l *Lender) Run(ctx context.Context) {
	defer l.trying.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-l.probes:
			l.probing = false
			l.heard(err)
		case <-l.woken:
			l.mu.Lock()
			batch, gone, policy := l.inbox, l.gone, l.policy
			l.inbox, l.gone = nil, nil
			l.mu.Unlock()
			if len(batch) > 0 { // what woke it may have been taken with the batch before
				l.serve(ctx, batch, policy)
			}
			for _, limits := range gone {
				delete(l.tenants, limits)
			}
		}
	}
}

// serve answers a batch.
func (l *Lender) serve(ctx context.Context, batch []*Request, policy config.Unreachable) {
	now := l.now()
	var order []*borrower
	for _, r := range batch {
		b := l.tenants[r.Limits]
		if b == nil {
			b = newBorrower(r.Limits)
			b.past = l.remembered(r.Limits)
			l.tenants[r.Limits] = b
		}
		if len(b.requests) == 0 {
			order = append(order, b)
		}
		b.requests = append(b.requests, r)
	}
	if l.away {
		l.probe(ctx, order[0].requests[0])
	} else {
		calls := make([]*Call, len(order))
		for i, b := range order {
			calls[i] = b.call(now)
		}
		limited, cancel := context.WithTimeout(ctx, DrawTime)
		Draw(limited, l.client, l.participant, calls)
		cancel()
		var failed error
		for i, b := range order {
			if calls[i].Err != nil {
				failed = calls[i].Err
				continue
			}
			b.settle(calls[i])
		}
		if ctx.Err() == nil {
			l.heard(failed)
		}
	}
	now = l.now()
	for _, b := range order {
		if len(b.requests) > 0 {
			b.improvise(now, policy)
		}
	}
}

// probe finds out, beside everything else, whether the home can be asked again. It asks for
// nothing, but does all that asking takes.
func (l *Lender) probe(ctx context.Context, r *Request) {
	if now := l.now(); l.probing || now.Sub(l.probed) < probeTime {
		return
	}
	l.probing, l.probed = true, l.now()
	l.trying.Go(func() {
		limited, cancel := context.WithTimeout(ctx, DrawTime)
		defer cancel()
		call := &Call{Key: r.Limits.Key, Asks: []Ask{{Limit: r.Asks[0].Limit}}}
		Draw(limited, l.client, l.participant, []*Call{call})
		l.probes <- call.Err // there is room: it is the only one
	})
}

// heard takes note of whether the home answers, and says so when that changes.
func (l *Lender) heard(err error) {
	l.mu.Lock()
	policy := l.policy
	l.mu.Unlock()
	switch {
	case err != nil && !l.away:
		l.away, l.probed = true, l.now()
		slog.Warn("the rates of tenants can not be looked up in the upstream", "error", err, "accounting.unreachable", string(policy))
	case err == nil && l.away:
		l.away = false
		slog.Info("the rates of tenants are looked up in the upstream again")
	}
}

// borrower is a tenant, as this process borrows for it.
type borrower struct {
	limits   *RateLimits
	requests []*Request // to be answered
	buckets  map[*Limit]*borrowed
	past     map[string]float64
}

// borrowed is what all loops together have of one bucket.
type borrowed struct {
	loops map[int]said
	want  float64 // of the requests
	told  Answer
	knows bool // told is something
	// own is a bucket that stands in for the home, filled with the last share.
	own float64
	at  time.Time
}

// said is what a loop has said last.
type said struct {
	at                 time.Time
	demand, used, held float64
}

func newBorrower(l *RateLimits) *borrower {
	return &borrower{limits: l, buckets: make(map[*Limit]*borrowed)}
}

func (b *borrower) bucket(l *Limit) *borrowed {
	k := b.buckets[l]
	if k == nil {
		k = &borrowed{loops: make(map[int]said)}
		if share, has := b.past[l.Key]; has {
			k.told.Share, k.knows = share, true
		}
		b.buckets[l] = k
	}
	return k
}

// call merges the requests.
func (b *borrower) call(now time.Time) *Call {
	c := &Call{Key: b.limits.Key}
	at := make(map[*Limit]int)
	for _, r := range b.requests {
		for _, a := range r.Asks {
			k := b.bucket(a.Limit)
			i, merged := at[a.Limit]
			if !merged {
				i = len(c.Asks)
				at[a.Limit] = i
				c.Asks = append(c.Asks, Ask{Limit: a.Limit})
				k.want = 0
			}
			c.Asks[i].Spent += a.Spent
			k.want += a.Want
			k.loops[r.Loop] = said{now, a.Demand, a.Used, a.Held}
		}
	}
	for i := range c.Asks {
		a := &c.Asks[i]
		k := b.buckets[a.Limit]
		a.Want = k.want
		for loop, s := range k.loops {
			if now.Sub(s.at) > staleTime {
				delete(k.loops, loop)
				continue
			}
			a.Demand += s.demand
			a.Used += s.used
			a.Held += s.held
		}
	}
	return c
}

// settle hands out what was granted, in proportion to what was wanted.
func (b *borrower) settle(c *Call) {
	for i, a := range c.Asks {
		k := b.buckets[a.Limit]
		k.told, k.knows = c.Answers[i], true
		k.at = time.Time{}
	}
	b.answer(func(r *Request, a Ask) Answer {
		k := b.buckets[a.Limit]
		told := k.told
		if told.Granted = 0; k.want > 0 {
			told.Granted = k.told.Granted * a.Want / k.want
		}
		s := k.loops[r.Loop]
		s.held += told.Granted
		k.loops[r.Loop] = s
		return told
	})
}

// improvise answers without the home.
func (b *borrower) improvise(now time.Time, policy config.Unreachable) {
	b.answer(func(_ *Request, a Ask) Answer {
		k := b.bucket(a.Limit)
		answer := k.told
		answer.Away, answer.Tokens, answer.Granted = true, 0, 0
		switch policy {
		case config.Open:
			answer.Granted = math.Max(a.Want, math.Max(a.Limit.Rate, a.Demand))
		case config.Closed:
			answer.Shut = true
		default:
			answer.Share = k.share(a.Limit)
			answer.Granted = k.draw(now, a, answer.Share)
			answer.Tokens = k.own
		}
		return answer
	})
}

// share is what this process keeps to on its own.
func (k *borrowed) share(l *Limit) float64 {
	if !k.knows {
		return l.Rate
	}
	return math.Max(k.told.Share, l.Rate/100)
}

// draw takes from the bucket that stands in for the home.
func (k *borrowed) draw(now time.Time, a Ask, share float64) float64 {
	full := share / a.Limit.Rate * a.Limit.Burst
	if k.at.IsZero() {
		if k.own, k.at = full, now; k.knows {
			k.own = math.Min(full, share*LeasePeriod.Seconds()) // the burst may have been used
		}
	}
	k.own = math.Min(k.own+share*now.Sub(k.at).Seconds(), full)
	k.at = now
	k.own -= a.Spent
	granted := math.Max(0, math.Min(a.Want, k.own))
	k.own -= granted
	return granted
}

func (b *borrower) answer(f func(r *Request, a Ask) Answer) {
	for _, r := range b.requests {
		answers := make([]Answer, len(r.Asks))
		for i, a := range r.Asks {
			answers[i] = f(r, a)
		}
		r.Done(answers)
	}
	b.requests = nil
}
