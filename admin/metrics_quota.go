package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"riptide-proxy/proxy"
)

var (
	descQuotaUsage = describe("tenant_quota_usage", "The part of a quota that is used: 1 is all of it.", "tenant", "resource")
	descThrottled  = describe("tenant_throttled_total", "Commands over a rate, refused or made to wait.", "tenant")
	descRefused    = describe("tenant_refused_total", "Commands and connections refused over another quota.", "tenant")
	descHits       = describe("tenant_keyspace_hits_total", "Reads that have found something.", "tenant")
	descMisses     = describe("tenant_keyspace_misses_total", "Reads that have found nothing.", "tenant")

	quotaDescs = []*prometheus.Desc{descQuotaUsage, descThrottled, descRefused, descHits, descMisses}
)

// collectLimited tells what a tenant was refused and what it has found.
func collectLimited(ch chan<- prometheus.Metric, tenant string, t *proxy.TenantStats) {
	for d, n := range map[*prometheus.Desc]uint64{descThrottled: t.Throttled, descRefused: t.Refused, descHits: t.Hits, descMisses: t.Misses} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), tenant)
	}
}

// collectQuotas tells how much of their quotas tenants use. What is unlimited has no ratio.
func collectQuotas(ch chan<- prometheus.Metric, usage map[string][]proxy.Usage) {
	for tenant, all := range usage {
		for i := range all {
			if u := &all[i]; u.Limit > 0 {
				ch <- prometheus.MustNewConstMetric(descQuotaUsage, prometheus.GaugeValue, u.Ratio(), tenant, u.Resource)
			}
		}
	}
}
