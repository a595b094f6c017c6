package config

import (
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Usage says how the ledger of what tenants use is kept in the upstream.
type Usage struct {
	// Flush is how often a proxy reports what it has counted: as much is lost when
	// one is killed. 100ms to 10m; default 5s. 0s: there is no ledger.
	Flush Duration `yaml:"flush"`

	// Grace is for how long after its end an hour takes reports, before it is
	// closed for ever. It has to be longer than Flush and than clocks differ. All proxies of an
	// upstream must have the same. Default 10m.
	Grace Duration `yaml:"grace"`

	// Retention is how long hours are kept. At least 24h; default 9600h, which is 400
	// days. 0s: for ever.
	Retention Duration `yaml:"retention"`

	// Spool is a folder for what can not be reported while the upstream is away, so
	// that it outlives the process; a relative path starts at the folder of the
	// configuration file. Empty, the default: usage in state_dir, or in memory only if there is
	// none either.
	Spool string `yaml:"spool"`
}

// Billing says what bills are made of, besides the prices in the plans.
type Billing struct {
	// Currency is the code of ISO 4217 that all prices are in. Empty, the default: there are no bills.
	Currency string `yaml:"currency"`

	// Digits is how many decimal places a bill's total is rounded to. Absent, or -1:
	// those of the currency's smallest unit.
	Digits int `yaml:"digits"`
}

func defaultUsage() Usage {
	return Usage{Flush: Duration(5 * time.Second), Grace: Duration(10 * time.Minute), Retention: Duration(9600 * time.Hour)}
}

// Units are what prices can be given for.
var Units = []string{
	"base",                                                     // each period
	"operations",                                               // each million
	"reads", "writes", "scripts", "pubsub", "other_operations", // each million of that class; takes the place of operations
	"ingress", "egress", // each GiB of requests and replies
	"memory", "storage", // each GiB for an hour
	"connections", // each for an hour
}

// Amount is a decimal number, kept as exactly as it is written. Its zero value is 0.
type Amount struct{ text string }

var decimal = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]{1,12})?$`)

// ParseAmount reads a decimal number that is not negative, like 12 or 0.0035.
func ParseAmount(text string) (Amount, error) {
	if !decimal.MatchString(text) {
		return Amount{}, &invalid{text, "is not an amount (examples: 12, 0.0035; up to 15 digits before and 12 after the point)"}
	}
	return Amount{text}, nil
}

// Rat is its exact value.
func (a Amount) Rat() *big.Rat {
	r, ok := new(big.Rat).SetString(a.text)
	if !ok {
		return new(big.Rat)
	}
	return r
}

// String is the amount as it was written.
func (a Amount) String() string {
	if a.text == "" {
		return "0"
	}
	return a.text
}

// UnmarshalText lets YAML and JSON read an amount.
func (a *Amount) UnmarshalText(text []byte) error {
	amount, err := ParseAmount(string(text))
	if err == nil {
		*a = amount
	}
	return err
}

// MarshalText writes what String writes.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// minorDigits are those of currencies that have not two.
var minorDigits = map[string]int{
	"BHD": 3, "CLP": 0, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0, "KRW": 0, "KWD": 3, "LYD": 3, "OMR": 3, "PYG": 0, "TND": 3, "UGX": 0, "VND": 0, "XAF": 0, "XOF": 0,
}

// Places is how many decimal places a bill's total has.
func (b Billing) Places() int {
	if b.Digits >= 0 {
		return b.Digits
	}
	if n, odd := minorDigits[b.Currency]; odd {
		return n
	}
	return 2
}

var (
	currency = regexp.MustCompile(`^[A-Z]{3}$`)
	tagName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,62}$`)
)

// What a tenant's tags may be, since they are in every row that is printed.
const (
	maxTags     = 32
	maxTagValue = 256 // bytes
)

func (l *loader) checkUsage() {
	s, u, b := l.main, &l.config.Usage, &l.config.Billing
	if u.Flush != 0 {
		within(s, "usage.flush", u.Flush, Duration(100*time.Millisecond), Duration(10*time.Minute))
	}
	within(s, "usage.grace", u.Grace, Duration(time.Second), Duration(24*time.Hour))
	if u.Grace < 2*u.Flush && !s.bad["usage.grace"] && !s.bad["usage.flush"] {
		s.errorf("usage.grace", "%v is less than two times usage.flush (%v), so hours would be closed before they are reported", u.Grace, u.Flush)
	}
	if u.Retention != 0 && u.Retention < Duration(24*time.Hour) {
		s.errorf("usage.retention", "%v is less than a day (24h); 0s keeps usage for ever", u.Retention)
	}
	if b.Currency != "" && !currency.MatchString(b.Currency) {
		s.errorf("billing.currency", "%s is not a currency (examples: EUR, USD)", s.quote("billing.currency", b.Currency))
	}
	within(s, "billing.digits", b.Digits, -1, 9)
	if b.Currency != "" && u.Flush == 0 {
		s.errorf("billing", "there are no bills without a ledger (usage.flush: 0s)")
	}
}

// checkPrices looks at what a plan costs.
func (l *loader) checkPrices(path string, p *Plan) {
	s := l.main
	if prices := join(path, "prices"); len(p.Prices) > 0 && l.config.Billing.Currency == "" && !s.bad["billing.currency"] {
		s.errorf(prices, "there are no bills without billing.currency")
	}
	for _, given := range []struct {
		key string
		of  map[string]Amount
	}{{"prices", p.Prices}, {"included", p.Included}} {
		at := join(path, given.key)
		for _, unit := range sorted(s, at, given.of) {
			switch {
			case !slices.Contains(Units, unit):
				s.errorf(join(at, unit), "%s is not a unit (%s)%s", quote(unit), strings.Join(Units, ", "), didYouMean(unit, Units))
			case given.key == "included" && unit == "base":
				s.errorf(join(at, unit), "the base price is for the period, of which nothing can be included")
			case given.key == "included" && !p.prices(unit):
				s.errorf(join(at, unit), "there is no price for it, so it costs nothing anyway")
			}
		}
	}
}

// prices tells whether the plan has a price for a unit.
func (p *Plan) prices(unit string) bool {
	_, has := p.Prices[unit]
	return has
}

func (s *source) checkTags(path string, tags map[string]string) {
	if len(tags) > maxTags {
		s.errorf(path, "there are %d tags, %d at most", len(tags), maxTags)
	}
	for _, name := range sorted(s, path, tags) {
		at, value := join(path, name), tags[name]
		switch {
		case !tagName.MatchString(name):
			s.errorf(at, "%s is not a tag's name (1 to 63 of A-Z a-z 0-9 _ . -, the first a letter)", quote(name))
		case s.bad[at]:
		case value == "":
			s.errorf(at, "the tag has no value")
		case len(value) > maxTagValue:
			s.errorf(at, "the tag's value is longer than %d bytes", maxTagValue)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
			s.errorf(at, "the tag's value has a control character")
		}
	}
}
