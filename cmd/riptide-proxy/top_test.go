package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"riptide-proxy/admin"
)

// topReport is a proxy's report of tenants, seconds after it was started.
func topReport(proxy string, uptime float64, tenants ...admin.TenantReport) topAnswer {
	return topAnswer{address: proxy + ":9380", report: &admin.TenantsReport{Version: 1, Proxy: proxy, Uptime: uptime, Tenants: tenants}}
}

func (v *topView) of(t *testing.T, tenant string) *topRow {
	t.Helper()
	for i := range v.Rows {
		if v.Rows[i].Tenant == tenant {
			return &v.Rows[i]
		}
	}
	t.Fatalf("no %s in %+v", tenant, v.Rows)
	return nil
}

// Rates are what each proxy has counted in its own time, added up.
func TestTopRates(t *testing.T) {
	w := newTopWatch()
	at := func(n uint64) admin.TenantReport {
		return admin.TenantReport{
			Tenant: "acme", Plan: "pro", Connections: 3, Commands: 1000 * n, Errors: 2 * n, BytesIn: 4000 * n, BytesOut: 8000 * n, Hits: 90 * n, Misses: 10 * n,
			Throttled: 6 * n, Refused: 4 * n, Latency: []uint64{0, 0, 10 * n, 10 * n}, Usage: []admin.UsageReport{
				{Resource: "connections", Used: 3, Limit: 12}, {Resource: "memory", Used: float64(100 * n), Limit: 1000},
				{Resource: "ops_per_second", Used: 1, Limit: 3000}, {Resource: "keys", Used: 7}},
		}
	}
	first := w.look([]topAnswer{topReport("a", 10, at(5)), topReport("b", 100, at(1))})
	if r := first.of(t, "acme"); r.known || r.Ops != 0 || r.P50 != nil || r.HitRate != nil || r.Connections != 6 || *r.Memory != 500 || *r.Keys != 7 {
		t.Errorf("at first: %+v", r)
	}
	v := w.look([]topAnswer{topReport("a", 12, at(7)), topReport("b", 104, at(3), admin.TenantReport{Tenant: "new", Commands: 8})})
	r := v.of(t, "acme")
	if r.Ops != 1000+500 || r.In != 6000 || r.Out != 12000 || r.Errors != 3 || r.Throttled != 9 || r.Refused != 6 || *r.HitRate != 0.9 || r.Connections != 6 || *r.Memory != 700 || r.Plan != "pro" {
		t.Errorf("%+v", r)
	}
	if *r.P50 != 4 || math.Abs(*r.P99-7.92) > 1e-9 {
		t.Errorf("p50 %v, p99 %v", *r.P50, *r.P99)
	}
	if r.Usage["ops_per_second"] != (topUse{1500, 3000}) || r.Usage["connections"] != (topUse{6, 12}) || r.Usage["memory"] != (topUse{700, 1000}) {
		t.Errorf("%+v", r.Usage)
	}
	if name, ratio := r.fullest(); name != "memory" || ratio != 0.7 {
		t.Errorf("fullest: %s %v", name, ratio)
	}
	if r := v.of(t, "new"); r.Ops != 2 {
		t.Errorf("a tenant that was not there before: %+v", r)
	}
}

// A proxy that has gone away, and comes back with its counters at nothing, makes no rate negative or absurd.
func TestTopRestart(t *testing.T) {
	w := newTopWatch()
	commands := func(n uint64) admin.TenantReport {
		return admin.TenantReport{Tenant: "acme", Commands: n, Latency: []uint64{n}}
	}
	w.look([]topAnswer{topReport("a", 1000, commands(1e6))})
	v := w.look([]topAnswer{{address: "a:9380", err: errors.New("connection refused\x1b[2J")}})
	if v.up() != 0 || len(v.Rows) != 0 || v.err().Error() != "a:9380: connection refused?[2J" {
		t.Errorf("%+v: %v", v, v.err())
	}
	again := topReport("z", 1, commands(10)) // another process
	again.address = "a:9380"
	if r := w.look([]topAnswer{again}).of(t, "acme"); r.known || r.Ops != 0 || r.P50 != nil || r.rate(r.Ops) != "-" {
		t.Errorf("after the restart: %+v", r)
	}
	again.report = topReport("z", 3, commands(30)).report
	if r := w.look([]topAnswer{again}).of(t, "acme"); !r.known || r.Ops != 10 {
		t.Errorf("afterwards: %+v", r)
	}
	// Nothing of this should happen, and does no harm.
	again.report = topReport("z", 5, commands(20)).report
	if r := w.look([]topAnswer{again}).of(t, "acme"); r.Ops != 0 || r.P50 != nil {
		t.Errorf("a counter that went down: %+v", r)
	}
	if r := w.look([]topAnswer{again}).of(t, "acme"); r.known || math.IsNaN(r.Ops) {
		t.Errorf("no time has passed: %+v", r)
	}
}

