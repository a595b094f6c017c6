// Package billing makes bills of usage and prices. All is computed with exact
// fractions; the only roundings are those of Round.
package billing

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/quota/ledger"
)

// Bill is what a tenant's usage in a period costs.
type Bill struct {
	Tenant   string            `json:"tenant"`
	Tags     map[string]string `json:"tags"`
	From     time.Time         `json:"from"`
	To       time.Time         `json:"to"`
	Currency string            `json:"currency"`
	// Final bills are kept and never change. Others are of periods that are not
	// closed, or were made on the way.
	Final bool      `json:"final"`
	Made  time.Time `json:"made"`
	Items []Item    `json:"items"`
	Total Decimal   `json:"total"`
	// Unpriced are plans that were in force and that the configuration does not have.
	Unpriced []string `json:"unpriced,omitempty"`
}

// Item is one unit's usage under one plan.
type Item struct {
	Plan     string  `json:"plan"`
	Unit     string  `json:"unit"`
	Used     Decimal `json:"used"`     // shown with 9 decimals
	Included Decimal `json:"included"` // likewise
	Billed   Decimal `json:"billed"`   // likewise
	Price    string  `json:"price"`
	Amount   Decimal `json:"amount"` // with 8 decimals; the total is the sum of these
}

// Decimals that are shown.
const (
	quantityPlaces = 9
	amountPlaces   = 8
)

// Decimal is a number in decimals, as it is written on a bill.
type Decimal string

// Round rounds to a number of decimals, half to even.
func Round(r *big.Rat, places int) Decimal { return Decimal(roundRat(r, places).FloatString(places)) }

// roundRat is the value of Round.
func roundRat(r *big.Rat, places int) *big.Rat {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)
	scaled := new(big.Rat).Mul(r, new(big.Rat).SetInt(scale))
	whole, rest := new(big.Int).DivMod(scaled.Num(), scaled.Denom(), new(big.Int)) // rest is not negative
	twice := rest.Lsh(rest, 1)
	if c := twice.Cmp(scaled.Denom()); c > 0 || c == 0 && whole.Bit(0) == 1 {
		whole.Add(whole, big.NewInt(1))
	}
	return new(big.Rat).SetFrac(whole, scale)
}

// Units a price is for, of what the ledger counts.
var (
	million  = big.NewRat(1_000_000, 1)
	gib      = big.NewRat(1<<30, 1)
	gibHours = new(big.Rat).Mul(gib, big.NewRat(60, 1)) // of byte-minutes
	hour     = big.NewRat(3_600_000, 1)                 // of milliseconds
)

// Quantities are usage in the units that prices are for. Operations are all, and
// the classes of commands are parts of them.
func Quantities(f *ledger.Figures, memory, storage int64) map[string]*big.Rat {
	q := make(map[string]*big.Rat, len(config.Units))
	for _, of := range []struct {
		unit string
		n    int64
		per  *big.Rat
	}{
		{"operations", f.Operations(), million}, {"reads", f.Read, million}, {"writes", f.Write, million}, {"scripts", f.Script, million},
		{"pubsub", f.PubSub, million}, {"other_operations", f.Other, million},
		{"ingress", f.In, gib}, {"egress", f.Out, gib},
		{"memory", memory, gibHours}, {"storage", storage, gibHours},
		{"connections", f.ConnMillis, hour},
	} {
		q[of.unit] = new(big.Rat).Quo(new(big.Rat).SetInt64(of.n), of.per)
	}
	return q
}

// classes are the units that are parts of operations.
var classes = []string{"reads", "writes", "scripts", "pubsub", "other_operations"}

// Make makes the bill of a tenant's rows in [from, to), with the prices of now. plan is the
// one of a tenant that has no rows.
func Make(cfg *config.Config, tenant, plan string, rows []*ledger.Row, from, to ledger.Hour, now time.Time) *Bill {
	b := &Bill{
		Tenant: tenant, Tags: map[string]string{}, From: from.Start(), To: to.Start(),
		Currency: cfg.Billing.Currency, Made: now.UTC().Truncate(time.Second), Items: []Item{},
	}
	if t := cfg.Tenants[tenant]; t != nil && t.Tags != nil {
		b.Tags = t.Tags
	}
	sum := new(big.Rat)
	shares := split(rows, plan, from, to)
	for _, name := range slices.Sorted(maps.Keys(shares)) {
		p := cfg.Plans[name]
		if p == nil {
			if name != "" {
				b.Unpriced = append(b.Unpriced, name)
			}
			continue // without a plan there are no prices
		}
		s := shares[name]
		share := big.NewRat(s.hours, int64(to-from))
		for _, item := range items(p, s, share) {
			item.Plan = name
			sum.Add(sum, item.exact)
			b.Items = append(b.Items, item.Item)
		}
	}
	b.Total = Round(sum, cfg.Billing.Places())
	return b
}

// part is what of a period was under one plan.
type part struct {
	hours           int64
	figures         ledger.Figures
	memory, storage int64
}

// split tells the parts of a period apart. An hour without usage is under the plan of the
// hour with usage before it, and those at the beginning under that of the first.
func split(rows []*ledger.Row, plan string, from, to ledger.Hour) map[string]*part {
	parts := make(map[string]*part)
	of := func(name string) *part {
		p := parts[name]
		if p == nil {
			p = new(part)
			parts[name] = p
		}
		return p
	}
	at := from
	for i, r := range rows {
		if i > 0 {
			plan = rows[i-1].Plan
		} else {
			plan = r.Plan
		}
		of(plan).hours += int64(r.Hour - at)
		at = r.Hour
		p := of(r.Plan)
		p.figures.Accumulate(&r.Figures)
		p.memory += r.Memory.Sum
		p.storage += r.Storage.Sum
		plan = r.Plan
	}
	of(plan).hours += int64(to - at)
	return parts
}

// priced is an item with its amount as a number.
type priced struct {
	Item
	exact *big.Rat
}

// items are those of one plan, in the order of config.Units.
func items(p *config.Plan, s *part, share *big.Rat) []priced {
	used := Quantities(&s.figures, s.memory, s.storage)
	for _, class := range classes {
		if _, own := p.Prices[class]; own { // so it is not one of the others
			used["operations"].Sub(used["operations"], used[class])
		}
	}
	used["base"] = share
	var all []priced
	for _, unit := range config.Units {
		price, has := p.Prices[unit]
		if !has {
			continue
		}
		included := new(big.Rat).Mul(p.Included[unit].Rat(), share)
		billed := new(big.Rat).Sub(used[unit], included)
		if billed.Sign() < 0 {
			billed.SetInt64(0)
		}
		amount := roundRat(new(big.Rat).Mul(billed, price.Rat()), amountPlaces)
		all = append(all, priced{Item{
			Unit: unit, Used: Round(used[unit], quantityPlaces), Included: Round(included, quantityPlaces), Billed: Round(billed, quantityPlaces),
			Price: price.String(), Amount: Round(amount, amountPlaces),
		}, amount})
	}
	return all
}

// Period is a period's name in the upstream.
func Period(from, to ledger.Hour) string { return fmt.Sprintf("%s-%s", from, to) }
