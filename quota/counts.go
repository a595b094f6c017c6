package quota

import (
	"errors"
	"sync/atomic"
	"time"
)

// Resource is something of which a tenant may have so many at a time, over all
// proxies together.
type Resource uint8

// The counted resources.
const (
	Connections   Resource = iota // client connections that have logged in
	Pinned                        // of those, with an upstream connection of their own
	Subscriptions                 // channels and patterns
	Blocked                       // clients in a command that may wait for long
	Counted                       // how many there are
)

var resourceNames = [Counted]string{"connections", "pinned", "subscriptions", "blocked"}

// String is the quota's name in the configuration.
func (r Resource) String() string { return resourceNames[r] }

// CountLimits are a tenant's limits by resource. 0: none.
type CountLimits [Counted]int64

// ErrFull tells that a tenant has as much of a resource as it may have.
var ErrFull = errors.New("the quota is used up")

// Counts are one tenant's counted resources, as far as this process has them.
// Take, Force and Give are for any goroutine, and never wait.
type Counts struct {
	manager *CountManager
	key     string
	limits  [Counted]atomic.Int64
	purses  [Counted]purse

	// What follows is guarded by the manager's lock.
	waiting  []*Claim
	sequence uint64
	stale    bool      // the upstream is to be told
	known    bool      // it has something of this process
	asked    time.Time // when it was asked last
	looked   time.Time // when somebody wanted to know the usage
	proxies  int64     // that had something when it was asked
	others   [Counted]int64
}

// Limit is the limit of a resource; 0 if there is none.
func (c *Counts) Limit(r Resource) int64 { return c.limits[r].Load() }

// Take counts n more of a resource, if this process has an allowance for them.
// One without a limit needs none, and is counted since it may get one.
func (c *Counts) Take(r Resource, n int) bool {
	if c.Limit(r) == 0 {
		c.purses[r].force(uint32(n))
		return true
	}
	return c.purses[r].take(uint32(n))
}

// Force counts n more although there may be too many then.
func (c *Counts) Force(r Resource, n int) { c.purses[r].force(uint32(n)) }

// Give counts n less.
func (c *Counts) Give(r Resource, n int) { c.purses[r].give(uint32(n)) }

// Used is how many of a limited resource this process has counted.
func (c *Counts) Used(r Resource) int {
	_, used := c.purses[r].get()
	return int(used)
}

// Claim is n of a resource for which there was no allowance, and which the
// upstream is asked for.
type Claim struct {
	c     *Counts
	r     Resource
	n     int
	since time.Time
	done  chan struct{}
	err   error
	asked bool // the upstream was asked for it
	ended bool // done is closed
	taken bool // and it has been counted
}

// Claim has the upstream asked for n more of a resource, which are counted once
// they are granted. The caller must Cancel what it does not want any more.
func (c *Counts) Claim(r Resource, n int) *Claim {
	m := c.manager
	x := &Claim{c: c, r: r, n: n, since: m.now(), done: make(chan struct{})}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case c.Take(r, n):
		x.end(nil)
	case int64(n)+int64(c.Used(r)) > c.Limit(r) || m.closed:
		x.end(ErrFull)
	case m.down:
		c.share()
		c.stale = true
		c.waiting = append(c.waiting, x)
		c.decide(x.since, true)
	default:
		c.waiting = append(c.waiting, x)
		m.poke()
	}
	return x
}

// Done is closed when the claim is decided, at most about a second after it was
// made.
func (x *Claim) Done() <-chan struct{} { return x.done }

// Decided reports whether Done is closed.
func (x *Claim) Decided() bool {
	select {
	case <-x.done:
		return true
	default:
		return false
	}
}

// Err is nil if what was claimed is counted, or ErrFull. To be called when Done
// is closed.
func (x *Claim) Err() error { return x.err }

// Cancel takes the claim back, and gives back what was granted. Err is ErrFull
// then.
func (x *Claim) Cancel() {
	m := x.c.manager
	m.mu.Lock()
	defer m.mu.Unlock()
	if !x.ended {
		for i, w := range x.c.waiting {
			if w == x {
				x.c.waiting = append(x.c.waiting[:i], x.c.waiting[i+1:]...)
				break
			}
		}
		x.end(ErrFull)
		return
	}
	if x.taken {
		x.taken, x.err = false, ErrFull
		x.c.Give(x.r, x.n)
	}
}

// end decides a claim. The lock is held.
func (x *Claim) end(err error) {
	x.err, x.ended, x.taken = err, true, err == nil
	close(x.done)
}
