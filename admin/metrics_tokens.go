package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"riptide-proxy/proxy"
)

var (
	descTokenKeys    = describe("jwt_keys", "Keys of an issuer that tokens are checked with.", "issuer")
	descTokenRefresh = describe("jwt_refresh_total", "Times that an issuer's keys were read anew, by whether all could be.", "issuer", "outcome")
	descTokenRead    = describe("jwt_refreshed_timestamp_seconds", "When all keys of an issuer could be read anew the last time.", "issuer")
	descTokenOver    = describe("jwt_sessions_ended_total", "Connections closed because the token that they had logged in with was not valid any more.")

	tokenDescs = []*prometheus.Desc{descTokenKeys, descTokenRefresh, descTokenRead, descTokenOver}
)

// collectTokens gives out metrics only where tokens log in.
func collectTokens(ch chan<- prometheus.Metric, t *proxy.TokenStats) {
	if len(t.Issuers) == 0 {
		return
	}
	ch <- prometheus.MustNewConstMetric(descTokenOver, prometheus.CounterValue, float64(t.Over))
	for _, i := range t.Issuers {
		ch <- prometheus.MustNewConstMetric(descTokenKeys, prometheus.GaugeValue, float64(i.Keys), i.Issuer)
		ch <- prometheus.MustNewConstMetric(descTokenRefresh, prometheus.CounterValue, float64(i.Succeeded), i.Issuer, "success")
		ch <- prometheus.MustNewConstMetric(descTokenRefresh, prometheus.CounterValue, float64(i.Failed), i.Issuer, "failure")
		if !i.Read.IsZero() {
			ch <- prometheus.MustNewConstMetric(descTokenRead, prometheus.GaugeValue, float64(i.Read.Unix()), i.Issuer)
		}
	}
}
