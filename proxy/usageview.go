package proxy

import (
	"context"

	"riptide-proxy/quota/billing"
	"riptide-proxy/quota/ledger"
)

// UsageView answers questions about what tenants have used, over all proxies.
type UsageView struct{ srv *Server }

// Usage is the server's ledger for those who ask. Nil: none is kept.
func (s *Server) Usage() *UsageView {
	if s.usage == nil {
		return nil
	}
	return &UsageView{s}
}

// Usage returns lines as the query wants them. The error may be a
// ledger.ErrUnknownTenant.
func (v *UsageView) Usage(ctx context.Context, q *ledger.Query) ([]*ledger.Line, error) {
	return q.Run(ctx, v.srv.usage.ledger.Store(), v.srv.conf().cfg)
}

// Bills returns a period's bills. The error may be a ledger.ErrUnknownTenant or
// billing.ErrNoCurrency.
func (v *UsageView) Bills(ctx context.Context, q *billing.Query) ([]*billing.Bill, error) {
	return q.Run(ctx, v.srv.usage.ledger.Store(), v.srv.conf().cfg)
}

// CloseBills closes a period and returns the bills that are kept of it, those also that could be kept when others
// could not. The error may be one of Bills, billing.ErrOpen, billing.ErrUnpriced or ledger.ErrOverlap.
func (v *UsageView) CloseBills(ctx context.Context, q *billing.Query) ([]*billing.Bill, error) {
	return q.Close(ctx, v.srv.usage.ledger.Store(), v.srv.conf().cfg)
}

// Counted is what this process has put into the ledger.
func (v *UsageView) Counted() (map[string]ledger.Figures, map[string]ledger.Levels) {
	return v.srv.usage.ledger.Counted()
}
