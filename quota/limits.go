package quota

import (
	"maps"
	"slices"

	"riptide-proxy/command"
	"riptide-proxy/config"
)

// Limit is one rate that is limited, with a bucket of tokens of its own.
type Limit struct {
	Name  string  // of the bucket among the tenant's: "ops", "class:read:ops", "user:joe:in"
	Key   string  // in the configuration: "ops_per_second", "classes.read.ops_per_second"
	What  string  // as an error names it: "operations", "bytes in of user joe"
	Rate  float64 // tokens per second
	Burst float64 // tokens at once after a pause
	Unit  float64 // tokens below which lending is not worth a call: one operation, or 1 KiB
}

// RateLimits are all limited rates of a tenant. Each index points into All; -1 stands for no
// limit. It never changes once made.
type RateLimits struct {
	Tenant     string
	Key        string // of the buckets in their home
	All        []*Limit
	Own        Indexes
	Classes    [command.Classes]int // operations of the class
	HasClasses bool
	Users      map[string]Indexes
	ScriptCost float64 // operations that a script counts beside the one
	Delay      bool    // over a rate a command waits, instead of being refused
}

// Indexes are those of the limits that a tenant or one of its users has.
type Indexes struct{ Ops, In, Out int }

// NewRateLimits are those of a tenant whose keys begin with root; nil if no rate of it is limited.
func NewRateLimits(cfg *config.Config, tenant, root string) *RateLimits {
	q := cfg.QuotasOf(tenant)
	l := &RateLimits{Tenant: tenant, Key: root + "rates", Users: make(map[string]Indexes), ScriptCost: float64(q.ScriptCost), Delay: q.Over == config.Delay}
	l.Own = l.rates("", "", "", &q.Rates)
	for c := range command.Classes {
		name := c.String()
		l.Classes[c] = -1
		if r := q.Classes[name]; r != nil {
			l.Classes[c] = l.add("class:"+name+":ops", "classes."+name+".ops_per_second", "operations of class "+name, r.OpsPerSecond, r.OpsBurst, 1)
			l.HasClasses = l.HasClasses || l.Classes[c] >= 0
		}
	}
	if t := cfg.Tenants[tenant]; t != nil {
		for _, name := range slices.Sorted(maps.Keys(t.Users)) {
			r := t.Users[name].RatesOf()
			if at := l.rates("user:"+name+":", "users."+name+".", " of user "+name, &r); at != (Indexes{-1, -1, -1}) {
				l.Users[name] = at
			}
		}
	}
	if len(l.All) == 0 {
		return nil
	}
	return l
}

// Equal reports whether two have the same limits, in the same order.
func (l *RateLimits) Equal(o *RateLimits) bool {
	return l.Tenant == o.Tenant && l.Key == o.Key && l.Own == o.Own && l.Classes == o.Classes && l.ScriptCost == o.ScriptCost && l.Delay == o.Delay &&
		maps.Equal(l.Users, o.Users) && slices.EqualFunc(l.All, o.All, func(a, b *Limit) bool { return *a == *b })
}

// unitBytes is Limit.Unit of bytes.
const unitBytes = 1 << 10

func (l *RateLimits) rates(name, key, what string, r *config.Rates) Indexes {
	return Indexes{
		l.add(name+"ops", key+"ops_per_second", "operations"+what, r.OpsPerSecond, r.OpsBurst, 1),
		l.add(name+"in", key+"bytes_in_per_second", "bytes in"+what, int64(r.BytesInPerSecond), int64(r.BytesInBurst), unitBytes),
		l.add(name+"out", key+"bytes_out_per_second", "bytes out"+what, int64(r.BytesOutPerSecond), int64(r.BytesOutBurst), unitBytes),
	}
}

func (l *RateLimits) add(name, key, what string, rate, burst int64, unit float64) int {
	if rate <= 0 {
		return -1
	}
	l.All = append(l.All, &Limit{Name: name, Key: key, What: what, Rate: float64(rate), Burst: float64(max(1, burst)), Unit: unit})
	return len(l.All) - 1
}
