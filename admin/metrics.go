package admin

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"riptide-proxy/command"
	"riptide-proxy/netloop"
	"riptide-proxy/proxy"
)

// collector turns the proxy's counters into metrics when it is asked, so that
// the proxy itself only ever adds to plain numbers.
type collector struct{ proxy Proxy }

// scrapeTimeout bounds how long the loops may take to hand their counters out.
const scrapeTimeout = 5 * time.Second

func statsOf(ctx context.Context, p Proxy) (*proxy.Stats, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	return p.Stats(ctx)
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("riptide_"+name, help, labels, nil)
}

var (
	descClients     = describe("clients", "Open client connections.")
	descAccepted    = describe("clients_accepted_total", "Client connections accepted.")
	descMaxClients  = describe("clients_limit", "How many client connections may be open, limits.clients.")
	descRejected    = describe("clients_rejected_total", "Client connections refused over limits.clients.")
	descUp          = describe("upstream_up", "Whether the upstream passed its last health check.")
	descLinks       = describe("upstream_connections", "Shared connections to the upstream that are up.")
	descInFlight    = describe("upstream_commands_in_flight", "Commands sent to the upstream and not answered yet.")
	descTurns       = describe("loop_turn_seconds", "Length of an event loop's turn, waiting excluded.")
	descConnections = describe("tenant_connections", "Open client connections that have logged in.", "tenant")
	descLogins      = describe("tenant_logins_total", "Successful logins.", "tenant")
	descCommands    = describe("tenant_commands_total", "Commands received.", "tenant", "command")
	descErrors      = describe("tenant_errors_total", "Error replies by their code.", "tenant", "code")
	descBytes       = describe("tenant_bytes_total", "Bytes of requests (in) and replies (out).", "tenant", "direction")
	descLatency     = describe("tenant_upstream_latency_seconds", "From sending a command to the upstream to its reply, on the clock of the event loop's turns.", "tenant")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descClients, descMaxClients, descAccepted, descRejected, descUp, descLinks, descInFlight, descTurns,
		descConnections, descLogins, descCommands, descErrors, descBytes, descLatency,
	} {
		ch <- d
	}
	for _, d := range valueDescs {
		ch <- d
	}
	for _, d := range quotaDescs {
		ch <- d
	}
	for _, d := range cacheDescs {
		ch <- d
	}
	for _, d := range tokenDescs {
		ch <- d
	}
}

// Collect implements prometheus.Collector. What has not logged in is counted
// for the tenant "".
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s, err := statsOf(context.Background(), c.proxy)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(descUp, err)
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	up := 0.0
	if s.UpstreamUp {
		up = 1
	}
	gauge(descClients, float64(s.Clients))
	gauge(descMaxClients, float64(s.MaxClients))
	counter(descAccepted, s.Accepted)
	counter(descRejected, s.Rejected)
	gauge(descUp, up)
	gauge(descLinks, float64(s.Links))
	gauge(descInFlight, float64(s.InFlight))
	ch <- histogram(descTurns, &s.Turns)
	collectQuotas(ch, s.Usage)
	collectMemory(ch, s.Usage)
	collectTraces(ch, s.Traces)
	collectTokens(ch, &s.Tokens)
	rows := command.All()
	for tenant, t := range s.Tenants {
		gauge(descConnections, float64(t.Connections), tenant)
		counter(descLogins, t.Logins, tenant)
		counter(descBytes, t.In, tenant, "in")
		counter(descBytes, t.Out, tenant, "out")
		ch <- histogram(descLatency, &t.Latency, tenant)
		for id, n := range t.Commands {
			if n > 0 {
				counter(descCommands, n, tenant, rows[id].Name)
			}
		}
		for code, n := range t.Errors {
			counter(descErrors, n, tenant, code)
		}
		collectLimited(ch, tenant, t)
		collectCache(ch, tenant, t)
		if t.Values != nil {
			collectValues(ch, tenant, t.Values)
		}
	}
}

// histogram converts buckets of powers of two microseconds to cumulative ones
// in seconds.
func histogram(d *prometheus.Desc, h *netloop.Histogram, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(h.Buckets)-1)
	total := uint64(0)
	for i, n := range h.Buckets {
		total += n
		if i < len(h.Buckets)-1 {
			buckets[float64(uint64(1)<<i)/1e6] = total
		}
	}
	return prometheus.MustNewConstHistogram(d, total, h.Sum.Seconds(), buckets, labels...)
}
