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
// plan is where bursts may find the rate that they belong to; nil if there is none.
func (s *source) checkQuotas(path string, q *Quotas, plan *Plan) {
	if !s.has(path) {
		return
	}
	var elsewhere Rates
	if plan != nil {
		elsewhere = plan.Rates
	}
	s.checkRates(path, &q.Rates, &elsewhere)
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
		r := q.Classes[name]
		if r.OpsPerSecond == 0 && !s.has(join(class, "ops_per_second")) { // nor the plan's, which this one replaces
			s.errorf(class, "limits nothing without ops_per_second")
			continue
		}
		s.checkRate(class, r, r.OpsPerSecond)
	}
}

// checkRates checks rates whose bursts may belong to those that are given elsewhere.
func (s *source) checkRates(path string, r, elsewhere *Rates) {
	s.checkRate(path, &r.Rate, elsewhere.OpsPerSecond)
	s.checkBurst(path, limit{"bytes_in_per_second", int64(r.BytesInPerSecond)}, limit{"bytes_in_burst", int64(r.BytesInBurst)}, int64(elsewhere.BytesInPerSecond))
	s.checkBurst(path, limit{"bytes_out_per_second", int64(r.BytesOutPerSecond)}, limit{"bytes_out_burst", int64(r.BytesOutBurst)}, int64(elsewhere.BytesOutPerSecond))
}

func (s *source) checkRate(path string, r *Rate, elsewhere int64) {
	s.checkBurst(path, limit{"ops_per_second", r.OpsPerSecond}, limit{"ops_burst", r.OpsBurst}, elsewhere)
}

// checkBurst refuses a burst that belongs to no rate: whoever gave it believes in a limit that
// there is not.
func (s *source) checkBurst(path string, rate, burst limit, elsewhere int64) {
	s.positive(path, rate, burst)
	if at := join(path, burst.key); s.has(at) && !s.has(join(path, rate.key)) && elsewhere == 0 {
		s.errorf(at, "limits nothing without %s", rate.key)
	}
}

func (s *source) positive(path string, limits ...limit) {
	for _, given := range limits {
		quota := join(path, given.key)
		if s.has(quota) && !s.bad[quota] && given.value <= 0 {
			s.errorf(quota, "must be at least 1; for no limit leave it out")
		}
	}
}
