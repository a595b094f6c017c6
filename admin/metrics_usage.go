package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"riptide-proxy/quota/billing"
	"riptide-proxy/quota/ledger"
)

var descUnits = describe("tenant_billing_units",
	"What this proxy has put into the usage ledger, in the units that prices are for. The classes of commands are parts of operations.", "tenant", "unit")

// unitCollector turns what a process has counted into a metric. Over all proxies
// it adds up to what is in the ledger.
type unitCollector struct{ usage Usage }

// Describe implements prometheus.Collector.
func (c *unitCollector) Describe(ch chan<- *prometheus.Desc) { ch <- descUnits }

// Collect implements prometheus.Collector.
func (c *unitCollector) Collect(ch chan<- prometheus.Metric) {
	figures, levels := c.usage.Counted()
	for tenant := range levels {
		if _, ok := figures[tenant]; !ok {
			figures[tenant] = ledger.Figures{}
		}
	}
	for tenant, f := range figures {
		if tenant == "" {
			continue // not logged in, so nobody's
		}
		for unit, n := range billing.Quantities(&f, levels[tenant].Memory, levels[tenant].Storage) {
			v, _ := n.Float64() // metrics have nothing more exact
			ch <- prometheus.MustNewConstMetric(descUnits, prometheus.CounterValue, v, tenant, unit)
		}
	}
}
