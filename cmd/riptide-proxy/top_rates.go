package main

import (
	"errors"
	"math"
	"time"

	"riptide-proxy/admin"
	"riptide-proxy/netloop"
)

// topWatch remembers each proxy's last report, since rates are differences.
type topWatch struct {
	last map[string]*admin.TenantsReport // by address
}

func newTopWatch() *topWatch { return &topWatch{last: make(map[string]*admin.TenantsReport)} }

// topView is what the proxies together have to tell at one time.
type topView struct {
	At      time.Time  `json:"time"`
	Proxies []topProxy `json:"proxies"`
	Rows    []topRow   `json:"tenants"`

	sort    string
	reverse bool
}

// topProxy is one of the proxies that were asked.
type topProxy struct {
	Address string `json:"address"`
	ID      string `json:"id,omitempty"`
	Error   string `json:"error,omitempty"` // why it has not answered
}

// topRow is one tenant over all proxies. Rates are per second; what is nil is not known.
type topRow struct {
	Tenant      string            `json:"tenant"` // empty: connections that have not logged in
	Plan        string            `json:"plan,omitempty"`
	Ops         float64           `json:"ops_per_second"`
	In          float64           `json:"bytes_in_per_second"`
	Out         float64           `json:"bytes_out_per_second"`
	Errors      float64           `json:"errors_per_second"`
	Throttled   float64           `json:"throttled_per_second"`
	Refused     float64           `json:"refused_per_second"`
	HitRate     *float64          `json:"hit_rate"` // hits among the reads, 0 to 1
	P50         *float64          `json:"p50_us"`
	P99         *float64          `json:"p99_us"`
	Connections int64             `json:"connections"`
	Memory      *float64          `json:"memory_bytes"`
	Keys        *float64          `json:"keys"`
	Usage       map[string]topUse `json:"usage"` // by resource

	known        bool // one of the proxies has been watched for an interval
	hits, misses uint64
	latency      []uint64
}

// topUse is how much of a resource is used.
type topUse struct {
	Used  float64 `json:"used"`
	Limit float64 `json:"limit"` // 0: unlimited
}

// look takes the proxies' answers and adds them up. A proxy that is seen for the first time, or that
// was started anew, has no rates until the next look.
func (w *topWatch) look(answers []topAnswer) *topView {
	v := &topView{At: time.Now()}
	rows := make(map[string]*topRow)
	seen := make(map[string]bool) // processes: two addresses may be the same one's
	for _, a := range answers {
		p := topProxy{Address: a.address}
		if a.err != nil {
			p.Error = printable(a.err.Error())
			v.Proxies = append(v.Proxies, p)
			continue
		}
		p.ID = printable(a.report.Proxy)
		v.Proxies = append(v.Proxies, p)
		before := w.last[a.address]
		w.last[a.address] = a.report
		if seen[a.report.Proxy] {
			continue
		}
		seen[a.report.Proxy] = true
		if before != nil && (before.Proxy != a.report.Proxy || before.Uptime >= a.report.Uptime) {
			before = nil
		}
		addReport(rows, before, a.report)
	}
	for _, r := range rows {
		r.conclude()
		v.Rows = append(v.Rows, *r)
	}
	return v
}

func addReport(rows map[string]*topRow, before, now *admin.TenantsReport) {
	old := make(map[string]*admin.TenantReport)
	seconds := 0.0
	if before != nil {
		seconds = now.Uptime - before.Uptime
		for i := range before.Tenants {
			old[before.Tenants[i].Tenant] = &before.Tenants[i]
		}
	}
	for i := range now.Tenants {
		t := &now.Tenants[i]
		id := printable(t.Tenant)
		r := rows[id]
		if r == nil {
			r = &topRow{Tenant: id, Plan: printable(t.Plan), Usage: make(map[string]topUse)}
			rows[id] = r
		}
		r.addNow(t)
		if before == nil {
			continue
		}
		was := old[t.Tenant]
		if was == nil {
			was = new(admin.TenantReport) // it has come since, and its counters began at nothing
		}
		r.addRates(was, t, seconds)
	}
}

