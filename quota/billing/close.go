package billing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/quota/ledger"
)

var (
	// ErrNoCurrency tells that the configuration does not say what money is.
	ErrNoCurrency = errors.New("there are no bills without billing.currency")
	// ErrOpen tells that a period still takes usage.
	ErrOpen = errors.New("the period can not be closed yet: it takes reports until usage.grace after its end")
	// ErrUnpriced tells that a bill can not become final since a plan is gone.
	ErrUnpriced = errors.New("the configuration does not have the plan any more, so its prices are not known")
)

// Query asks for bills.
type Query struct {
	From, To ledger.Hour // To is not in it
	Tenant   string      // empty: all
	Tags     map[string]string
}

// Run returns the bills of a period, by tenant: the final ones if they are kept,
// others as of now. Tenants that have neither usage nor a plan have none.
func (q *Query) Run(ctx context.Context, s *ledger.Store, cfg *config.Config) ([]*Bill, error) {
	return q.each(ctx, s, cfg, func(id, root string) (*Bill, error) {
		if b, err := kept(ctx, s, root, q.From, q.To); b != nil || err != nil {
			return b, err
		}
		return preliminary(ctx, s, cfg, id, root, q.From, q.To)
	})
}

// Close closes a period and keeps its bills. Bills that are kept already
// stay what they are.
func (q *Query) Close(ctx context.Context, s *ledger.Store, cfg *config.Config) ([]*Bill, error) {
	open, err := s.ClosedBefore(ctx)
	if err != nil {
		return nil, err
	}
	if q.To > open {
		return nil, ErrOpen
	}
	return q.each(ctx, s, cfg, func(id, root string) (*Bill, error) { return closeOne(ctx, s, cfg, id, root, q.From, q.To) })
}

// each makes a bill for every tenant that the query is for. What can not be made is
// told with the bills that can.
func (q *Query) each(ctx context.Context, s *ledger.Store, cfg *config.Config, make func(id, root string) (*Bill, error)) ([]*Bill, error) {
	if cfg.Billing.Currency == "" {
		return nil, ErrNoCurrency
	}
	tenants, err := ledger.Chosen(ctx, s, cfg, q.Tenant, q.Tags)
	if err != nil {
		return nil, err
	}
	bills := []*Bill{}
	var failed []error
	for _, id := range slices.Sorted(maps.Keys(tenants)) {
		b, err := make(id, tenants[id])
		if err != nil {
			failed = append(failed, fmt.Errorf("bill of tenant %s: %w", id, err))
		} else if b != nil {
			bills = append(bills, b)
		}
	}
	return bills, errors.Join(failed...)
}

func kept(ctx context.Context, s *ledger.Store, root string, from, to ledger.Hour) (*Bill, error) {
	text, err := s.Bill(ctx, root, Period(from, to))
	if text == nil || err != nil {
		return nil, err
	}
	b := new(Bill)
	return b, json.Unmarshal(text, b)
}

// preliminary returns nil for a tenant that has nothing to be billed.
func preliminary(ctx context.Context, s *ledger.Store, cfg *config.Config, id, root string, from, to ledger.Hour) (*Bill, error) {
	rows, err := s.Rows(ctx, id, root, from, to)
	if err != nil {
		return nil, err
	}
	plan := ""
	if t := cfg.Tenants[id]; t != nil {
		plan = t.Plan
	}
	if len(rows) == 0 && plan == "" {
		return nil, nil
	}
	now, err := s.Now(ctx)
	if err != nil {
		return nil, err
	}
	return Make(cfg, id, plan, rows, from, to, now), nil
}

func closeOne(ctx context.Context, s *ledger.Store, cfg *config.Config, id, root string, from, to ledger.Hour) (*Bill, error) {
	if b, err := kept(ctx, s, root, from, to); b != nil || err != nil {
		return b, err
	}
	if _, err := s.Close(ctx, id, root, to); err != nil {
		return nil, err
	}
	b, err := preliminary(ctx, s, cfg, id, root, from, to)
	if b == nil || err != nil {
		return nil, err
	}
	if len(b.Unpriced) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrUnpriced, strings.Join(b.Unpriced, ", "))
	}
	b.Final = true
	text, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	if text, err = s.KeepBill(ctx, id, root, Period(from, to), text); err != nil {
		return nil, err
	}
	b = new(Bill)
	return b, json.Unmarshal(text, b)
}

// Closer keeps the bills of months that have passed, as one of a proxy's tasks.
type Closer struct {
	mu   sync.Mutex
	done ledger.Hour // up to where all was closed
}

// monthsBack is how far back a month without a bill is looked for, if no proxy ran
// when it ended.
const monthsBack = 12

// Run closes what can be closed. It looks once an hour, and only at months that
// have usage.
func (c *Closer) Run(ctx context.Context, s *ledger.Store, cfg *config.Config) error {
	if cfg.Billing.Currency == "" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	open, err := s.ClosedBefore(ctx)
	if err != nil || open == c.done {
		return err
	}
	tenants, err := ledger.Chosen(ctx, s, cfg, "", nil)
	if err != nil {
		return err
	}
	for id, root := range tenants {
		first, any, err := s.First(ctx, root)
		if err != nil {
			return err
		}
		if !any {
			continue
		}
		end := month(open)
		for range monthsBack {
			begin := month(end - 1)
			if end <= first {
				break
			}
			switch _, err := closeOne(ctx, s, cfg, id, root, begin, end); {
			case errors.Is(err, ErrUnpriced):
				slog.Warn("a month can not be billed", "tenant", id, "month", begin.Start().Format("2006-01"), "error", err)
			case errors.Is(err, ledger.ErrOverlap): // somebody bills other periods
			case err != nil:
				return err
			}
			end = begin
		}
	}
	c.done = open
	return nil
}

// month is the first hour of an hour's month.
func month(h ledger.Hour) ledger.Hour {
	t := h.Start()
	return ledger.HourOf(time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC))
}
