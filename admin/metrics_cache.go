package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"riptide-proxy/command"
	"riptide-proxy/proxy"
)

// Labels are bounded: tenants by the configuration, operations by the classes of commands, outcomes by
// proxy.Outcome.
var (
	descCacheOperations = describe("cache_operations_total", "Commands that the upstream has answered, by class and by what became of them: hit and miss of reads whose reply tells, error, ok.", "tenant", "operation", "result")
	descCacheAccess     = describe("cache_access_duration_seconds", "From sending a command that reads or writes to the upstream to its reply.", "tenant", "operation")
	descCacheHitRate    = describe("cache_hit_rate", "Hits over hits and misses since the proxy was started; absent without either.", "tenant")
	descCacheMemory     = describe("cache_memory_usage_bytes", "Memory that the tenant's keys take in the upstream, as it was measured last.", "tenant")
	descOperations      = describe("tenant_operations_total", "Commands received, by class.", "tenant", "operation")
	descPressure        = describe("memory_pressure_events_total", "Commands refused for want of memory, the tenant's or the upstream's (OOM).", "tenant")
	descSpans           = describe("spans_total", "Spans of commands, handed over for the collector (recorded) or dropped since too many waited.", "result")

	cacheDescs = []*prometheus.Desc{descSpans, descCacheOperations, descCacheAccess, descCacheHitRate, descCacheMemory, descOperations, descPressure}
)

// timed are the classes whose time is told: what others take depends on what they wait for or compute.
var timed = []command.Class{command.ClassRead, command.ClassWrite}

// collectCache tells what a tenant's commands came to. What has never occurred has no series.
func collectCache(ch chan<- prometheus.Metric, tenant string, t *proxy.TenantStats) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	var received [command.Classes]uint64
	rows := command.All()
	for id, n := range t.Commands {
		received[rows[id].Class] += n
	}
	for class := range command.Class(command.Classes) {
		if n := received[class]; n > 0 {
			counter(descOperations, n, tenant, class.String())
		}
		for outcome, n := range t.Outcomes[class] {
			if n > 0 {
				counter(descCacheOperations, n, tenant, class.String(), proxy.Outcome(outcome).String())
			}
		}
	}
	if tenant == "" {
		return // who has not logged in has nothing
	}
	for _, class := range timed {
		if received[class] > 0 {
			ch <- histogram(descCacheAccess, &t.Access[class], tenant, class.String())
		}
	}
	if looked := t.Hits + t.Misses; looked > 0 {
		ch <- prometheus.MustNewConstMetric(descCacheHitRate, prometheus.GaugeValue, float64(t.Hits)/float64(looked), tenant)
	}
	counter(descPressure, t.Errors["OOM"], tenant)
}

// collectMemory tells what tenants' keys take, of those for whom it is known.
func collectMemory(ch chan<- prometheus.Metric, usage map[string][]proxy.Usage) {
	for tenant, all := range usage {
		for i := range all {
			if u := &all[i]; u.Resource == "memory" {
				ch <- prometheus.MustNewConstMetric(descCacheMemory, prometheus.GaugeValue, u.Used, tenant)
			}
		}
	}
}

// collectTraces tells of spans, where commands are traced.
func collectTraces(ch chan<- prometheus.Metric, t *proxy.Traces) {
	if t == nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(descSpans, prometheus.CounterValue, float64(t.Recorded), "recorded")
	ch <- prometheus.MustNewConstMetric(descSpans, prometheus.CounterValue, float64(t.Dropped), "dropped")
}
