package quota

import (
	"math"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// A process that can not ask the buckets' home from its beginning on keeps to the share that an earlier one was
// told, until it is told another one. What can not be a share is not taken for one.
func TestLenderRemembers(t *testing.T) {
	limit := &Limit{Name: "ops", Key: "ops_per_second", Rate: 1000, Burst: 500, Unit: 1}
	limits := &RateLimits{Tenant: "acme", Key: bucketKey, All: []*Limit{limit}}
	share := func(l *Lender) float64 {
		got := make(chan []Answer, 1)
		l.Submit(&Request{Limits: limits, Asks: []Ask{{Limit: limit, Want: 10, Demand: 100}}, Done: func(a []Answer) { got <- a }})
		return (<-got)[0].Share
	}
	for _, c := range []struct {
		name string
		past map[string]float64
		want float64
	}{
		{"nothing", nil, 1000},
		{"a share", map[string]float64{"ops_per_second": 120, "gone": 7}, 120},
		{"more than there is", map[string]float64{"ops_per_second": 5000}, 1000},
		{"none", map[string]float64{"ops_per_second": 0}, 1000},
		{"negative", map[string]float64{"ops_per_second": -5}, 1000},
		{"no number", map[string]float64{"ops_per_second": math.NaN()}, 1000},
		{"infinite", map[string]float64{"ops_per_second": math.Inf(1)}, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := runLender(t, "127.0.0.1:1", config.Share)
			l.Remember(limits, c.past)
			near(t, "share", share(l), c.want, 0)
		})
	}
	l := runLender(t, harness.StartRedis(t).Addr, config.Share)
	l.Remember(limits, map[string]float64{"ops_per_second": 120})
	near(t, "what the home says", share(l), 1000, 0)
}
