package admin

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"riptide-proxy/proxy"
)

// TenantsPath is where the listener serves TenantsReport.
const TenantsPath = "/stats/tenants"

// TenantsVersion is TenantsReport.Version. It changes when a field comes to mean something else; fields
// may be added without.
const TenantsVersion = 1

// TenantsReport is what one proxy has counted of its tenants since it started. Numbers per second follow
// from the difference of two reports with the same Proxy.
type TenantsReport struct {
	Version    int            `json:"version"`
	Proxy      string         `json:"proxy"`          // random id of the process: with another one, the counters began anew
	UnixMillis int64          `json:"unix_ms"`        // when the report was made, by the proxy's clock
	Uptime     float64        `json:"uptime_seconds"` // the time that was counted
	UpstreamUp bool           `json:"upstream_up"`
	Clients    int64          `json:"clients"`                // open connections, whether they have logged in or not
	Rejected   uint64         `json:"clients_rejected_total"` // over limits.clients
	Tenants    []TenantReport `json:"tenants"`                // sorted by id: those of the configuration, and "" for whoever has not logged in
}

// TenantReport is one tenant's part. What ends in _total only grows.
type TenantReport struct {
	Tenant      string `json:"tenant"`
	Plan        string `json:"plan,omitempty"`
	Connections int64  `json:"connections"`
	Commands    uint64 `json:"commands_total"`
	Errors      uint64 `json:"errors_total"` // error replies
	BytesIn     uint64 `json:"bytes_in_total"`
	BytesOut    uint64 `json:"bytes_out_total"`
	Hits        uint64 `json:"hits_total"`   // reads that have found something
	Misses      uint64 `json:"misses_total"` // and that have not
	Throttled   uint64 `json:"throttled_total"`
	Refused     uint64 `json:"refused_total"`

	// Latency counts the upstream's replies by the time they took: element i is how many took less than
	// 2^i microseconds and are not in a lower one; the last there can be (23) has all others. Zeros at the end are left out.
	Latency []uint64 `json:"latency_log2_us"`

	// Usage is of what is limited or could be, by resource.
	Usage []UsageReport `json:"usage"`
}

// UsageReport is one resource's part. What all proxies share (memory, keys) is the same on all of them.
type UsageReport struct {
	Resource string  `json:"resource"`
	Used     float64 `json:"used"`
	Limit    float64 `json:"limit"` // 0: unlimited
}

// reportsAtOnce bounds how many reports are being made, since each asks every loop.
const reportsAtOnce = 2

// stats asks the proxy when it is this request's turn.
func (a *api) stats(c *call) (*proxy.Stats, error) {
	select {
	case a.reports <- struct{}{}:
		defer func() { <-a.reports }()
	case <-c.Context().Done():
		return nil, c.Context().Err()
	}
	s, err := statsOf(c.Context(), a.o.Proxy)
	if err != nil {
		return nil, problem("unavailable", "an event loop does not answer")
	}
	return s, nil
}

// tenantsReport serves a TenantsReport; ?tenant=ID, repeatable, leaves out the others.
func tenantsReport(a *api, w http.ResponseWriter, c *call) error {
	wanted := c.URL.Query()["tenant"]
	if own := c.who.Tenant; own != "" {
		if slices.ContainsFunc(wanted, func(id string) bool { return id != own }) {
			return problem("forbidden", "it is a token for one tenant")
		}
		wanted = []string{own}
	}
	s, err := a.stats(c)
	if err != nil {
		return err
	}
	r := reportOf(s, wanted, time.Now())
	if c.who.Tenant != "" { // these are of all tenants
		r.Clients, r.Rejected = 0, 0
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(r) // a client that has gone away
	return nil
}

// reportOf is about the tenants that are wanted; none: about all.
func reportOf(s *proxy.Stats, wanted []string, now time.Time) *TenantsReport {
	r := &TenantsReport{
		Version: TenantsVersion, Proxy: s.ID, UnixMillis: now.UnixMilli(), Uptime: now.Sub(s.Born).Seconds(),
		UpstreamUp: s.UpstreamUp, Clients: s.Clients, Rejected: s.Rejected, Tenants: []TenantReport{},
	}
	add := func(id string) {
		if len(wanted) == 0 || slices.Contains(wanted, id) {
			r.Tenants = append(r.Tenants, tenantReport(id, s))
		}
	}
	for id := range s.Usage {
		add(id)
	}
	for id := range s.Tenants {
		if _, configured := s.Usage[id]; !configured {
			add(id)
		}
	}
	slices.SortFunc(r.Tenants, func(a, b TenantReport) int { return cmp.Compare(a.Tenant, b.Tenant) })
	return r
}

func tenantReport(id string, s *proxy.Stats) TenantReport {
	t := TenantReport{Tenant: id, Plan: s.Plans[id], Latency: []uint64{}, Usage: []UsageReport{}}
	for _, u := range s.Usage[id] {
		t.Usage = append(t.Usage, UsageReport(u))
	}
	n := s.Tenants[id]
	if n == nil {
		return t // nobody has come yet
	}
	t.Connections, t.BytesIn, t.BytesOut = n.Connections, n.In, n.Out
	t.Hits, t.Misses, t.Throttled, t.Refused = n.Hits, n.Misses, n.Throttled, n.Refused
	for _, c := range n.Commands {
		t.Commands += c
	}
	for _, e := range n.Errors {
		t.Errors += e
	}
	used := len(n.Latency.Buckets)
	for used > 0 && n.Latency.Buckets[used-1] == 0 {
		used--
	}
	t.Latency = append(t.Latency, n.Latency.Buckets[:used]...)
	return t
}
