package ledger

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// world is an upstream with a clock that the test moves, and processes that report
// to it.
type world struct {
	t       *testing.T
	mini    *miniredis.Miniredis
	client  *redis.Client
	store   *Store
	now     time.Time
	spool   string
	made    int
	gauges  gauges
	tenants []Tenant
}

const grace = 10 * time.Minute

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, mini: miniredis.RunT(t), now: time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC), spool: t.TempDir(), gauges: gauges{},
		tenants: []Tenant{{"acme", "t:acme:", "pro"}, {"globex", "t:{globex}:", ""}},
	}
	w.client = redis.NewClient(&redis.Options{Addr: w.mini.Addr(), MaxRetries: -1})
	t.Cleanup(func() { w.client.Close() })
	w.store = NewStore(w.client, grace)
	w.mini.SetTime(w.now)
	return w
}

func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	w.mini.SetTime(w.now)
}

// gauges are what tenants have.
type gauges map[string][3]int64

func (g gauges) Gauges(tenant string) (memory, keys, storage int64, ok bool) {
	n, ok := g[tenant]
	return n[0], n[1], n[2], ok
}

// process is one that counts.
type process struct {
	*Ledger
	counts map[string]Sample
}

func (w *world) process() *process {
	w.made++
	p := &process{counts: map[string]Sample{}}
	p.Ledger = New(Options{
		Client: w.client, Process: "process" + string(rune('a'+w.made%26)) + time.Duration(w.made).String(),
		Flush: 5 * time.Second, Grace: grace, Retention: 400 * 24 * time.Hour, Spool: w.spool,
		Sample:  func(context.Context) (map[string]Sample, error) { return maps.Clone(p.counts), nil },
		Tenants: func() []Tenant { return w.tenants },
		Gauges:  w.gauges,
		Now:     func() time.Time { return w.now },
	})
	return p
}

// count has a tenant do something.
func (p *process) count(tenant string, reads, in int64) {
	n := p.counts[tenant]
	n.Read += reads
	n.In += in
	p.counts[tenant] = n
}

func (w *world) flush(p *process) {
	w.t.Helper()
	if err := p.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) rows(tenant string) []*Row {
	w.t.Helper()
	for _, t := range w.tenants {
		if t.ID == tenant {
			rows, err := w.store.Rows(w.t.Context(), tenant, t.Root, 0, HourOf(w.now)+1)
			if err != nil {
				w.t.Fatal(err)
			}
			return rows
		}
	}
	w.t.Fatalf("no tenant %s", tenant)
	return nil
}

func (w *world) total(tenant string) (f Figures) {
	for _, r := range w.rows(tenant) {
		f.add(&r.Figures)
	}
	return f
}

func (w *world) close() {
	w.t.Helper()
	for _, t := range w.tenants {
		if _, err := w.store.Close(w.t.Context(), t.ID, t.Root, HourOf(w.now)+1); err != nil {
			w.t.Fatal(err)
		}
	}
}
