package dictionary

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"riptide-proxy/value"
)

const (
	// enoughValues is what a training wants: with twice as many values sessions become less than 1 % shorter.
	enoughValues = 200
	mostValues   = 1000
	// longestSample is in bytes; longer values have no use for a dictionary.
	longestSample = 64 << 10
	tenantBytes   = 4 << 20  // of one tenant's sample
	leastBytes    = 64 << 10 // of one pattern's, however many patterns there are
	allBytes      = 64 << 20 // of all tenants' samples

	// keepOneOf is how many values go by for each that takes another's place in a sample that has enough.
	keepOneOf = 64
)

// matcher reports whether a key matches a glob pattern.
type matcher func(pattern, key []byte) bool

// sampler collects some of the values that a tenant writes. offer runs on event loops: it never
// waits, and as long as nothing is collected it only looks at a flag.
type sampler struct {
	match matcher
	used  *atomic.Int64 // bytes of all samplers together
	open  atomic.Bool   // whether any pool is

	mu    sync.Mutex
	pools []*pool // by pattern, in the order in which they are tried
}

// pool is the sample of one pattern.
type pool struct {
	pattern []byte
	open    bool
	since   time.Time // when it was opened
	limit   int       // bytes
	values  [][]byte
	bytes   int
}

// offer takes a value into the sample, or not.
func (s *sampler) offer(name value.Name, plain []byte) {
	if !s.open.Load() || len(plain) > longestSample || len(plain) < gramSize || !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	for i, p := range s.pools {
		if i == len(s.pools)-1 || s.match(p.pattern, name.Key) {
			if p.open {
				s.take(p, plain)
			}
			return
		}
	}
}

func (s *sampler) take(p *pool, plain []byte) {
	at := len(p.values)
	full := at >= mostValues || p.bytes+len(plain) > p.limit
	if (full || at >= enoughValues) && rand.Uint32N(keepOneOf) != 0 {
		return
	}
	was := 0
	if full {
		if at == 0 {
			return
		}
		at = rand.IntN(at)
		was = len(p.values[at])
	}
	grow := len(plain) - was
	if p.bytes+grow > p.limit {
		return
	}
	if s.used.Add(int64(grow)) > allBytes && grow > 0 {
		s.used.Add(int64(-grow))
		return
	}
	p.bytes += grow
	// What was handed out before is not written to, so another value gets bytes of its own.
	copied := append([]byte(nil), plain...)
	if at == len(p.values) {
		p.values = append(p.values, copied)
	} else {
		p.values[at] = copied
	}
}

// set says which patterns there are. What was collected for others is forgotten.
func (s *sampler) set(patterns []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := map[string]*pool{}
	for _, p := range s.pools {
		old[string(p.pattern)] = p
	}
	s.pools = nil
	for _, name := range patterns {
		p := old[name]
		if p == nil {
			p = &pool{pattern: []byte(name)}
		}
		delete(old, name)
		p.limit = max(leastBytes, tenantBytes/len(patterns))
		s.pools = append(s.pools, p)
	}
	for _, p := range old {
		s.empty(p)
	}
	s.flag()
}

// empty closes a pool and forgets its values.
func (s *sampler) empty(p *pool) {
	s.used.Add(int64(-p.bytes))
	p.values, p.bytes, p.open = nil, 0, false
}

func (s *sampler) flag() {
	open := false
	for _, p := range s.pools {
		open = open || p.open
	}
	s.open.Store(open)
}

// collect opens or closes the pool of a pattern.
func (s *sampler) collect(pattern string, open bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pools {
		if string(p.pattern) != pattern || p.open == open {
			continue
		}
		if open {
			p.open, p.since = true, now
		} else {
			s.empty(p)
		}
	}
	s.flag()
}

// sample is how far the collection for a pattern has come.
type sample struct {
	open   bool
	waited time.Duration // since it was opened
	// values are there when they are enough and were collected for long enough to be more than
	// one moment's writes. They are not to be changed.
	values [][]byte
}

// sample looks at the pool of a pattern.
func (s *sampler) sample(pattern string, now time.Time, settle time.Duration) (is sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pools {
		if string(p.pattern) != pattern || !p.open {
			continue
		}
		is.open, is.waited = true, now.Sub(p.since)
		enough := len(p.values) >= enoughValues || len(p.values) >= MinSamples && p.bytes >= min(p.limit/2, trainBytes)
		if enough && is.waited >= settle {
			is.values = append(is.values, p.values...)
		}
	}
	return is
}
