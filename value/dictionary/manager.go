package dictionary

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/value"
)

// Options are what a Manager works with.
type Options struct {
	Client *redis.Client // of the upstream; it never retries by itself

	// Install is told a tenant's dictionaries whenever they have changed. It is called by several
	// goroutines, but for one tenant never twice at once, and must not call the Manager.
	Install func(tenant string, dicts *value.Dicts)

	// Match reports whether a key matches a pattern, as KEYS does.
	Match func(pattern, key []byte) bool

	Interval time.Duration    // between two looks at the upstream; 0: a second
	Settle   time.Duration    // how long samples are collected at least; 0: ten seconds
	Now      func() time.Time // nil: time.Now
}

// Manager keeps the dictionaries of all tenants on one proxy. It is safe for concurrent use.
type Manager struct {
	Options
	store *Store
	used  atomic.Int64 // bytes of samples

	polling sync.Mutex // held while the upstream is asked and what it says is taken over
	again   chan struct{}

	mu        sync.Mutex // held for moments only, never while the upstream is asked
	tenants   map[string]*tenant
	known     map[string]string // tenants that may have sealed values: the versions of their dictionaries
	announced map[string]bool   // by this proxy, to be repeated if it gets lost
	trusted   bool              // whether the upstream has what we think it has
	polled    time.Time         // when it was found so last
	check     int               // whose fields are compared next; belongs to polling
	pace      func(time.Duration)
}

// tenant is what a Manager knows of a tenant. Manager.mu is held to use it.
type tenant struct {
	Tenant
	version string // of entries; empty: they are to be loaded
	entries map[uint32]*Entry
	written map[uint32]bool // those that were installed for writing since the last load
	sampler *sampler
	plans   map[string]*plan     // by pattern: when to train
	missed  map[uint32]time.Time // what the upstream did not have, and when it was asked
	said    string               // the last error that was logged
}

// NewManager is a Manager without tenants.
func NewManager(o Options) *Manager {
	if o.Interval <= 0 {
		o.Interval = time.Second
	}
	if o.Settle <= 0 {
		o.Settle = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Manager{
		Options: o, store: NewStore(o.Client), again: make(chan struct{}, 1),
		tenants: map[string]*tenant{}, known: map[string]string{}, announced: map[string]bool{},
	}
}

// Store is where the dictionaries are.
func (m *Manager) Store() *Store { return m.store }

// SetTenants says which tenants there are, and how they are configured now. What is known of those that
// stay is kept; for all of them Install is called.
func (m *Manager) SetTenants(tenants []Tenant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.tenants
	m.tenants = make(map[string]*tenant, len(tenants))
	for _, t := range tenants {
		is := old[t.ID]
		if is == nil || is.Root != t.Root {
			is = &tenant{entries: map[uint32]*Entry{}, written: map[uint32]bool{}, plans: map[string]*plan{},
				sampler: &sampler{match: m.Match, used: &m.used}}
		} else {
			delete(old, t.ID)
		}
		if is.Settings.Keys != t.Settings.Keys {
			is.version = "" // what could not be read may be readable now
		}
		is.Tenant = t
		if t.Writes {
			is.sampler.set(is.patterns())
		} else {
			is.sampler.set(nil)
		}
		maps.DeleteFunc(is.plans, func(pattern string, _ *plan) bool { return !t.has(pattern) })
		m.tenants[t.ID] = is
		m.install(is)
	}
	for _, gone := range old {
		gone.sampler.set(nil)
	}
	m.wake()
}

// Sampler is to be given to the codec of a tenant, anew after every SetTenants. It is nil for a tenant that does
// not write with dictionaries.
func (m *Manager) Sampler(tenant string) func(value.Name, []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.tenants[tenant]; t != nil && t.Writes {
		return t.sampler.offer
	}
	return nil
}

// Known are the tenants that have sealed values, or may have, in alphabetical order. They are those that the upstream
// named when it was asked last.
func (m *Manager) Known() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]string, 0, len(m.known))
	for id := range m.known {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}

// Announce makes it known to all proxies that a tenant may have sealed values. It is to be called before the
// first one is written, and asks the upstream only if that does not know yet.
func (m *Manager) Announce(ctx context.Context, tenant string) error {
	m.mu.Lock()
	_, known := m.known[tenant]
	known = known && m.trusted
	m.announced[tenant] = true
	m.mu.Unlock()
	if known {
		return nil
	}
	return m.store.Announce(ctx, tenant)
}

// Suspect says that the upstream may have lost what it had: a connection to it was lost. From now on nothing
// is written with dictionaries until it was asked.
func (m *Manager) Suspect() {
	m.distrust()
	m.wake()
}

func (m *Manager) wake() {
	select {
	case m.again <- struct{}{}:
	default:
	}
}

// distrust ends that dictionaries are written with.
func (m *Manager) distrust() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.trusted {
		return
	}
	m.trusted = false
	for _, t := range m.tenants {
		m.install(t)
	}
}

// install has the codec use what is known. m.mu is held, so that the last one to decide is the last one to
// install.
func (m *Manager) install(t *tenant) {
	if m.tenants[t.ID] != t {
		return // it was removed meanwhile
	}
	var all, write []*value.Dict
	for _, e := range t.entries {
		all = append(all, e.dict)
	}
	if m.trusted && t.Writes && t.version != "" {
		sorted := t.sorted()
		for _, pattern := range t.patterns() {
			if e := current(sorted, pattern); e != nil {
				write = append(write, e.dict)
				t.written[e.ID] = true
			}
		}
	}
	m.Install(t.ID, value.NewDicts(all, write))
}

// sorted are the tenant's entries, the oldest first.
func (t *tenant) sorted() []*Entry {
	all := make([]*Entry, 0, len(t.entries))
	for _, e := range t.entries {
		all = append(all, e)
	}
	sortEntries(all)
	return all
}

// List is what this proxy knows of a tenant's dictionaries, the oldest first.
func (m *Manager) List(tenant string) ([]*Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tenants[tenant]
	if t == nil {
		return nil, ErrUnknownTenant
	}
	return t.sorted(), nil
}

// Run asks the upstream and trains until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	var wait sync.WaitGroup
	defer wait.Wait()
	wait.Go(func() { m.watch(ctx) })
	wait.Go(func() { m.train(ctx) })
	tick := time.NewTicker(m.Interval)
	defer tick.Stop()
	failing := false
	for ctx.Err() == nil {
		err := m.Poll(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			slog.Warn("the upstream's dictionaries can not be read; values are written without", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-m.again:
		}
	}
}

// watch stops the use of dictionaries when a look at the upstream takes too long.
func (m *Manager) watch(ctx context.Context) {
	tick := time.NewTicker(m.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.stale()
		}
	}
}

func (m *Manager) stale() {
	m.mu.Lock()
	old := m.trusted && m.Now().Sub(m.polled) > StaleAfter
	m.mu.Unlock()
	if old {
		m.distrust()
	}
}

// sortedTenants are all tenants by their ids. m.mu is held.
func (m *Manager) sortedTenants() []*tenant {
	all := slices.Collect(maps.Values(m.tenants))
	slices.SortFunc(all, func(a, b *tenant) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
