package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"riptide-proxy/quota/billing"
	"riptide-proxy/quota/ledger"
)

// Usage tells what tenants have used. A proxy.UsageView does.
type Usage interface {
	// Usage answers a query; the error may be a ledger.ErrUnknownTenant.
	Usage(ctx context.Context, q *ledger.Query) ([]*ledger.Line, error)
	// Bills are those of a period; the error may also be billing.ErrNoCurrency.
	Bills(ctx context.Context, q *billing.Query) ([]*billing.Bill, error)
	// CloseBills closes a period for ever. The error may also be billing.ErrOpen or, with the bills that are kept all the
	// same, billing.ErrUnpriced and ledger.ErrOverlap.
	CloseBills(ctx context.Context, q *billing.Query) ([]*billing.Bill, error)
	// Counted is what this process has counted of each tenant.
	Counted() (map[string]ledger.Figures, map[string]ledger.Levels)
}

// showUsage serves usage. The parameters are those of riptide-proxy usage; the
// format is json without one.
func showUsage(a *api, w http.ResponseWriter, c *call) error {
	ask, err := readAsk(c)
	if err != nil {
		return err
	}
	lines, err := a.o.Usage.Usage(c.Context(), &ledger.Query{From: ask.from, To: ask.to, Tenant: ask.tenant, By: ask.by, Tags: ask.tags})
	var out bytes.Buffer
	if err == nil {
		err = ledger.Write(&out, ask.format, lines)
	}
	return ask.answer(w, &out, err)
}

// showBills serves bills, with the same parameters but for by.
func showBills(a *api, w http.ResponseWriter, c *call) error {
	ask, err := readAsk(c)
	if err != nil {
		return err
	}
	bills, err := a.o.Usage.Bills(c.Context(), &billing.Query{From: ask.from, To: ask.to, Tenant: ask.tenant, Tags: ask.tags})
	var out bytes.Buffer
	if err == nil {
		err = billing.Write(&out, ask.format, bills)
	}
	return ask.answer(w, &out, err)
}

// ask is what a request asks for.
type ask struct {
	from, to ledger.Hour
	by       ledger.By
	format   ledger.Format
	tags     map[string]string
	tenant   string // empty: all
}

// readAsk reads the parameters. A token for one tenant asks about that one.
func readAsk(c *call) (*ask, error) {
	a, err := parseAsk(c.Request)
	if err != nil {
		return nil, problem("bad-request", err.Error())
	}
	if own := c.who.Tenant; own != "" {
		if a.tenant != "" && a.tenant != own {
			return nil, problem("forbidden", "it is a token for one tenant")
		}
		a.tenant = own
	}
	return a, nil
}

func parseAsk(r *http.Request) (*ask, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	a := &ask{by: ledger.ByTotal, format: ledger.JSON, tags: make(map[string]string), tenant: r.PathValue("id")}
	switch tenant := q.Get("tenant"); {
	case !q.Has("tenant"):
	case tenant == "":
		return nil, errors.New("tenant is empty")
	case a.tenant != "" && a.tenant != tenant:
		return nil, fmt.Errorf("tenant is %q, and in the path %q", tenant, a.tenant)
	default:
		a.tenant = tenant
	}
	if a.from, a.to, err = ledger.ParseSpan(q.Get("from"), q.Get("to"), time.Now()); err != nil {
		return nil, err
	}
	if text := q.Get("by"); text != "" {
		if a.by, err = ledger.ParseBy(text); err != nil {
			return nil, err
		}
	}
	if text := q.Get("format"); text != "" {
		if a.format, err = ledger.ParseFormat(text); err != nil {
			return nil, err
		}
	}
	for _, text := range q["tag"] {
		name, value, err := ledger.ParseTag(text)
		if err != nil {
			return nil, err
		}
		a.tags[name] = value
	}
	return a, nil
}

var contentTypes = map[ledger.Format]string{
	ledger.JSON: "application/json", ledger.CSV: "text/csv; charset=utf-8", ledger.Table: "text/plain; charset=utf-8",
}

func (a *ask) answer(w http.ResponseWriter, out *bytes.Buffer, err error) error {
	switch {
	case errors.Is(err, ledger.ErrUnknownTenant), errors.Is(err, billing.ErrNoCurrency):
		return problem("not-found", err.Error())
	case err != nil:
		return problem("upstream", err.Error())
	}
	w.Header().Set("Content-Type", contentTypes[a.format])
	_, _ = out.WriteTo(w) // a client that has gone away
	return nil
}
