package config

// Quotas limit one tenant over all proxies together. 0 means that the quota is not given here; what neither tenant nor plan
// gives is unlimited, if nothing else is said.
type Quotas struct {
	Rates `yaml:",inline"`

	// Classes limit the commands of one class, in addition: read, write, script,
	// pubsub and other.
	//
	// command.Class tells them apart.
	Classes map[string]*Rate `yaml:"classes"`

	// Over is what becomes of a command over a rate: it is refused, or it waits.
	// Default reject.
	Over Over `yaml:"over"`

	// ScriptCost is how many operations a script or function counts beside the
	// one that every command is.
	ScriptCost int64 `yaml:"script_cost"`

	Memory Size  `yaml:"memory"` // as the upstream's MEMORY USAGE accounts the keys
	Keys   int64 `yaml:"keys"`   // over all databases

	Value          Size  `yaml:"value"`            // the longest single argument of a command that writes
	Reply          Size  `yaml:"reply"`            // the longest reply
	KeysPerCommand int64 `yaml:"keys_per_command"` // names of keys in one command
	Pipeline       int64 `yaml:"pipeline"`         // commands sent ahead on one connection
	Connections    int64 `yaml:"connections"`      // open client connections
	Pinned         int64 `yaml:"pinned"`           // of those, with an upstream connection of their own
	Subscriptions  int64 `yaml:"subscriptions"`    // channels and patterns
	Blocked        int64 `yaml:"blocked"`          // clients that wait in a blocking command

	ColdStorage Size `yaml:"cold_storage"` // in the cold tier

	// Weight is the tenant's share of a busy event loop against that of others.
	// 1 to 1000; default 100.
	Weight int64 `yaml:"weight"`
}

// Rate is how many operations may be run in a second.
type Rate struct {
	OpsPerSecond int64 `yaml:"ops_per_second"` // commands
	OpsBurst     int64 `yaml:"ops_burst"`      // commands at once after a pause; default: half a second's
}

// Rates are operations and bytes.
type Rates struct {
	Rate `yaml:",inline"`

	BytesInPerSecond  Size `yaml:"bytes_in_per_second"`  // requests
	BytesInBurst      Size `yaml:"bytes_in_burst"`       // default: half a second's
	BytesOutPerSecond Size `yaml:"bytes_out_per_second"` // replies
	BytesOutBurst     Size `yaml:"bytes_out_burst"`      // default: half a second's
}

// UserQuotas are what a single user of a tenant can be limited by.
type UserQuotas struct {
	Rates `yaml:",inline"`
}

// Plan is a named set of quotas, with prices.
type Plan struct {
	Quotas `yaml:",inline"`

	// Prices are what usage costs, by unit: base, operations, reads, writes, scripts, pubsub,
	// other_operations, ingress, egress, memory, storage, connections. A unit without a price is free.
	//
	// Units has them.
	Prices map[string]Amount `yaml:"prices"`

	// Included is how much of a unit a period's bill has for nothing.
	Included map[string]Amount `yaml:"included"`
}

// Accounting says how quotas are kept over all proxies of an upstream.
type Accounting struct {
	// Unreachable is what holds while the upstream can not be asked for a share of
	// a rate: each proxy keeps to the share it had last (share, the default), or
	// nothing is limited (open), or nothing passes (closed).
	Unreachable Unreachable `yaml:"unreachable"`

	// CommandsPerSecond is how many commands the scan that measures the tenants'
	// keys may send to the upstream. Default 5000.
	CommandsPerSecond int64 `yaml:"commands_per_second"`

	// Interval is how often all keys are measured anew if anything has been
	// written, at most. Default 1m. 0s: never.
	Interval Duration `yaml:"interval"`
}

// DefaultWeight is Quotas.Weight where none is given.
const DefaultWeight = 100

// QuotasOf is what limits a tenant: its own quotas, those of its plan where it
// has none, and defaults. Its classes are those of both.
func (c *Config) QuotasOf(id string) Quotas {
	t := c.Tenants[id]
	if t == nil {
		return Quotas{Weight: DefaultWeight, Over: Reject}
	}
	q := t.Quotas
	plan := c.Plans[t.Plan]
	if plan == nil {
		plan = new(Plan)
	}
	q = q.or(plan.Quotas)
	if q.Weight == 0 {
		q.Weight = DefaultWeight
	}
	if q.Over == "" {
		q.Over = Reject
	}
	q.Rates.setBursts()
	for _, r := range q.Classes {
		r.setBurst()
	}
	return q
}

// RatesOf is what limits a user of a tenant.
func (u *User) RatesOf() Rates {
	r := u.Quotas.Rates
	r.setBursts()
	return r
}

func (q Quotas) or(plan Quotas) Quotas {
	for _, f := range []struct {
		own  *int64
		plan int64
	}{
		{&q.ScriptCost, plan.ScriptCost}, {&q.Keys, plan.Keys}, {&q.KeysPerCommand, plan.KeysPerCommand}, {&q.Pipeline, plan.Pipeline},
		{&q.Connections, plan.Connections}, {&q.Pinned, plan.Pinned}, {&q.Subscriptions, plan.Subscriptions}, {&q.Blocked, plan.Blocked},
		{&q.Weight, plan.Weight},
	} {
		if *f.own == 0 {
			*f.own = f.plan
		}
	}
	for _, f := range []struct {
		own  *Size
		plan Size
	}{{&q.Memory, plan.Memory}, {&q.Value, plan.Value}, {&q.Reply, plan.Reply}, {&q.ColdStorage, plan.ColdStorage}} {
		if *f.own == 0 {
			*f.own = f.plan
		}
	}
	if q.Over == "" {
		q.Over = plan.Over
	}
	// A burst goes with the rate that it is for.
	pair(&q.OpsPerSecond, &q.OpsBurst, plan.OpsPerSecond, plan.OpsBurst)
	pair(&q.BytesInPerSecond, &q.BytesInBurst, plan.BytesInPerSecond, plan.BytesInBurst)
	pair(&q.BytesOutPerSecond, &q.BytesOutBurst, plan.BytesOutPerSecond, plan.BytesOutBurst)
	classes := make(map[string]*Rate, len(q.Classes)+len(plan.Classes))
	for _, given := range []map[string]*Rate{plan.Classes, q.Classes} {
		for class, r := range given {
			own := *r
			classes[class] = &own
		}
	}
	q.Classes = classes
	return q
}

// pair takes a plan's rate and burst where there is no rate, or its burst if it is
// the burst that is missing and the rate is the plan's as well.
func pair[N int64 | Size](rate, burst *N, planRate, planBurst N) {
	if *rate != 0 {
		return
	}
	*rate = planRate
	if *burst == 0 {
		*burst = planBurst
	}
}

func (r *Rates) setBursts() {
	r.Rate.setBurst()
	setBurst(r.BytesInPerSecond, &r.BytesInBurst)
	setBurst(r.BytesOutPerSecond, &r.BytesOutBurst)
}

func (r *Rate) setBurst() { setBurst(r.OpsPerSecond, &r.OpsBurst) }

// setBurst sets what may pass at once to half a second's, if it is not given. So
// in ten seconds no more passes than a twentieth above the rate.
func setBurst[N int64 | Size](rate N, burst *N) {
	if *burst == 0 {
		*burst = (rate + 1) / 2
	}
}
