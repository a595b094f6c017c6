package dictionary

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// pollTimeout bounds one exchange with the upstream.
	pollTimeout = 3 * time.Second

	// checkTenants is of how many tenants the ids are compared at each look, in turn. It finds what
	// somebody deleted by hand; everything else that can happen to dictionaries shows at once.
	checkTenants = 8
)

// Poll asks the upstream what has changed, loads it, and gives back what it has lost. Run does so by itself.
func (m *Manager) Poll(ctx context.Context) error {
	m.polling.Lock()
	defer m.polling.Unlock()
	err := m.poll(ctx)
	if err != nil {
		m.distrust()
	}
	return err
}

func (m *Manager) poll(ctx context.Context) error {
	began := m.Now()
	versions, err := m.versions(ctx)
	if err != nil {
		return err
	}
	if err := m.find(ctx, versions); err != nil {
		return err
	}
	m.mu.Lock()
	var changed []*tenant
	for _, t := range m.tenants {
		if t.version == "" || t.version != versions[t.ID] && !(t.version == none && versions[t.ID] == "") {
			changed = append(changed, t)
		}
	}
	m.mu.Unlock()
	for _, t := range changed {
		if err := m.load(ctx, t, versions[t.ID]); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known = versions
	m.polled = began
	if !m.trusted {
		m.trusted = true
		for _, t := range m.tenants {
			m.install(t)
		}
	}
	return nil
}

// none is the version of a tenant that has none.
const none = "none"

// versions asks which tenants have sealed values, and repeats what was announced if it got lost.
func (m *Manager) versions(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	versions, err := m.store.Versions(ctx)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	announced := slices.Collect(maps.Keys(m.announced))
	for id := range m.known { // what another proxy announced is lost for everybody, too
		announced = append(announced, id)
	}
	m.mu.Unlock()
	lost := slices.DeleteFunc(announced, func(id string) bool { return versions[id] != "" })
	if len(lost) == 0 {
		return versions, nil
	}
	if err := m.store.Announce(ctx, lost...); err != nil {
		return nil, err
	}
	return m.store.Versions(ctx)
}

// find has the tenants loaded whose dictionaries are gone though nothing says that they have changed.
func (m *Manager) find(ctx context.Context, versions map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	var have []*tenant
	var places []*Tenant
	m.mu.Lock()
	for _, t := range m.sortedTenants() {
		if len(t.entries) > 0 && t.version != "" && t.version == versions[t.ID] {
			place := t.Tenant
			have, places = append(have, t), append(places, &place)
		}
	}
	m.mu.Unlock()
	if len(have) == 0 {
		return nil
	}
	n, err := m.store.present(ctx, places)
	if err != nil {
		return err
	}
	look := min(checkTenants, len(have))
	if int(n) < len(have) {
		look = len(have)
	}
	for range look {
		m.check++
		i := m.check % len(have)
		ids, err := m.store.IDs(ctx, places[i])
		if err != nil && !isTenants(err) {
			return err
		}
		m.mu.Lock()
		for id := range have[i].entries {
			if !slices.Contains(ids, id) {
				have[i].version = ""
			}
		}
		m.mu.Unlock()
	}
	return nil
}

// load takes over what the upstream has of a tenant. What it has lost it gets back before
// anything is written with dictionaries again. Only an upstream that does not answer is an error: what is
// wrong with one tenant's dictionaries does not concern the others.
func (m *Manager) load(ctx context.Context, t *tenant, version string) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	m.mu.Lock()
	t.version = "" // until it is complete
	place := t.Tenant
	m.mu.Unlock()
	if version == "" {
		version = none
	}
	stored, damaged, err := m.store.List(ctx, &place)
	if err != nil {
		return m.failed(t, err)
	}
	lost := m.lost(t, stored, damaged)
	if len(lost) > 0 {
		n, err := m.store.Restore(ctx, &place, lost)
		if err != nil {
			return m.failed(t, err)
		}
		if n > 0 {
			slog.Warn("dictionaries were missing in the upstream; it has them again", "tenant", place.ID, "dictionaries", n)
		}
		if stored, damaged, err = m.store.List(ctx, &place); err != nil {
			return m.failed(t, err)
		}
		version = "restored" // differs from what the next look finds
	}
	for id, err := range damaged {
		slog.Error("a dictionary can not be read: nor can the values that were written with it", "tenant", place.ID, "dictionary", field(id), "error", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	entries := map[uint32]*Entry{}
	for _, e := range stored {
		if !e.Dropped.IsZero() {
			continue
		}
		if old := t.entries[e.ID]; old != nil {
			e = e.sharing(old) // with the encoders it has
		}
		entries[e.ID] = e
	}
	for id, err := range damaged {
		if old := t.entries[id]; old != nil && isLocked(err) {
			entries[id] = old.with(func(x *Meta) { x.Retired = cmp.Or(x.Retired, x.Created) }) // to read with
		}
	}
	for _, e := range entries {
		if t.entries[e.ID] == nil && e.State() == "current" {
			m.settled(t, e.Pattern)
		}
	}
	t.entries, t.version, t.said = entries, version, ""
	t.written = map[uint32]bool{}
	m.install(t)
	return nil
}

// failed tells an upstream that does not answer from dictionaries of one tenant that can not be used; then
// none is written with.
func (m *Manager) failed(t *tenant, err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !isTenants(err) {
		return fmt.Errorf("dictionaries of tenant %s: %w", t.ID, err)
	}
	if t.said != err.Error() {
		slog.Error("a tenant's dictionaries can not be used", "tenant", t.ID, "error", err)
	}
	t.said = err.Error()
	m.install(t)
	return nil
}

// isTenants reports whether an error says something about one tenant's dictionaries.
func isTenants(err error) bool {
	return errors.Is(err, errEntry) || errors.Is(err, errHash) || errors.Is(err, ErrChanged) || redis.HasErrorPrefix(err, "WRONGTYPE")
}

// lost are the entries that are known here and not stored. A dropped one is not lost, unless it was being written
// with here until now, as by a process that was suspended for a while. Nor is one that is encrypted
// with a key that is not known here: to store it with an older key would undo a change of keys.
func (m *Manager) lost(t *tenant, stored []*Entry, damaged map[uint32]error) []*Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	there := map[uint32]*Entry{}
	for _, e := range stored {
		there[e.ID] = e
	}
	var lost []*Entry
	for id, e := range t.entries {
		switch s := there[id]; {
		case isLocked(damaged[id]):
		case s == nil:
			lost = append(lost, e)
		case !s.Dropped.IsZero() && t.written[id]:
			lost = append(lost, e.with(func(x *Meta) { x.Retired = s.Dropped }))
		case s.Dropped.IsZero() && !s.Sealed && t.Settings.Keys.Writes():
			lost = append(lost, s) // it is to be encrypted from now on
		}
	}
	sortEntries(lost)
	return lost
}

// repeatMiss is for how long a dictionary that the upstream did not have is not asked for again.
const repeatMiss = time.Second

// Fetch loads one dictionary at once: a value needs it that this proxy does not know. When it returns nil,
// Install was called with it.
func (m *Manager) Fetch(ctx context.Context, tenant string, id uint32) error {
	m.mu.Lock()
	t := m.tenants[tenant]
	if t == nil {
		m.mu.Unlock()
		return ErrUnknownTenant
	}
	place, now := t.Tenant, m.Now()
	known := t.entries[id] != nil
	if known {
		m.install(t)
	}
	missed, asked := t.missed[id]
	m.mu.Unlock()
	switch {
	case known:
		return nil
	case asked && now.Sub(missed) < repeatMiss:
		return needs(id, ErrUnknown)
	}
	e, err := m.store.Get(ctx, &place, id)
	if err == nil && !e.Dropped.IsZero() {
		err = ErrUnknown
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if errors.Is(err, ErrUnknown) {
		if len(t.missed) >= MaxDictionaries || t.missed == nil {
			t.missed = map[uint32]time.Time{}
		}
		t.missed[id] = now
	}
	if err != nil {
		return needs(id, err)
	}
	if t.entries[id] == nil {
		entries := maps.Clone(t.entries)
		entries[id] = e
		t.entries = entries
	}
	m.install(t)
	return nil
}

// needs is what the client of a value is told that needs a dictionary.
func needs(id uint32, err error) error {
	return fmt.Errorf("the stored value needs compression dictionary %s: %w", field(id), err)
}

// Drop makes everybody forget a dictionary; see Store.Drop.
func (m *Manager) Drop(ctx context.Context, tenant string, id uint32) error {
	return m.order(tenant, func(t *Tenant) error { return m.store.Drop(ctx, t, id) })
}

// Retire ends that a dictionary is written with; the proxies learn of it within a moment.
func (m *Manager) Retire(ctx context.Context, tenant string, id uint32) error {
	return m.order(tenant, func(t *Tenant) error { return m.store.Retire(ctx, t, id) })
}

func (m *Manager) order(tenant string, f func(*Tenant) error) error {
	m.mu.Lock()
	t := m.tenants[tenant]
	if t == nil {
		m.mu.Unlock()
		return ErrUnknownTenant
	}
	place := t.Tenant
	m.mu.Unlock()
	defer m.wake()
	return f(&place)
}
