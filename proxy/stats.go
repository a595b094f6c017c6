package proxy

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/netloop"
	"riptide-proxy/value"
)

// tenantStats are one loop's counters of one tenant. They are plain numbers in
// the loop's own memory; whoever wants them asks the loop.
type tenantStats struct {
	id          string
	commands    []uint64        // by row of the command table
	rows        []*commandStats // likewise; nil where nothing was counted
	in, out     uint64          // bytes from and to clients
	connections int64
	logins      uint64
	errors      map[string]*uint64 // by code
	failures    uint64             // errors of all codes
	hits        uint64             // reads that have found something
	misses      uint64             // and that have not
	outcomes    Outcomes           // of commands that the upstream has answered
	throttled   uint64             // commands over a rate: refused, or made to wait
	refused     uint64             // commands and connections that another quota refused
	meter       *meter             // nil: none of its rates is limited
	space       *spaceMeter        // nil: its keys may take what they want

	turn turn

	usageStats
	pins          int // sessions with an upstream connection of their own
	listeners     int // of those, that have it for subscriptions
	subscriptions int

	tenantView
}

// commandStats are one loop's counters of a tenant's command, beside how often
// it was called.
type commandStats struct {
	latency  netloop.Histogram
	failed   uint64 // answered with an error
	rejected uint64 // not even tried
}

// row returns the counters of a command.
func (t *tenantStats) row(cmd *command.Command) *commandStats {
	if c := t.rows[cmd.ID]; c != nil {
		return c
	}
	return t.newRow(cmd)
}

func (t *tenantStats) newRow(cmd *command.Command) *commandStats {
	c := new(commandStats)
	t.rows[cmd.ID] = c
	return c
}

func (w *worker) tenantStats(id string) *tenantStats {
	t := w.stats[id]
	if t == nil {
		t = &tenantStats{id: id, commands: make([]uint64, command.Count()), rows: make([]*commandStats, command.Count()), errors: make(map[string]*uint64)}
		t.meter = w.meterOf(id)
		t.turn = turn{of: &w.turns, share: w.turns.shareOf(id)}
		w.stats[id] = t
		if v := w.valued[id]; v != nil {
			t.setValues(v)
		}
		t.space = w.srv.keeper.meter(w, t)
	}
	return t
}

// maxCodes bounds how many error codes are told apart, since a script may make
// up its own.
const maxCodes = 32

// ownCodes are always told apart, since alerts are made from them.
var ownCodes = map[string]bool{"NOAUTH": true, "WRONGPASS": true, "NOPERM": true, "OOM": true, "THROTTLED": true, "UNAVAILABLE": true, "UNKNOWN": true}

// countError counts an error reply, "-CODE text".
func (t *tenantStats) countError(reply []byte) {
	t.failures++
	code := reply[1:]
	if i := bytes.IndexAny(code, " \r"); i >= 0 {
		code = code[:i]
	}
	n := t.errors[string(code)]
	if n == nil {
		name := string(code)
		if len(t.errors) >= maxCodes && !ownCodes[name] || !isCode(code) {
			name = "other"
		}
		if n = t.errors[name]; n == nil {
			n = new(uint64)
			t.errors[name] = n
		}
	}
	*n++
}

