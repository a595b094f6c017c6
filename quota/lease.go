package quota

import (
	"math"
	"time"
)

// Lease is what an event loop has been lent from one bucket. It belongs to the loop, whose clock
// it is told: nanoseconds since some moment.
//
// Whoever spends takes from Left and looks at nothing else; what has been used is told from Left
// when the loop looks at its leases, every LeasePeriod.
type Lease struct {
	// Left may be spent. It may go below zero, which is paid later. Without a limit it is infinite.
	Left float64

	Limit  *Limit
	Missed float64 // tokens that were refused since the last look

	mark    float64 // Left at the last look, with what has come since
	looked  int64   // when that was
	usedAt  int64   // when something was used or missed last
	demand  float64 // per second, smoothed
	used    float64 // likewise
	eager   float64 // wanted beside what the demand tells, when it has come suddenly
	stash   float64 // what is left while it sleeps
	asking  float64 // wanted in the call under way
	dry     bool    // at the last call there was not enough
	asked   bool    // there has been a call
	last    Answer
	dueNext int64 // not before that time
}

const (
	// LeasePeriod is how often a loop looks at its leases.
	LeasePeriod = 100 * time.Millisecond
	// idleTime is after how long without use a lease is given back.
	idleTime = time.Second
	// smoothing is the time over which demand is averaged.
	smoothing = 500 * time.Millisecond
	// While all demand is below lightShare of the rate, a lease is for lightTime of use;
	// else for busyTime.
	lightShare = 0.2
	lightTime  = 1.0
	busyTime   = 0.25
	// keptShare of the rate stays with whoever has used nothing.
	keptShare = 0.005
)

// NewLease is one that sleeps with nothing. A nil limit never ends.
func NewLease(l *Limit) *Lease {
	if l == nil {
		return &Lease{Left: math.Inf(1)}
	}
	return &Lease{Limit: l}
}

// Wake makes what it had before it slept available.
func (l *Lease) Wake(now int64) {
	l.Left += l.stash
	l.mark += l.stash
	l.stash = 0
	l.looked, l.usedAt = now, now
	l.dry, l.dueNext = false, 0
}

// Sleep keeps what is left, so that whoever spends has to wake it.
func (l *Lease) Sleep() {
	l.stash = l.Left
	l.Left, l.mark = 0, 0
	l.demand, l.used, l.eager = 0, 0, 0
}

// Look takes account of what was used, and of waiting tokens that somebody waits for.
func (l *Lease) Look(now int64, waiting float64) {
	d := float64(now-l.looked) / float64(time.Second)
	if d <= 0 {
		return
	}
	used := l.mark - l.Left
	l.mark, l.looked = l.Left, now
	if used > 0 || l.Missed > 0 || waiting > 0 {
		l.usedAt = now
	}
	part := d / (d + smoothing.Seconds())
	l.used += (math.Max(0, used)/d - l.used) * part
	l.demand += ((math.Max(0, used)+l.Missed+waiting)/d - l.demand) * part
	l.Missed = 0
	l.eager /= 2
}

// Idle reports whether nothing has been used for a while.
func (l *Lease) Idle(now int64) bool { return now-l.usedAt >= int64(idleTime) }

// Dry reports whether nothing is left, here or, as far as is known, anywhere.
func (l *Lease) Dry() bool { return l.Left <= 0 && l.dry }

// Scarce reports whether at the last call there was less than was asked for.
func (l *Lease) Scarce() bool { return l.dry }

// Low reports whether there is less than should be there.
func (l *Lease) Low() bool { return l.Left <= l.target()/2 }

// Used is how much is used here, in tokens per second.
func (l *Lease) Used() float64 { return l.used }

// base is the least that is borrowed.
func (l *Lease) base() float64 {
	return math.Max(1, math.Min(math.Max(l.Limit.Unit, l.Limit.Rate/100), l.Limit.Burst/20))
}

