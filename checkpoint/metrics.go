package checkpoint

import "github.com/prometheus/client_golang/prometheus"

// metrics are what is told of checkpoints.
type metrics struct {
	duration prometheus.Histogram
	total    *prometheus.CounterVec
	last     prometheus.Gauge
	size     prometheus.Gauge
}

func newMetrics() *metrics {
	m := &metrics{
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "riptide_checkpoint_duration_seconds", Help: "How long it took to write a checkpoint that was written.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8), // 1 ms to 16 s
		}),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "riptide_checkpoint_total", Help: "Checkpoints by what became of them: ok, failed.",
		}, []string{"result"}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "riptide_checkpoint_last_timestamp_seconds", Help: "When the last checkpoint was written, in Unix time; 0: none by this process.",
		}),
		size: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "riptide_checkpoint_size_bytes", Help: "Length of the last checkpoint.",
		}),
	}
	m.total.WithLabelValues("ok")
	m.total.WithLabelValues("failed")
	return m
}

// saved counts a checkpoint.
func (m *metrics) saved(info Info, err error) {
	if err != nil {
		m.total.WithLabelValues("failed").Inc()
		return
	}
	m.total.WithLabelValues("ok").Inc()
	m.last.Set(float64(info.At.UnixMilli()) / 1000)
	m.size.Set(float64(info.Size))
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.duration, m.total, m.last, m.size}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(ch)
	}
}