// One proxy that did not answer for a while is compared with its last answer, over the time in between.
func TestTopGap(t *testing.T) {
	w := newTopWatch()
	w.look([]topAnswer{topReport("a", 10, admin.TenantReport{Tenant: "x", Commands: 100})})
	w.look([]topAnswer{{address: "a:9380", err: errors.New("timeout")}})
	if r := w.look([]topAnswer{topReport("a", 20, admin.TenantReport{Tenant: "x", Commands: 200})}).of(t, "x"); r.Ops != 10 {
		t.Errorf("%+v", r)
	}
}

// A proxy that is named twice counts once.
func TestTopSameProxy(t *testing.T) {
	w := newTopWatch()
	for i, want := range []float64{0, 5} {
		one := topReport("a", float64(10+10*i), admin.TenantReport{Tenant: "x", Commands: uint64(50 * i), Connections: 1})
		two := one
		two.address = "localhost:9380"
		if r := w.look([]topAnswer{one, two}).of(t, "x"); r.Ops != want || r.Connections != 1 {
			t.Errorf("%+v", r)
		}
	}
}

func TestTopQuantile(t *testing.T) {
	last := make([]uint64, topBuckets)
	last[topBuckets-1] = 1
	for _, c := range []struct {
		buckets []uint64
		share   float64
		want    float64 // -1: none
	}{
		{nil, 0.5, -1}, {[]uint64{0, 0}, 0.5, -1},
		{[]uint64{10}, 0.5, 0.5}, {[]uint64{0, 10}, 0.5, 1.5}, {[]uint64{0, 0, 0, 4}, 0.25, 5}, {[]uint64{0, 0, 0, 4}, 1, 8},
		{[]uint64{50, 0, 0, 50}, 0.5, 1}, {[]uint64{50, 0, 0, 50}, 0.51, 4.08}, {[]uint64{99, 0, 0, 0, 0, 1}, 0.99, 1},
		{last, 0.5, math.Ldexp(1, topBuckets-2)},
	} {
		got := topQuantile(c.buckets, c.share)
		if c.want < 0 && got != nil || c.want >= 0 && (got == nil || math.Abs(*got-c.want) > 1e-9) {
			t.Errorf("%v of %v: %v, want %v", c.share, c.buckets, got, c.want)
		}
	}
}

