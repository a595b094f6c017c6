package admin

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"riptide-proxy/proxy"
	"riptide-proxy/quota/billing"
	"riptide-proxy/quota/ledger"
)

// usages tells what a test says, and keeps what it was asked.
type usages struct {
	asked *ledger.Query
	bills *billing.Query
	err   error
	kept  bool // some bills are, whatever fails
}

func (u *usages) Usage(_ context.Context, q *ledger.Query) ([]*ledger.Line, error) {
	u.asked = q
	return []*ledger.Line{{Tenant: "acme", Operations: 5, From: q.From.Start(), To: q.To.Start(), Tags: map[string]string{}}}, u.err
}

func (u *usages) Bills(_ context.Context, q *billing.Query) ([]*billing.Bill, error) {
	u.bills = q
	return []*billing.Bill{{Tenant: q.Tenant, Total: "1.25", Currency: "EUR", Items: []billing.Item{}, Tags: map[string]string{}}}, u.err
}

func (u *usages) CloseBills(ctx context.Context, q *billing.Query) ([]*billing.Bill, error) {
	if u.kept {
		return u.Bills(ctx, q)
	}
	u.bills = q
	if u.err != nil {
		return nil, u.err
	}
	return []*billing.Bill{{Tenant: "acme", Final: true, Total: "1.25", Currency: "EUR", Items: []billing.Item{}, Tags: map[string]string{}}}, nil
}

func (u *usages) Counted() (map[string]ledger.Figures, map[string]ledger.Levels) {
	return map[string]ledger.Figures{"acme": {Read: 1_500_000, In: 1 << 29}}, map[string]ledger.Levels{"acme": {Memory: 60 << 30}}
}

func TestUsage(t *testing.T) {
	u := &usages{}
	ask := func(path string) *httptest.ResponseRecorder {
		return locally(Options{Proxy: &stub{ready: true, stats: &proxy.Stats{}}, Usage: u}, "GET", path)
	}
	w := ask("/tenants/acme/usage?from=2026-11&to=2026-12&by=day&format=csv&tag=a=b")
	if w.Code != 200 || !strings.HasPrefix(w.Body.String(), "tenant,from,to,") || w.Header().Get("Content-Type") != "text/csv; charset=utf-8" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	from := ledger.HourOf(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	if q := u.asked; q.Tenant != "acme" || q.From != from || q.To != from+30*24 || q.By != ledger.ByDay || q.Tags["a"] != "b" {
		t.Errorf("asked for %+v", q)
	}
	if w = ask("/usage"); w.Code != 200 || !strings.Contains(w.Body.String(), `"operations": 5`) || u.asked.Tenant != "" || u.asked.By != ledger.ByTotal {
		t.Errorf("%d %s, asked for %+v", w.Code, w.Body, u.asked)
	}
	if w = ask("/usage?tenant=globex"); w.Code != 200 || u.asked.Tenant != "globex" {
		t.Errorf("%d, asked for %+v", w.Code, u.asked)
	}
	if w = ask("/tenants/acme/billing?from=2026-11&to=2026-12"); w.Code != 200 || !strings.Contains(w.Body.String(), `"total": "1.25"`) || u.bills.Tenant != "acme" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, bad := range []string{"by=week", "format=xml", "from=yesterday", "from=2026-12&to=2026-11", "tag=x", "from=1990&to=2026", "from=2026-11-23T15:30", "tenants=acme", "form=2026-11", "tenant=", "from=2026&from=2026-11", "by=day;format=csv", "from=%zz"} {
		for _, path := range []string{"/usage?", "/tenants/acme/usage?", "/tenants/acme/billing?", "/admin/tenants/acme/usage?"} {
			if w := ask(path + bad); w.Code != 400 {
				t.Errorf("%s%s: %d", path, bad, w.Code)
			}
		}
	}
	for path, want := range map[string]int{"/usage": 200, "/billing": 400, "/tenants/acme/billing": 400, "/admin/tenants/acme/billing": 400} { // bills have a period, not lines
		if w := ask(path + "?by=day"); w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for err, code := range map[error]int{ledger.ErrUnknownTenant: 404, billing.ErrNoCurrency: 404, context.DeadlineExceeded: 502} {
		u.err = err
		if w := ask("/tenants/acme/billing"); w.Code != code {
			t.Errorf("%v: %d", err, w.Code)
		}
	}
	body := ask("/metrics").Body.String()
	for _, want := range []string{
		`riptide_tenant_billing_units{tenant="acme",unit="operations"} 1.5`, `riptide_tenant_billing_units{tenant="acme",unit="reads"} 1.5`,
		`riptide_tenant_billing_units{tenant="acme",unit="ingress"} 0.5`, `riptide_tenant_billing_units{tenant="acme",unit="memory"} 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}