// addNow adds what is as it is.
func (r *topRow) addNow(t *admin.TenantReport) {
	r.Connections += t.Connections
	for _, u := range t.Usage {
		// What the proxies share each of them tells, some of them later than others.
		name := printable(u.Resource)
		old := r.Usage[name]
		r.Usage[name] = topUse{max(old.Used, u.Used), max(old.Limit, u.Limit)}
	}
}

// addRates adds what has happened in between.
func (r *topRow) addRates(was, t *admin.TenantReport, seconds float64) {
	r.known = true
	for _, x := range []struct {
		sum      *float64
		was, now uint64
	}{
		{&r.Ops, was.Commands, t.Commands}, {&r.In, was.BytesIn, t.BytesIn}, {&r.Out, was.BytesOut, t.BytesOut}, {&r.Errors, was.Errors, t.Errors},
		{&r.Throttled, was.Throttled, t.Throttled}, {&r.Refused, was.Refused, t.Refused},
	} {
		*x.sum += float64(since(x.was, x.now)) / seconds
	}
	r.hits += since(was.Hits, t.Hits)
	r.misses += since(was.Misses, t.Misses)
	for i, n := range t.Latency {
		if i == len(r.latency) {
			r.latency = append(r.latency, 0)
		}
		old := uint64(0)
		if i < len(was.Latency) {
			old = was.Latency[i]
		}
		r.latency[i] += since(old, n)
	}
}

// since is what a counter has grown by, nothing if it has become smaller.
func since(was, now uint64) uint64 { return now - min(was, now) }

// conclude works out what follows from the sums.
func (r *topRow) conclude() {
	if reads := r.hits + r.misses; reads > 0 {
		rate := float64(r.hits) / float64(reads)
		r.HitRate = &rate
	}
	r.P50, r.P99 = topQuantile(r.latency, 0.5), topQuantile(r.latency, 0.99)
	for name, to := range map[string]**float64{"memory": &r.Memory, "keys": &r.Keys} {
		if u, known := r.Usage[name]; known {
			*to = &u.Used
		}
	}
	// These are sums over the proxies, which each of them knows its own part of only.
	own := map[string]float64{"connections": float64(r.Connections)}
	if r.known {
		own["ops_per_second"], own["bytes_in_per_second"], own["bytes_out_per_second"] = r.Ops, r.In, r.Out
	}
	for name, used := range own {
		if u, known := r.Usage[name]; known {
			r.Usage[name] = topUse{used, u.Limit}
		}
	}
}

// fullest is the resource of which the largest part is used; empty if nothing is limited.
func (r *topRow) fullest() (resource string, ratio float64) {
	ratio = -1
	for name, u := range r.Usage {
		if u.Limit <= 0 {
			continue
		}
		if part := u.Used / u.Limit; part > ratio || part == ratio && name < resource {
			resource, ratio = name, part
		}
	}
	return resource, max(0, ratio)
}

// topBuckets is how many buckets a report's latencies have at most.
const topBuckets = len(netloop.Histogram{}.Buckets)

// topQuantile is the time in microseconds that a share of the calls did not exceed, nil if there are none. In
// the bucket where it lies calls count as spread evenly; the last one has no end, so it is its beginning there.
func topQuantile(buckets []uint64, share float64) *float64 {
	total := uint64(0)
	for _, n := range buckets {
		total += n
	}
	if total == 0 {
		return nil
	}
	rank, sum := share*float64(total), 0.0
	for i, n := range buckets {
		if n == 0 || sum+float64(n) < rank {
			sum += float64(n)
			continue
		}
		from, to := 0.0, 1.0
		if i > 0 {
			from, to = math.Ldexp(1, i-1), math.Ldexp(1, i)
		}
		at := from
		if i < topBuckets-1 {
			at += (to - from) * (rank - sum) / float64(n)
		}
		return &at
	}
	return nil
}

// up is how many proxies have answered.
func (v *topView) up() int {
	n := 0
	for _, p := range v.Proxies {
		if p.Error == "" {
			n++
		}
	}
	return n
}

// err is why none has.
func (v *topView) err() error {
	var all []error
	for _, p := range v.Proxies {
		all = append(all, errors.New(p.Address+": "+p.Error))
	}
	return errors.Join(all...)
}
