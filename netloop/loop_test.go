package netloop

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// Mail from many goroutines arrives, each one's in its order.
func TestPost(t *testing.T) {
	const senders, letters = 16, 2000
	l := startLoop(t)
	var got [senders][]int
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range letters {
				if !l.Post(func() { got[s] = append(got[s], i) }) {
					t.Error("Post returns false")
				}
				if i%100 == s {
					runtime.Gosched() // so that the loop goes to sleep now and then
				}
			}
		})
	}
	wg.Wait()
	on(t, l, func() {})
	on(t, l, func() {
		for s := range got {
			if len(got[s]) != letters || !slices.IsSorted(got[s]) {
				t.Errorf("of sender %d, %d letters arrived, in order: %v", s, len(got[s]), slices.IsSorted(got[s]))
			}
		}
	})
}

// One letter at a time, so that a lost wake-up would show.
func TestPostWakes(t *testing.T) {
	l := startLoop(t)
	done := make(chan struct{}, 1)
	for range 5000 {
		l.Post(func() { done <- struct{}{} })
		await(t, done, "a letter")
	}
}

// Every letter that was taken is delivered though the loop ends meanwhile.
func TestPostAtTheEnd(t *testing.T) {
	for range 50 {
		l := newLoop(t)
		stop := begin(t, l)
		var wg sync.WaitGroup
		var mu sync.Mutex
		taken, delivered := 0, 0
		for range 4 {
			wg.Go(func() {
				for l.Post(func() { delivered++ }) {
					mu.Lock()
					taken++
					mu.Unlock()
				}
			})
		}
		stop()
		wg.Wait()
		if taken != delivered {
			t.Fatalf("%d letters were taken, %d delivered", taken, delivered)
		}
	}
}

func TestTimers(t *testing.T) {
	l := startLoop(t)
	rnd := rand.New(rand.NewPCG(1, 1))
	var fired []int
	on(t, l, func() {
		timers := make([]*Timer, 1000)
		for i, d := range rnd.Perm(len(timers)) {
			timers[i] = l.After(time.Hour+time.Duration(d)*time.Second, func() { fired = append(fired, d) })
			if d%3 == 0 {
				defer l.Stop(timers[i])
			}
		}
		l.Stop(nil)
		l.After(0, func() { // from within a timer, and for one that is over
			l.Stop(timers[0])
			l.Stop(timers[0])
			fired = append(fired, -1)
		})
	})
	eventually(t, l, "the first timer", func() bool { return len(fired) > 0 })
	ahead(t, l, time.Hour+500*time.Second+500*time.Millisecond)
	on(t, l, func() {
		if !slices.IsSorted(fired) {
			t.Error("the timers ran in another order")
		}
		if last := fired[len(fired)-1]; last < 495 || last > 500 {
			t.Errorf("the last timer that ran is that of %d seconds", last)
		}
	})
	ahead(t, l, time.Hour)
	on(t, l, func() {
		if n := len(fired); n < 1+666-1 || n > 1+666 {
			t.Errorf("%d timers ran", n)
		}
		for _, d := range fired {
			if d >= 0 && d%3 == 0 {
				t.Errorf("the timer of %d seconds had been stopped", d)
			}
		}
	})
}

// A timer that starts another one for now does not keep the turn from ending.
func TestTimerForNow(t *testing.T) {
	l := startLoop(t)
	var again func()
	n := 0
	again = func() {
		n++
		l.After(0, again)
	}
	on(t, l, again)
	last := 0
	eventually(t, l, "the timer and the mail to take turns", func() bool {
		more := n > last
		last = n
		return more && n > 10
	})
}

func TestEvery(t *testing.T) {
	l := startLoop(t)
	var at []int64
	on(t, l, func() { l.Every(time.Hour, func() { at = append(at, l.Now()) }) })
	for i := range 5 {
		ahead(t, l, time.Hour+time.Minute)
		eventually(t, l, "the next time", func() bool { return len(at) == i+1 })
	}
	on(t, l, func() {
		for i := 1; i < len(at); i++ {
			if d := time.Duration(at[i] - at[i-1]); d < time.Hour {
				t.Errorf("called again after %v", d)
			}
		}
	})
}

// A timer is on time on an idle loop.
func TestTimerWakes(t *testing.T) {
	l := startLoop(t)
	for _, d := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond} {
		done := make(chan time.Time, 1)
		var set time.Time
		on(t, l, func() {
			set = time.Now()
			l.After(d, func() { done <- time.Now() })
		})
		if after := await(t, done, "the timer").Sub(set); after < d-time.Millisecond {
			t.Errorf("a timer of %v ran after %v", d, after)
		}
	}
}

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, 999, time.Microsecond, 3 * time.Microsecond, 4 * time.Microsecond, time.Hour, 1 << 62} {
		h.Observe(d)
	}
	want := Histogram{Sum: 999 + 8*time.Microsecond + time.Hour + 1<<62}
	want.Buckets[0], want.Buckets[1], want.Buckets[2], want.Buckets[3], want.Buckets[23] = 2, 1, 1, 1, 2
	if h != want {
		t.Errorf("%v, want %v", h, want)
	}
}
