package admin

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"riptide-proxy/command"
	"riptide-proxy/netloop"
	"riptide-proxy/proxy"
)

// sample is a proxy that has done a little of everything.
func sample() *stub {
	tenant := func() *proxy.TenantStats {
		return &proxy.TenantStats{Commands: make([]uint64, command.Count()), Errors: make(map[string]uint64)}
	}
	acme, nobody := tenant(), tenant()
	acme.Commands[command.Lookup([]byte("get")).ID] = 7
	acme.Commands[command.Lookup([]byte("client")).Sub([]byte("setname")).ID] = 2
	acme.Errors["NOPERM"], acme.Errors["other"] = 3, 1
	acme.In, acme.Out, acme.Connections, acme.Logins = 1000, 2000, 4, 5
	for _, d := range []time.Duration{0, time.Microsecond, 100 * time.Microsecond, 100 * time.Microsecond, 3 * time.Millisecond, time.Hour} {
		acme.Latency.Observe(d)
	}
	acme.Outcomes[command.ClassRead] = [proxy.NOutcomes]uint64{proxy.OutcomeHit: 5, proxy.OutcomeMiss: 1, proxy.OutcomeError: 1}
	acme.Outcomes[command.ClassOther][proxy.OutcomeOK] = 2
	acme.Access[command.ClassRead].Observe(time.Millisecond)
	acme.Errors["OOM"] = 6
	nobody.Commands[command.Lookup([]byte("auth")).ID] = 6
	nobody.Errors["WRONGPASS"] = 1
	nobody.Connections = 1
	acme.Hits, acme.Misses, acme.Throttled, acme.Refused = 40, 10, 9, 3
	s := &proxy.Stats{
		ID: "0123456789abcdef", Born: time.Now().Add(-time.Hour), Plans: map[string]string{"acme": "pro"},
		Usage: map[string][]proxy.Usage{
			"acme":   {{Resource: "keys", Used: 30}, {Resource: "memory", Used: 512, Limit: 2048}, {Resource: "ops_per_second", Used: 120, Limit: 100}},
			"globex": {{Resource: "connections", Limit: 5}},
		},
		Tenants: map[string]*proxy.TenantStats{"acme": acme, "": nobody},
		Clients: 5, Accepted: 50, Rejected: 8, MaxClients: 100, UpstreamUp: true, Links: 2, InFlight: 11,
	}
	s.Turns.Observe(10 * time.Microsecond)
	return &stub{ready: true, stats: s}
}

