package admin

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"riptide-proxy/quota/billing"
	"riptide-proxy/quota/ledger"
)

// A period is closed by who may, once it is said which, and that is told.
func TestCloseBills(t *testing.T) {
	w := newWorld(t, "")
	u := w.api.o.Usage.(*usages)
	const month = "/billing/close?from=2026-01&to=2026-02"
	r := w.want(200, "admin", "POST", month+"&tenant=acme", "")
	var bills []billing.Bill
	if unmarshal(t, r.body, &bills); len(bills) != 1 || !bills[0].Final || u.bills.Tenant != "acme" || u.bills.To-u.bills.From != 31*24 {
		t.Errorf("%+v, asked for %+v", bills, u.bills)
	}
	events, _ := w.told()
	if e := events[0]; e.Action != "closeBills" || e.Who.Name != "admin" || e.Tenant != "acme" || e.After != (ClosedPeriod{"2026-01", "2026-02", 1}) {
		t.Errorf("%+v", e)
	}
	if r := w.want(200, "admin", "POST", month+"&format=csv", ""); r.header.Get("Content-Type") != "text/csv; charset=utf-8" {
		t.Error(r.header)
	}
	u.bills = nil
	w.want(403, "operator", "POST", month, "")
	w.want(403, "acme-admin", "POST", month+"&tenant=acme", "") // it is the operator's bill
	for _, bad := range []string{"", "?from=2026-01", "?to=2026-01", "?from=&to=2026-01", "?from=2026-01&to=2026-02&by=day", "?from=2026-02&to=2026-01"} {
		w.want(400, "admin", "POST", "/billing/close"+bad, "")
	}
	w.want(400, "admin", "POST", month, `{"from":"2025-01"}`)
	w.want(405, "admin", "GET", month, "")
	if u.bills != nil {
		t.Errorf("%+v was closed", u.bills)
	}
	for err, want := range map[error]int{ledger.ErrUnknownTenant: 404, billing.ErrNoCurrency: 404, context.DeadlineExceeded: 502, billing.ErrOpen: 409} {
		u.err = err
		w.want(want, "admin", "POST", month, "")
	}
	u.kept = true
	u.err = errors.Join(fmt.Errorf("bill of tenant a: %w: gone", billing.ErrUnpriced), fmt.Errorf("bill of tenant b: %w", ledger.ErrOverlap))
	p := w.want(409, "admin", "POST", month, "").problem()
	if p.Detail != "1 bills are kept, these are not" || len(p.Errors) != 2 || p.Errors[1].Text != "bill of tenant b: "+ledger.ErrOverlap.Error() {
		t.Errorf("%+v", p)
	}
}
