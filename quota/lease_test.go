package quota

import (
	"math"
	"testing"
	"time"
)

// borrowing is a lease with a home that has as much as a test says, on a clock of its own.
type borrowing struct {
	t     *testing.T
	l     *Lease
	now   int64
	there float64 // at home
	asks  int
	last  Ask
}

func borrow(t *testing.T, rate, burst float64) *borrowing {
	b := &borrowing{t: t, l: NewLease(&Limit{Name: "ops", What: "operations", Rate: rate, Burst: burst, Unit: 1}), there: burst}
	b.l.Wake(0)
	return b
}

// ask makes a call and answers it.
func (b *borrowing) ask(waiting float64) {
	b.asks++
	b.last = b.l.Ask(b.now, waiting)
	b.there -= b.last.Spent
	granted := max(0, min(b.last.Want, b.there))
	b.there -= granted
	b.l.Answer(b.now, Answer{Granted: granted, Share: b.l.Limit.Rate, Tokens: b.there, Demand: b.last.Demand, Used: b.last.Used, Proxies: 1})
}

// use spends n tokens as a loop would: it hurries when there are none. It returns how many were
// refused.
func (b *borrowing) use(n int) (refused int) {
	for range n {
		if b.l.Left <= 0 && !b.l.Dry() {
			b.l.Hurry(b.now)
			b.ask(1)
		}
		if b.l.Left <= 0 {
			b.l.Missed++
			refused++
			continue
		}
		b.l.Left--
	}
	return refused
}

// look passes a period.
func (b *borrowing) look() {
	b.now += int64(LeasePeriod)
	b.there = min(b.there+b.l.Limit.Rate*LeasePeriod.Seconds(), b.l.Limit.Burst)
	b.l.Look(b.now, 0)
	if b.l.Due(b.now, 0) {
		b.ask(0)
	}
}

// A lease without a limit never ends and needs nobody.
func TestLeaseUnlimited(t *testing.T) {
	l := NewLease(nil)
	l.Left -= 1e15
	if l.Left <= 0 || l.Dry() || l.Debt() != 0 {
		t.Errorf("%+v", l)
	}
}

// All of a burst can be had at once, in a few calls, and nothing beyond it.
func TestLeaseBurst(t *testing.T) {
	b := borrow(t, 1000, 500)
	if refused := b.use(500); refused != 0 {
		t.Errorf("%d of the burst were refused", refused)
	}
	if b.asks > 10 {
		t.Errorf("%d calls", b.asks)
	}
	if refused := b.use(100); refused != 100 {
		t.Errorf("%d of 100 over the burst were refused", refused)
	}
	if retry := b.l.Retry(); retry <= 0 || retry > time.Second {
		t.Errorf("retry in %v", retry)
	}
}

// Whoever stays well below the rate is never refused and seldom asks.
func TestLeaseLight(t *testing.T) {
	for _, perPeriod := range []int{1, 2, 5} {
		b := borrow(t, 1000, 500)
		const seconds = 60
		for range seconds * 10 {
			if b.use(perPeriod) > 0 {
				t.Fatal("refused")
			}
			b.look()
		}
		if b.asks > 2.5*seconds {
			t.Errorf("%d a second: %d calls in %d s", 10*perPeriod, b.asks, seconds)
		}
	}
}

// Over the rate all of it is used.
func TestLeaseBusy(t *testing.T) {
	b := borrow(t, 1000, 500)
	ran := 0
	for range 200 {
		ran += 300 - b.use(300)
		b.look()
	}
	if ran < 19500 || ran > 20600 {
		t.Errorf("%d in 20 s", ran)
	}
}

// What is not used any more is given back after a second, but for a little; and then
// nobody is asked.
func TestLeaseIdle(t *testing.T) {
	b := borrow(t, 1000, 500)
	for range 20 {
		b.use(50)
		b.look()
	}
	for range 12 {
		b.look()
	}
	if b.l.Left > 5 || b.l.Left < 1 {
		t.Errorf("%v is kept", b.l.Left)
	}
	if b.last.Demand != 0 || b.last.Held != b.l.Left {
		t.Errorf("the home was told %+v", b.last)
	}
	asks := b.asks
	for range 50 {
		b.look()
	}
	if b.asks != asks || !b.l.Idle(b.now) {
		t.Errorf("%d more calls", b.asks-asks)
	}
	left := b.l.Left
	b.l.Sleep()
	if b.l.Left > 0 {
		t.Error("a lease that sleeps has something to spend")
	}
	b.l.Left -= 2 // spent all the same
	b.l.Wake(b.now)
	if b.l.Left != left-2 {
		t.Errorf("%v of %v less 2", b.l.Left, left)
	}
}

// A debt is everybody's once it has been told, and nothing is lent here until it is paid.
func TestLeaseDebt(t *testing.T) {
	b := borrow(t, 1000, 500)
	b.use(1)
	b.l.Left -= 3000
	b.look()
	if b.l.Left != 0 || b.there > -2000 || b.l.Debt() < 2000 {
		t.Errorf("left %v, at home %v, debt %v", b.l.Left, b.there, b.l.Debt())
	}
	if b.l.Retry() < 2*time.Second {
		t.Errorf("retry in %v", b.l.Retry())
	}
	// A first ask after it is refused at once.
	if b.use(1); b.use(1) != 1 {
		t.Error("something was lent")
	}
	for range 40 {
		b.use(1)
		b.look()
	}
	if b.use(1) != 0 {
		t.Error("refused after the debt was paid")
	}
}

// Demand is what is used, refused and waited for.
func TestLeaseDemand(t *testing.T) {
	b := borrow(t, 10, 5)
	for range 30 {
		b.use(100)
		b.look()
	}
	near(t, "used", b.l.Used(), 10, 3)
	near(t, "demand told", b.last.Demand, 1000, 50)
	b.l.Look(b.now+int64(LeasePeriod), 7)
	if a := b.l.Ask(b.now, 700); math.Abs(a.Demand-7000) > 1 {
		t.Errorf("with 700 waiting: %v", a.Demand)
	}
}

// One that has ended while nobody looked is filled at once, however long it was idle.
func TestLeaseHurry(t *testing.T) {
	b := borrow(t, 1000, 500)
	b.l.Left = 0
	b.now += int64(time.Hour)
	if b.use(10) != 0 {
		t.Error("refused")
	}
}