func isCode(b []byte) bool {
	if len(b) == 0 || len(b) > 32 {
		return false
	}
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// TenantStats are a tenant's counters, over all loops. The tenant "" stands for
// connections that have not logged in.
type TenantStats struct {
	Commands    []uint64 // by command.Command.ID
	Latency     netloop.Histogram
	Access      [command.Classes]netloop.Histogram // Latency by class
	In, Out     uint64                             // bytes from and to clients
	Connections int64
	Logins      uint64
	Hits        uint64            // reads that have found something
	Misses      uint64            // and that have not
	Outcomes    Outcomes          // of commands that the upstream has answered
	Throttled   uint64            // commands over a rate: refused, or made to wait
	Refused     uint64            // commands and connections that another quota refused
	Errors      map[string]uint64 // by error code
	Values      *value.Counters   // of values sealed and opened; nil: none are
}

// Stats are the whole proxy's counters.
type Stats struct {
	ID         string    // of the process
	Born       time.Time // when it began to count
	Tenants    map[string]*TenantStats
	Usage      map[string][]Usage // of quotas, for each tenant of the configuration
	Plans      map[string]string  // that tenants have
	Turns      netloop.Histogram  // of the loops
	Clients    int64
	Accepted   uint64
	Rejected   uint64 // over limits.clients
	MaxClients int    // limits.clients
	UpstreamUp bool
	Links      int     // connections to the upstream that are up
	InFlight   int     // commands the upstream has not answered
	Traces     *Traces // nil: nothing is traced
	Tokens     TokenStats
}

// Alive reports whether every loop answers before ctx ends.
func (s *Server) Alive(ctx context.Context) error {
	return s.each(ctx, func(*worker) {})
}

// each runs f on every loop, one after the other, and waits for it. f may use
// what belongs to the caller, which gives that up on an error.
func (s *Server) each(ctx context.Context, f func(w *worker)) error {
	for _, w := range s.workers {
		if err := w.do(ctx, func() { f(w) }); err != nil {
			return err
		}
	}
	return nil
}

// statsAtOnce is how many tenants' counters a loop adds up in one turn, while
// commands wait.
const statsAtOnce = 25

// Stats asks every loop for its counters and adds them up.
func (s *Server) Stats(ctx context.Context) (*Stats, error) {
	r := s.conf()
	sum := &Stats{
		ID:         s.id,
		Born:       s.born,
		Tenants:    make(map[string]*TenantStats),
		Usage:      make(map[string][]Usage, len(r.own)),
		Plans:      make(map[string]string),
		Clients:    s.clients.Load(),
		Accepted:   s.accepted.Load(),
		Rejected:   s.rejected.Load(),
		MaxClients: r.cfg.Limits.Clients,
		UpstreamUp: s.ready.Load(),
		Tokens:     TokenStats{Issuers: s.tokens.Status(), Over: s.tokensOver.Load()},
	}
	for _, w := range s.workers {
		var tenants []*tenantStats
		if err := w.do(ctx, func() {
			w.addTo(sum)
			tenants = slices.Collect(maps.Values(w.stats))
		}); err != nil {
			return nil, err
		}
		for some := range slices.Chunk(tenants, statsAtOnce) {
			if err := w.do(ctx, func() {
				for _, t := range some {
					t.addTo(sum)
				}
			}); err != nil {
				return nil, err
			}
		}
	}
	sum.Traces = s.traces()
	now := time.Now()
	for id, own := range r.own {
		var f flow
		if t := sum.Tenants[id]; t != nil {
			f = t.flow()
		}
		sum.Usage[id] = s.quotaUsage(ctx, own, f, now)
		if plan := r.cfg.Tenants[id].Plan; plan != "" {
			sum.Plans[id] = plan
		}
	}
	return sum, nil
}

func (w *worker) addTo(sum *Stats) {
	addHistogram(&sum.Turns, w.loop.Turns())
	for _, k := range w.links {
		if k != nil {
			sum.InFlight += k.Flight()
			if k.Up() {
				sum.Links++
			}
		}
	}
}

func (t *tenantStats) addTo(sum *Stats) {
	u := sum.Tenants[t.id]
	if u == nil {
		u = &TenantStats{Commands: make([]uint64, len(t.commands)), Errors: make(map[string]uint64)}
		sum.Tenants[t.id] = u
	}
	for i, n := range t.commands {
		u.Commands[i] += n
	}
	for i, c := range t.rows {
		if c != nil && command.All()[i].Run != command.Slow { // a slow operation is many of the upstream's
			addHistogram(&u.Latency, &c.latency)
			addHistogram(&u.Access[command.All()[i].Class], &c.latency)
		}
	}
	u.In += t.in
	u.Out += t.out
	u.Connections += t.connections
	u.Logins += t.logins
	u.Hits += t.hits
	u.Misses += t.misses
	u.Outcomes.add(&t.outcomes)
	u.Throttled += t.throttled
	u.Refused += t.refused
	for code, n := range t.errors {
		u.Errors[code] += *n
	}
	if t.values != nil {
		if u.Values == nil {
			u.Values = new(value.Counters)
		}
		u.Values.Add(&t.values.counters)
	}
}

func addHistogram(sum, h *netloop.Histogram) {
	for i, n := range h.Buckets {
		sum.Buckets[i] += n
	}
	sum.Sum += h.Sum
}
