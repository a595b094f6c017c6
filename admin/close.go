package admin

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"riptide-proxy/config"
	"riptide-proxy/quota/billing"
	"riptide-proxy/quota/ledger"
)

// ClosedPeriod is what the audit log has of a period that was closed.
type ClosedPeriod struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Bills int    `json:"bills"` // that are kept
}

// closeBills closes a period and answers with its bills, which never change from then on. It takes the parameters of bills, of which
// the period has to be given.
func closeBills(a *api, w http.ResponseWriter, c *call) error {
	q := c.URL.Query()
	if q.Get("from") == "" || q.Get("to") == "" {
		return problem("bad-request", "say what to close, with from and to")
	}
	ask, err := readAsk(c)
	if err != nil {
		return err
	}
	if config.ValidTenantID(ask.tenant) {
		c.tenant = ask.tenant
	}
	bills, err := a.o.Usage.CloseBills(c.Context(), &billing.Query{From: ask.from, To: ask.to, Tenant: ask.tenant, Tags: ask.tags})
	if bills != nil {
		c.after = ClosedPeriod{From: q.Get("from"), To: q.Get("to"), Bills: len(bills)}
	}
	for _, not := range []error{billing.ErrOpen, billing.ErrUnpriced, ledger.ErrOverlap} {
		if errors.Is(err, not) {
			return notClosed(bills, err)
		}
	}
	var out bytes.Buffer
	if err == nil {
		err = billing.Write(&out, ask.format, bills)
	}
	return ask.answer(w, &out, err)
}

// notClosed tells why some bills, or all of them, can not become final.
func notClosed(bills []*billing.Bill, err error) *Problem {
	p := problem("conflict", "nothing was closed")
	if bills != nil {
		p.Detail = fmt.Sprintf("%d bills are kept, these are not", len(bills))
	}
	for text := range strings.Lines(err.Error()) { // one for each tenant
		p.Errors = append(p.Errors, Fault{Text: strings.TrimSpace(text)})
	}
	return p
}