// scrape reads the exposition as Prometheus does.
func scrape(t *testing.T, p Proxy) map[string]*dto.MetricFamily {
	t.Helper()
	status, body, header := get(t, p, "GET", "/metrics")
	if status != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %q", status, header)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// flat writes the metrics of a family as name{labels} value.
func flat(f *dto.MetricFamily) map[string]float64 {
	all := make(map[string]float64)
	for _, m := range f.Metric {
		var labels []string
		for _, l := range m.Label {
			labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
		}
		name := f.GetName() + "{" + strings.Join(labels, ",") + "}"
		switch f.GetType() {
		case dto.MetricType_COUNTER:
			all[name] = m.Counter.GetValue()
		case dto.MetricType_GAUGE:
			all[name] = m.Gauge.GetValue()
		case dto.MetricType_HISTOGRAM:
			all[name] = float64(m.Histogram.GetSampleCount())
		}
	}
	return all
}

func TestMetrics(t *testing.T) {
	families := scrape(t, sample())
	got := make(map[string]float64)
	for name, f := range families {
		if strings.HasPrefix(name, "riptide_") {
			maps.Copy(got, flat(f))
		}
	}
	want := map[string]float64{
		`riptide_clients{}`:                     5,
		`riptide_clients_limit{}`:               100,
		`riptide_clients_accepted_total{}`:      50,
		`riptide_clients_rejected_total{}`:      8,
		`riptide_upstream_up{}`:                 1,
		`riptide_upstream_connections{}`:        2,
		`riptide_upstream_commands_in_flight{}`: 11,
		`riptide_loop_turn_seconds{}`:           1,

		`riptide_tenant_connections{tenant=""}`:                                 1,
		`riptide_tenant_connections{tenant="acme"}`:                             4,
		`riptide_tenant_logins_total{tenant=""}`:                                0,
		`riptide_tenant_logins_total{tenant="acme"}`:                            5,
		`riptide_tenant_commands_total{command="auth",tenant=""}`:               6,
		`riptide_tenant_commands_total{command="get",tenant="acme"}`:            7,
		`riptide_tenant_commands_total{command="client|setname",tenant="acme"}`: 2,
		`riptide_tenant_errors_total{code="WRONGPASS",tenant=""}`:               1,
		`riptide_tenant_errors_total{code="NOPERM",tenant="acme"}`:              3,
		`riptide_tenant_errors_total{code="other",tenant="acme"}`:               1,
		`riptide_tenant_bytes_total{direction="in",tenant=""}`:                  0,
		`riptide_tenant_bytes_total{direction="out",tenant=""}`:                 0,
		`riptide_tenant_bytes_total{direction="in",tenant="acme"}`:              1000,
		`riptide_tenant_bytes_total{direction="out",tenant="acme"}`:             2000,
		`riptide_tenant_upstream_latency_seconds{tenant=""}`:                    0,
		`riptide_tenant_upstream_latency_seconds{tenant="acme"}`:                6,

		`riptide_cache_operations_total{operation="read",result="hit",tenant="acme"}`:   5,
		`riptide_cache_operations_total{operation="read",result="miss",tenant="acme"}`:  1,
		`riptide_cache_operations_total{operation="read",result="error",tenant="acme"}`: 1,
		`riptide_cache_operations_total{operation="other",result="ok",tenant="acme"}`:   2,
		`riptide_cache_access_duration_seconds{operation="read",tenant="acme"}`:         1,
		`riptide_cache_hit_rate{tenant="acme"}`:                                         0.8,
		`riptide_cache_memory_usage_bytes{tenant="acme"}`:                               512,
		`riptide_tenant_operations_total{operation="read",tenant="acme"}`:               7,
		`riptide_tenant_operations_total{operation="other",tenant="acme"}`:              2,
		`riptide_tenant_operations_total{operation="other",tenant=""}`:                  6,
		`riptide_memory_pressure_events_total{tenant="acme"}`:                           6,
		`riptide_tenant_errors_total{code="OOM",tenant="acme"}`:                         6,

		`riptide_tenant_quota_usage{resource="memory",tenant="acme"}`:         0.25, // nothing of keys, which are unlimited
		`riptide_tenant_quota_usage{resource="ops_per_second",tenant="acme"}`: 1.2,
		`riptide_tenant_quota_usage{resource="connections",tenant="globex"}`:  0,
		`riptide_tenant_throttled_total{tenant="acme"}`:                       9,
		`riptide_tenant_throttled_total{tenant=""}`:                           0,
		`riptide_tenant_refused_total{tenant="acme"}`:                         3,
		`riptide_tenant_refused_total{tenant=""}`:                             0,
		`riptide_tenant_keyspace_hits_total{tenant="acme"}`:                   40,
		`riptide_tenant_keyspace_hits_total{tenant=""}`:                       0,
		`riptide_tenant_keyspace_misses_total{tenant="acme"}`:                 10,
		`riptide_tenant_keyspace_misses_total{tenant=""}`:                     0,
	}
	for name, v := range want {
		if g, there := got[name]; !there || g != v {
			t.Errorf("%s is %v (%v), want %v", name, g, there, v)
		}
	}
	for name := range got {
		if _, known := want[name]; !known {
			t.Errorf("%s was not expected", name)
		}
	}
	// What every Go process tells is there too.
	if families["go_goroutines"] == nil || families["process_start_time_seconds"] == nil {
		t.Error("metrics of the process are missing")
	}
}

func TestMetricsUpstreamDown(t *testing.T) {
	p := sample()
	p.stats.UpstreamUp = false
	if got := flat(scrape(t, p)["riptide_upstream_up"])[`riptide_upstream_up{}`]; got != 0 {
		t.Errorf("riptide_upstream_up is %v", got)
	}
}

// A histogram's buckets count what is at most their bound, each including the
// ones before it.
func TestMetricsHistogram(t *testing.T) {
	var h *dto.Histogram
	for _, m := range scrape(t, sample())["riptide_tenant_upstream_latency_seconds"].Metric {
		if m.Label[0].GetValue() == "acme" {
			h = m.Histogram
		}
	}
	if h == nil || h.GetSampleCount() != 6 || math.Abs(h.GetSampleSum()-(3600+0.003201)) > 1e-6 {
		t.Fatalf("%v", h)
	}
	bounds := len(netloop.Histogram{}.Buckets) - 1
	finite := slices.DeleteFunc(slices.Clone(h.Bucket), func(b *dto.Bucket) bool { return math.IsInf(b.GetUpperBound(), 1) })
	if len(finite) != bounds {
		t.Errorf("%d buckets, want %d", len(finite), bounds)
	}
	at := func(d time.Duration) (n uint64) {
		for _, b := range finite {
			if b.GetUpperBound() <= d.Seconds()*1.000001 {
				n = b.GetCumulativeCount()
			}
		}
		return n
	}
	for _, c := range []struct {
		bound time.Duration
		count uint64
	}{
		{time.Microsecond, 1}, {2 * time.Microsecond, 2}, {64 * time.Microsecond, 2}, {128 * time.Microsecond, 4},
		{2048 * time.Microsecond, 4}, {4096 * time.Microsecond, 5}, {time.Minute, 5},
	} {
		if got := at(c.bound); got != c.count {
			t.Errorf("%d at most %v, want %d", got, c.bound, c.count)
		}
	}
	for i := 1; i < len(h.Bucket); i++ {
		if h.Bucket[i].GetCumulativeCount() < h.Bucket[i-1].GetCumulativeCount() || h.Bucket[i].GetUpperBound() <= h.Bucket[i-1].GetUpperBound() {
			t.Errorf("bucket %d: %v after %v", i, h.Bucket[i], h.Bucket[i-1])
		}
	}
}

// Whatever is observed lies in the one bucket whose bound is the first that is
// not below it, so what the buckets are converted to tells no lies.
func TestHistogramBounds(t *testing.T) {
	desc := prometheus.NewDesc("x", "x", nil, nil)
	for _, d := range []time.Duration{
		0, 1, 999, time.Microsecond, 1999, 2 * time.Microsecond, 3 * time.Microsecond, 4 * time.Microsecond,
		time.Millisecond, 1024 * time.Microsecond, time.Second, 4 * time.Second, time.Minute, 24 * time.Hour,
	} {
		var h netloop.Histogram
		h.Observe(d)
		var m dto.Metric
		if err := histogram(desc, &h).Write(&m); err != nil {
			t.Fatal(err)
		}
		for _, b := range m.Histogram.Bucket {
			within := d.Seconds() <= b.GetUpperBound()
			// A duration that is exactly a bound counts above it: the buckets
			// end below their bounds.
			exact := d.Seconds() == b.GetUpperBound()
			if counted := b.GetCumulativeCount() == 1; counted != within && !exact {
				t.Errorf("%v: bucket up to %v counts %d", d, b.GetUpperBound(), b.GetCumulativeCount())
			}
		}
		if m.Histogram.GetSampleCount() != 1 {
			t.Errorf("%v: %d observations", d, m.Histogram.GetSampleCount())
		}
	}
}

// The names, units and helps follow Prometheus's conventions.
func TestMetricsLint(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(&collector{sample()})
	families, err := r.Gather() // which checks that what is collected was described
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
