package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"riptide-proxy/value"
)

var (
	descValues       = describe("values_total", "Values sealed and opened.", "tenant", "algorithm", "operation")
	descValueBytes   = describe("value_bytes_total", "Bytes of those values, before (in) and after (out).", "tenant", "algorithm", "operation", "side")
	descValueSeconds = describe("value_seconds_total", "Time that sealing and opening took, estimated from a sample.", "tenant", "algorithm", "operation")
	descValueRatio   = describe("value_ratio", "Bytes stored for each byte of the values that were compressed.", "tenant", "algorithm")
	descValueSkipped = describe("values_skipped_total", "Values that were stored without compression, by the reason.", "tenant", "reason")
	descValueDict    = describe("value_dictionary_total", "Values compressed with a dictionary (sealed), read with one (opened), and compressed without since its encoder was not in memory (missed).", "tenant", "event")
	descValueCipher  = describe("values_encrypted_total", "Values encrypted and decrypted.", "tenant", "operation")
	descValueFailed  = describe("values_failed_total", "Stored values that could not be opened.", "tenant")

	valueDescs = []*prometheus.Desc{
		descValues, descValueBytes, descValueSeconds, descValueRatio, descValueSkipped, descValueDict, descValueCipher, descValueFailed,
	}
)

// collectValues tells how a tenant's values were stored.
func collectValues(ch chan<- prometheus.Metric, tenant string, n *value.Counters) {
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	flow := func(f *value.Flow, algorithm, operation string) {
		if f.Values == 0 {
			return
		}
		counter(descValues, float64(f.Values), tenant, algorithm, operation)
		counter(descValueBytes, float64(f.In), tenant, algorithm, operation, "in")
		counter(descValueBytes, float64(f.Out), tenant, algorithm, operation, "out")
		counter(descValueSeconds, float64(f.Nanos)/1e9, tenant, algorithm, operation)
	}
	for a := range value.Algorithm(value.Algorithms) {
		flow(&n.Sealed[a], a.String(), "seal")
		flow(&n.Opened[a], a.String(), "open")
		if f := &n.Sealed[a]; f.In > 0 && a != value.None {
			ch <- prometheus.MustNewConstMetric(descValueRatio, prometheus.GaugeValue, float64(f.Out)/float64(f.In), tenant, a.String())
		}
	}
	for reason := range value.Skip(value.SkipReasons) {
		counter(descValueSkipped, float64(n.Skipped[reason]), tenant, reason.String())
	}
	for event, v := range map[string]uint64{"sealed": n.DictSealed, "opened": n.DictOpened, "missed": n.DictMissed} {
		counter(descValueDict, float64(v), tenant, event)
	}
	counter(descValueCipher, float64(n.Encrypted), tenant, "encrypt")
	counter(descValueCipher, float64(n.Decrypted), tenant, "decrypt")
	counter(descValueFailed, float64(n.Failed), tenant)
}
