package config

import (
	"slices"
	"strings"
)

// limit is a quota that a file may give.
type limit struct {
	key   string
	value int64
}

// checkQuotas refuses a quota that is not positive. 0 would be read by one as
// "nothing allowed" and by another as "no limit".
func (s *source) checkQuotas(path string, q *Quotas) {
	if !s.has(path) {
		return
	}
	s.checkRates(path, &q.Rates)
	s.positive(path, limit{"script_cost", q.ScriptCost},
		limit{"memory", int64(q.Memory)}, limit{"keys", q.Keys}, limit{"value", int64(q.Value)}, limit{"reply", int64(q.Reply)},
		limit{"keys_per_command", q.KeysPerCommand}, limit{"pipeline", q.Pipeline}, limit{"connections", q.Connections},
		limit{"pinned", q.Pinned}, limit{"subscriptions", q.Subscriptions}, limit{"blocked", q.Blocked},
		limit{"cold_storage", int64(q.ColdStorage)})
	if weight := join(path, "weight"); s.has(weight) {
		within(s, weight, int(q.Weight), 1, 1000)
	}
	classes := join(path, "classes")
	for _, name := range sorted(s, classes, q.Classes) {
		class := join(classes, name)
		if !slices.Contains(Classes, name) {
			s.errorf(class, "%s is not a class of commands (%s)%s", quote(name), strings.Join(Classes, ", "), didYouMean(name, Classes))
		}
		s.checkRate(class, q.Classes[name])
	}
}

func (s *source) checkRates(path string, r *Rates) {
	s.checkRate(path, &r.Rate)
	s.checkBurst(path, "bytes_in_per_second", int64(r.BytesInPerSecond), "bytes_in_burst", int64(r.BytesInBurst))
	s.checkBurst(path, "bytes_out_per_second", int64(r.BytesOutPerSecond), "bytes_out_burst", int64(r.BytesOutBurst))
}

func (s *source) checkRate(path string, r *Rate) {
	s.checkBurst(path, "ops_per_second", r.OpsPerSecond, "ops_burst", r.OpsBurst)
}

func (s *source) checkBurst(path, rate string, perSecond int64, burst string, atOnce int64) {
	s.positive(path, limit{rate, perSecond}, limit{burst, atOnce})
}

func (s *source) positive(path string, limits ...limit) {
	for _, given := range limits {
		quota := join(path, given.key)
		if s.has(quota) && !s.bad[quota] && given.value <= 0 {
			s.errorf(quota, "must be at least 1; for no limit leave it out")
		}
	}
}
