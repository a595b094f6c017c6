package control

import "github.com/prometheus/client_golang/prometheus"

var (
	descReloads    = prometheus.NewDesc("riptide_config_reload_total", "Tries to change the configuration, by what came of them: applied, unchanged, failed.", []string{"result"}, nil)
	descGeneration = prometheus.NewDesc("riptide_config_generation", "Number of the configuration that is running; 1 is the one of the start.", nil, nil)
	descAppliedAt  = prometheus.NewDesc("riptide_config_applied_timestamp_seconds", "When it was taken over, in Unix time.", nil, nil)
	descRefused    = prometheus.NewDesc("riptide_config_last_reload_success", "1 if the last try to change the configuration was taken over, 0 if it was refused.", nil, nil)
)

// metrics turns what a Manager knows into metrics when it is asked.
type metrics struct{ manager *Manager }

// Metrics are those of the configuration.
func (m *Manager) Metrics() prometheus.Collector { return &metrics{m} }

// Describe implements prometheus.Collector.
func (c *metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- descReloads
	ch <- descGeneration
	ch <- descAppliedAt
	ch <- descRefused
}

// Collect implements prometheus.Collector.
func (c *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, result := range []string{Applied, Unchanged, Failed} {
		ch <- prometheus.MustNewConstMetric(descReloads, prometheus.CounterValue, float64(c.manager.Count(result)), result)
	}
	g := c.manager.Current()
	ch <- prometheus.MustNewConstMetric(descGeneration, prometheus.GaugeValue, float64(g.Number))
	ch <- prometheus.MustNewConstMetric(descAppliedAt, prometheus.GaugeValue, float64(g.At.UnixMilli())/1000)
	success := 1.0
	if _, err := c.manager.LastError(); err != nil {
		success = 0
	}
	ch <- prometheus.MustNewConstMetric(descRefused, prometheus.GaugeValue, success)
}