// kept is the most that stays with whoever has used nothing for a while.
func (l *Lease) kept() float64 {
	return math.Min(math.Max(1, l.Limit.Rate*keptShare), l.base())
}

// target is how much should be there.
func (l *Lease) target() float64 {
	all := math.Max(l.last.Demand, l.demand)
	want := l.demand * busyTime
	if all < l.Limit.Rate*lightShare {
		want = l.demand * lightTime
	}
	if all > 0 {
		// All together borrow half a burst.
		want = math.Min(want, l.Limit.Burst/2*l.demand/all)
	}
	return math.Max(l.base(), want)
}

// Due reports whether it should be filled or given back, as far as that can wait for the
// loop's next look.
func (l *Lease) Due(now int64, waiting float64) bool {
	switch target := l.target(); {
	case now < l.dueNext:
		return false
	case l.Left < 0 || waiting > 0:
		return true
	case l.Idle(now):
		return l.Left > l.kept() || l.asked && l.demand > 0 // which nobody is to count on any more
	default:
		return l.Left < target/2 || l.tooMuch(target)
	}
}

// tooMuch reports whether more than can be used soon is there, and that not only since a
// moment ago.
func (l *Lease) tooMuch(target float64) bool { return l.Left > 4*target && l.eager < l.base() }

// Hurry is for a lease that has ended before anybody could see it coming.
func (l *Lease) Hurry(now int64) {
	l.usedAt = now
	l.eager = math.Min(math.Max(2*l.eager, 2*l.base()), l.Limit.Burst)
}

// Ask says what the lease needs, or has too much. A debt is passed on. Every Ask is followed by
// an Answer.
func (l *Lease) Ask(now int64, waiting float64) Ask {
	a := Ask{Limit: l.Limit, Used: l.used, Demand: math.Max(l.demand, waiting/LeasePeriod.Seconds())}
	if l.Left < 0 {
		a.Spent = -l.Left
		l.move(a.Spent)
	}
	target := math.Max(l.target(), l.eager)
	switch {
	case l.Idle(now):
		a.Demand, a.Used = 0, 0
		l.demand, l.used, l.eager = 0, 0, 0
		if over := l.Left - l.kept(); over > 0 {
			a.Spent -= over
			l.move(-over)
		}
	case l.tooMuch(target):
		over := l.Left - target
		a.Spent -= over
		l.move(-over)
	default:
		a.Want = math.Max(0, target-l.Left)
	}
	a.Held = l.Left
	l.asking = a.Want
	l.asked = true
	return a
}

// Answer takes what came of an Ask.
func (l *Lease) Answer(now int64, a Answer) {
	l.last = a
	l.dry = a.Granted < l.asking*0.999
	l.move(a.Granted)
	l.asking = 0
	l.dueNext = now + int64(LeasePeriod)/2
}

// move changes what is left without that counting as use.
func (l *Lease) move(by float64) {
	l.Left += by
	l.mark += by
}

// Retry is after how long there may be some more.
func (l *Lease) Retry() time.Duration {
	share := math.Max(l.last.Share, l.Limit.Rate/1000)
	wait := (1 - math.Min(0, l.last.Tokens) - math.Min(0, l.Left)) / share
	if l.last.Tokens < 0 {
		wait = math.Max(wait, -l.last.Tokens/l.Limit.Rate)
	}
	return max(LeasePeriod/10, time.Duration(math.Min(wait, 3600)*float64(time.Second)))
}

// Debt is how much has to be paid before anybody has something, here and as far as is known.
func (l *Lease) Debt() float64 {
	if l.Limit == nil {
		return 0
	}
	return -math.Min(0, l.Left) - math.Min(0, l.last.Tokens)
}

// Shut reports whether nothing passes since the limits can not be looked up.
func (l *Lease) Shut() bool { return l.last.Shut }

// Told is the last Answer.
func (l *Lease) Told() Answer { return l.last }
