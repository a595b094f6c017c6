package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"riptide-proxy/proxy"
)

var (
	descHandshakes     = describe("tls_handshakes_total", "Clients' handshakes, by what has become of them; those that made room for others are among the failed.", "outcome")
	descHandshaking    = describe("tls_handshakes_in_progress", "Clients that are at their handshake.")
	descTLSConnections = describe("tls_connections", "Encrypted connections of clients, those included that are about to end.")
	descTLSExpiry      = describe("tls_certificate_expiry_timestamp_seconds", "When the certificate of the encrypted listener ends.")
	descHeaders        = describe("proxy_headers_total", "PROXY headers of load balancers that were taken, and connections of theirs refused for want of a good one.", "outcome")
	descElsewhere      = describe("logins_elsewhere_total", "Logins refused since the client is not in its tenant's networks, or its certificate is for somebody else.")

	doorDescs = []*prometheus.Desc{descHandshakes, descHandshaking, descTLSConnections, descTLSExpiry, descHeaders, descElsewhere}
)

// collectDoors tells how clients have come in.
func collectDoors(ch chan<- prometheus.Metric, d *proxy.DoorStats) {
	counter := func(desc *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(desc *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v)
	}
	counter(descHeaders, d.Headers, "taken")
	counter(descHeaders, d.HeadersRefused, "refused")
	counter(descElsewhere, d.Elsewhere)
	if t := d.TLS; t != nil {
		counter(descHandshakes, t.Done, "done")
		counter(descHandshakes, t.Failed, "failed")
		counter(descHandshakes, t.Crowded, "crowded")
		gauge(descHandshaking, float64(t.Shaking))
		gauge(descTLSConnections, float64(t.Open))
		gauge(descTLSExpiry, float64(t.Expiry.Unix()))
	}
}