func TestTopNumbers(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 0.04: "0.0", 0.5: "0.5", 9: "9", 9.94: "9.9", 9.96: "10", 123.4: "123", 9999: "9999", 10000: "10.0k", 99949: "99.9k", 123456: "123k", 999999: "1.0M", 5e15: "5.0P"} {
		if got := topCount(n); got != want {
			t.Errorf("%v: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[float64]string{0: "0B", 1023: "1023B", 1024: "1.0K", 100 << 10: "100K", 1<<20 - 1: "1.0M", 1 << 40: "1.0T"} {
		if got := topBytes(n); got != want {
			t.Errorf("%v bytes: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[float64]string{0.4: "0us", 85: "85us", 999.4: "999us", 999.6: "1.0ms", 12345: "12.3ms", 123456: "123ms", 4.2e6: "4.2s", 5e9: "5000s"} {
		if got := topTime(&n); got != want {
			t.Errorf("%v us: %s, want %s", n, got, want)
		}
	}
}

func number(n float64) *float64 { return &n }

// topSample is a view of three tenants and a stranger.
func topSample() *topView {
	return &topView{
		At:      time.Date(2026, 11, 23, 12, 30, 15, 0, time.UTC),
		Proxies: []topProxy{{Address: "10.0.0.1:9380", ID: "a"}, {Address: "10.0.0.2:9380", ID: "b"}},
		Rows: []topRow{
			{Tenant: "", known: true, Ops: 2, In: 80, Out: 10, Errors: 2, Connections: 1},
			{Tenant: "globex", known: true, Ops: 80000, In: 3.3 * (1 << 20), Out: 391 << 10, P50: number(121), P99: number(958), HitRate: number(0.987),
				Memory: number(15 << 20), Keys: number(123456), Connections: 20, Throttled: 1500, Usage: map[string]topUse{"ops_per_second": {80000, 80000}, "memory": {15, 16}}},
			{Tenant: "acme", known: true, Ops: 22160, In: 737 << 10, Out: 108 << 10, P50: number(125), P99: number(1988), HitRate: number(1),
				Memory: number(88), Keys: number(1), Connections: 120, Refused: 0.5, Usage: map[string]topUse{"connections": {120, 150}, "keys": {1, 0}}},
			{Tenant: "a-tenant-with-a-name-that-is-as-long-as-names-are-seldom"},
		},
	}
}

func TestTopTable(t *testing.T) {
	v := topSample()
	v.arrange("", "ops", false)
	want := `
TENANT                                                    OPS/Sv    IN/S   OUT/S     P50     P99  HIT%  MEMORY THROT/S REFUS/S  CONNS    KEYS  ERR/S FULLEST QUOTA
globex                                                     80.0k    3.3M    391K   121us   958us  98.7   15.0M    1500       0     20    123k      0 100% ops_per_second
acme                                                       22.2k    737K    108K   125us   2.0ms 100.0     88B       0     0.5    120       1      0 80% connections
(no login)                                                     2     80B     10B       -       -     -       -       0       0      1       -      2 -
a-tenant-with-a-name-that-is-as-long-as-names-are-seldom       -       -       -       -       -     -       -       -       -      0       -      - -
`
	if got := "\n" + v.table(); got != want {
		t.Errorf("%s\nwant%s", got, want)
	}
}

func TestTopArrange(t *testing.T) {
	for _, c := range []struct {
		filter, by string
		reverse    bool
		want       string
	}{
		{"", "tenant", false, " a-tenant-with-a-name-that-is-as-long-as-names-are-seldom acme globex"},
		{"", "tenant", true, "globex acme a-tenant-with-a-name-that-is-as-long-as-names-are-seldom "},
		{"*e*", "p99", false, "acme globex a-tenant-with-a-name-that-is-as-long-as-names-are-seldom"},
		{"e", "p99", true, "a-tenant-with-a-name-that-is-as-long-as-names-are-seldom globex acme"},
		{"g", "quota", false, "globex  a-tenant-with-a-name-that-is-as-long-as-names-are-seldom"},
		{"acm?", "hit", false, "acme"},
		{"acm", "hit", false, "acme"},
		{"?cm", "hit", false, ""},
		{"[", "hit", false, ""},
		{"login", "ops", false, ""},
	} {
		v := topSample()
		v.arrange(c.filter, c.by, c.reverse)
		var names []string
		for i := range v.Rows {
			names = append(names, v.Rows[i].Tenant)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	for _, key := range topColumnKeys() { // none of them panics on what is not known
		topSample().arrange("", key, false)
	}
}

func TestTopJSON(t *testing.T) {
	v := topSample()
	v.arrange("acme", "ops", false)
	var b bytes.Buffer
	if err := v.printJSON(&b); err != nil || strings.Count(b.String(), "\n") != 1 {
		t.Fatalf("%q, %v", b.String(), err)
	}
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	row := got["tenants"].([]any)[0].(map[string]any)
	want := map[string]any{"tenant": "acme", "ops_per_second": 22160.0, "hit_rate": 1.0, "p99_us": 1988.0, "memory_bytes": 88.0, "refused_per_second": 0.5, "connections": 120.0}
	for name, w := range want {
		if row[name] != w {
			t.Errorf("%s: %v, want %v", name, row[name], w)
		}
	}
	if fmt.Sprint(row["usage"].(map[string]any)["connections"]) != "map[limit:150 used:120]" {
		t.Errorf("%v", row["usage"])
	}
	b.Reset()
	if (&topView{}).printJSON(&b); !strings.Contains(b.String(), `"tenants":[]`) {
		t.Errorf("%q", b.String())
	}
}
