package admin

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// limits are how many requests may be made. What is remembered is bounded: of addresses
// that have not been seen for long nothing is known.
type limits struct {
	mu   sync.Mutex
	name *lru.Cache[string, *rate.Limiter]
	addr *lru.Cache[netip.Addr, *rate.Limiter]
	keys *lru.Cache[netip.Addr, *rate.Limiter]
	good *lru.Cache[[sha256.Size]byte, struct{}] // hashes of signed tokens that were good the last time
}

const (
	limitedNames     = 4096
	limitedAddresses = 16384
)

// An address may have so many tokens looked at that the configuration does not have, each second
// and at once: looking at a signature takes time.
const (
	triesPerSecond = 10
	triesAtOnce    = 50
)

func newLimits() *limits {
	name, err := lru.New[string, *rate.Limiter](limitedNames)
	if err != nil {
		panic(err) // the size is a constant
	}
	addresses := func() *lru.Cache[netip.Addr, *rate.Limiter] {
		c, err := lru.New[netip.Addr, *rate.Limiter](limitedAddresses)
		if err != nil {
			panic(err) // likewise
		}
		return c
	}
	good, err := lru.New[[sha256.Size]byte, struct{}](limitedNames)
	if err != nil {
		panic(err) // likewise
	}
	return &limits{name: name, addr: addresses(), keys: addresses(), good: good}
}

// take takes one from the allowance of key, which fills up by perSecond.
func take[K comparable](mu *sync.Mutex, c *lru.Cache[K, *rate.Limiter], key K, perSecond, burst int) *Problem {
	mu.Lock()
	l, known := c.Get(key)
	if !known {
		l = rate.NewLimiter(rate.Limit(perSecond), burst)
		c.Add(key, l)
	}
	if l.Limit() != rate.Limit(perSecond) { // the configuration has changed
		l.SetLimit(rate.Limit(perSecond))
		l.SetBurst(burst)
	}
	mu.Unlock()
	if l.Allow() {
		return nil
	}
	p := problem("rate-limited", "")
	p.retry = time.Second
	return p
}

// byName counts a request of somebody who is known.
func (l *limits) byName(name string, perSecond int) *Problem {
	return take(&l.mu, l.name, name, perSecond, perSecond)
}

// byAddress counts one of somebody who is not.
func (l *limits) byAddress(a netip.Addr, perSecond int) *Problem {
	return take(&l.mu, l.addr, network(a), perSecond, perSecond)
}

// tryKey counts a token that has to be looked at.
func (l *limits) tryKey(a netip.Addr) *Problem {
	return take(&l.mu, l.keys, network(a), triesPerSecond, triesAtOnce)
}

// network is what one person has: an address, or in IPv6 a network of them.
func network(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
