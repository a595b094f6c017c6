package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"riptide-proxy/audit"
)

var (
	descAuditRecords  = describe("audit_records_total", "Records written to the audit log.")
	descAuditBytes    = describe("audit_bytes_total", "Bytes written to the audit log.")
	descAuditDropped  = describe("audit_dropped_total", "Records that the audit log had no room for, or that could not be written.")
	descAuditFailures = describe("audit_failures_total", "Times that writing the audit log failed.")

	auditDescs = []*prometheus.Desc{descAuditRecords, descAuditBytes, descAuditDropped, descAuditFailures}
)

// collectAudit tells of the audit log, if there is one.
func collectAudit(ch chan<- prometheus.Metric, s *audit.Stats) {
	if s == nil {
		return
	}
	for d, n := range map[*prometheus.Desc]uint64{
		descAuditRecords: s.Records, descAuditBytes: s.Bytes, descAuditDropped: s.Dropped, descAuditFailures: s.Failures,
	} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
}
