package quota

import "math"

// Remember tells what shares of a tenant's rates, in tokens per second by Limit.Key, an
// earlier process was told last. They are what a process keeps to that can not ask the buckets' home from
// its beginning on; what it has been told itself counts more. A share that can not be is left out.
func (l *Lender) Remember(limits *RateLimits, shares map[string]float64) {
	good := make(map[string]float64, len(shares))
	for _, limit := range limits.All {
		if share, has := shares[limit.Key]; has && share > 0 && !math.IsInf(share, 0) {
			good[limit.Key] = math.Min(share, limit.Rate)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.past == nil {
		l.past = make(map[*RateLimits]map[string]float64)
	}
	l.past[limits] = good
}

// remembered are the shares that Remember was told.
func (l *Lender) remembered(limits *RateLimits) map[string]float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.past[limits]
}
