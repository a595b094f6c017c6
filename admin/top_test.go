package admin

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

func report(t *testing.T, p Proxy, query string) *TenantsReport {
	t.Helper()
	status, body, header := get(t, p, "GET", TenantsPath+query)
	if status != 200 || header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", status, header)
	}
	r := new(TenantsReport)
	if err := json.Unmarshal([]byte(body), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTenantsReport(t *testing.T) {
	r := report(t, sample(), "")
	if r.Version != 1 || r.Proxy != "0123456789abcdef" || r.UnixMillis == 0 || r.Uptime < 3600 || r.Uptime > 3700 || !r.UpstreamUp || r.Clients != 5 || r.Rejected != 8 {
		t.Errorf("%+v", r)
	}
	want := []TenantReport{
		{Tenant: "", Connections: 1, Commands: 6, Errors: 1, Latency: []uint64{}, Usage: []UsageReport{}},
		{Tenant: "acme", Plan: "pro", Connections: 4, Commands: 9, Errors: 10, BytesIn: 1000, BytesOut: 2000, Hits: 40, Misses: 10, Throttled: 9, Refused: 3,
			Latency: []uint64{1, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
			Usage:   []UsageReport{{"keys", 30, 0}, {"memory", 512, 2048}, {"ops_per_second", 120, 100}}},
		{Tenant: "globex", Latency: []uint64{}, Usage: []UsageReport{{"connections", 0, 5}}}, // whom nobody has come for
	}
	if !reflect.DeepEqual(r.Tenants, want) {
		t.Errorf("%+v\nwant %+v", r.Tenants, want)
	}
	if r := report(t, sample(), "?tenant=globex&tenant=nosuch"); len(r.Tenants) != 1 || r.Tenants[0].Tenant != "globex" {
		t.Errorf("of one: %+v", r.Tenants)
	}
}

func TestTenantsReportFails(t *testing.T) {
	if status, body, _ := get(t, &stub{err: errors.New("secret")}, "GET", TenantsPath); status != 503 || body != "an event loop does not answer\n" {
		t.Errorf("%d %q", status, body)
	}
	if status, _, _ := get(t, sample(), "POST", TenantsPath); status != 405 {
		t.Errorf("POST: %d", status)
	}
}
