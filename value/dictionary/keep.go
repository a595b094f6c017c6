package dictionary

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
)

// Kept is a dictionary as it can be kept outside of the upstream: of a tenant whose values are
// encrypted it is so too.
type Kept struct {
	ID     uint32 `json:"id"`
	Stored []byte `json:"stored"`
}

// Keep returns the dictionaries of all tenants, at most so many bytes of them: those that are
// written with come before those that are only read with, and younger ones before older ones. Left out is how
// many did not fit.
func (m *Manager) Keep(most int) (all map[string][]Kept, left int) {
	type one struct {
		tenant Tenant
		entry  *Entry
	}
	var found []one
	m.mu.Lock()
	for _, t := range m.sortedTenants() {
		for _, e := range t.sorted() {
			found = append(found, one{t.Tenant, e})
		}
	}
	m.mu.Unlock()
	slices.SortStableFunc(found, func(a, b one) int {
		return cmp.Or(cmp.Compare(a.entry.State(), b.entry.State()), b.entry.Created.Compare(a.entry.Created)) // "current" comes first
	})
	all = make(map[string][]Kept)
	for _, o := range found {
		stored, err := o.entry.stored(&o.tenant)
		if err != nil || len(stored) > most {
			left++
			continue
		}
		most -= len(stored)
		all[o.tenant.ID] = append(all[o.tenant.ID], Kept{o.entry.ID, stored})
	}
	return all, left
}

// Recall takes over dictionaries that Keep has returned, of tenants that there are. Values can be read
// with them at once; written with they are when the upstream was asked, which gets back what it has lost. The error tells of
// the first one that can not be read; the others are taken over all the same.
func (m *Manager) Recall(all map[string][]Kept) (err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, t := range m.sortedTenants() {
		entries := maps.Clone(t.entries)
		for _, k := range all[t.ID] {
			if entries[k.ID] != nil || len(entries) >= MaxDictionaries {
				continue // what the upstream has said is newer
			}
			e, bad := parseEntry(&t.Tenant, k.ID, k.Stored)
			if bad == nil && e.dict == nil {
				continue // it was dropped
			}
			if bad != nil {
				err = cmp.Or(err, fmt.Errorf("dictionary %s of tenant %s: %w", field(k.ID), t.ID, bad))
				continue
			}
			entries[k.ID] = e
		}
		if len(entries) == len(t.entries) {
			continue
		}
		n += len(entries) - len(t.entries)
		t.entries, t.version = entries, "" // the upstream is to be asked, or gets them back
		m.install(t)
	}
	if n > 0 {
		slog.Info("dictionaries were taken from the checkpoint", "dictionaries", n)
		m.wake()
	}
	return err
}
