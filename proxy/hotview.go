package proxy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"riptide-proxy/audit"
	"riptide-proxy/config"
	"riptide-proxy/netloop"
)

// HotKey is a key that a tenant's commands have named often lately.
type HotKey struct {
	Key      string  `json:"key"` // as the audit log writes it: \xff is a byte, \\ a backslash
	Cut      bool    `json:"truncated"`
	Database int     `json:"database"`
	Commands uint64  `json:"commands"` // about how many have named it: those of the last minute, half of those before, and so on
	Share    float64 `json:"share"`    // of all names of keys in commands, 0 to 1
}

// leastHot is how often a key was seen that is shown: one that was seen once may have been named once.
const leastHot = 2

// HotKeys are a tenant's on this proxy, the hottest first.
func (s *Server) HotKeys(ctx context.Context, tenant string) ([]HotKey, error) {
	lists, err := everywhere(ctx, s, func(w *worker) hotList {
		if t := w.stats[tenant]; t != nil {
			return t.hot.copy()
		}
		return hotList{}
	})
	if err != nil {
		return nil, err
	}
	list := mergedHot(append(lists, s.hotPast.of(tenant, time.Now())))
	all := make([]HotKey, len(list.keys))
	for i, k := range list.keys {
		all[i] = HotKey{
			Key: shownKey(k.name), Cut: k.cut, Database: k.db, Commands: uint64(k.count) * hotWeight,
			Share: min(1, float64(k.count)/float64(max(1, list.total))),
		}
	}
	return all, nil
}

func shownKey(name []byte) (shown string) {
	if err := json.Unmarshal(audit.AppendQuoted(nil, name), &shown); err != nil {
		return "?" // it is always a JSON string
	}
	return shown
}

// mergedHot is what lists come to, the hottest first.
func mergedHot(lists []hotList) (sum hotList) {
	type id struct {
		name string
		cut  bool
		db   int
	}
	places := make(map[id]int)
	for _, l := range lists {
		sum.total += l.total
		for _, k := range l.keys {
			of := id{string(k.name), k.cut, k.db}
			at, known := places[of]
			if !known {
				at = len(sum.keys)
				places[of] = at
				sum.keys = append(sum.keys, hotKey{name: k.name, cut: k.cut, db: k.db})
			}
			sum.keys[at].count += k.seen()
		}
	}
	sum.keys = slices.DeleteFunc(sum.keys, func(k hotKey) bool { return k.count < leastHot })
	slices.SortFunc(sum.keys, func(a, b hotKey) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.db, b.db), slices.Compare(a.name, b.name))
	})
	sum.keys = sum.keys[:min(len(sum.keys), hotKeys)]
	return sum
}

// KeptKeys are a tenant's hot keys in a State.
type KeptKeys struct {
	Total uint32    `json:"total"` // names of keys that were seen
	Keys  []KeptKey `json:"keys"`
}

// KeptKey is one of them.
type KeptKey struct {
	Name     []byte `json:"name"`
	Cut      bool   `json:"cut,omitempty"` // there is more of it
	Database int    `json:"database,omitempty"`
	Seen     uint32 `json:"seen"`
}

const (
	// hotKept is how many keys of a tenant a state has at most.
	hotKept = 16
	// hotPatience is for how long a state waits for the loops.
	hotPatience = 2 * time.Second
)

// keptKeys are the hot keys of tenants whose values are not encrypted: of the others nothing is to be in a file.
func (s *Server) keptKeys() (map[string]KeptKeys, error) {
	ctx, cancel := context.WithTimeout(context.Background(), hotPatience)
	defer cancel()
	lists := make(map[string][]hotList)
	for _, w := range s.workers {
		var has []*tenantStats
		if err := w.see(ctx, func() { has = slices.Clone(w.hot.has) }); err != nil {
			return nil, err
		}
		for some := range slices.Chunk(has, statsAtOnce) {
			if err := w.see(ctx, func() {
				for _, t := range some {
					lists[t.id] = append(lists[t.id], t.hot.copy())
				}
			}); err != nil {
				return nil, err
			}
		}
	}
	r, now := s.conf(), time.Now()
	most := min(max(hotTotal/max(1, len(r.own)), 1), hotKept)
	all := make(map[string]KeptKeys)
	for id := range r.own {
		if r.cfg.Tenants[id].Encryption.Algorithm != config.NoEncryption {
			continue
		}
		sum := mergedHot(append(lists[id], s.hotPast.of(id, now)))
		if len(sum.keys) == 0 {
			continue
		}
		kept := KeptKeys{Total: sum.total}
		for _, k := range sum.keys[:min(len(sum.keys), most)] {
			kept.Keys = append(kept.Keys, KeptKey{Name: k.name, Cut: k.cut, Database: k.db, Seen: k.count})
		}
		all[id] = kept
	}
	return all, nil
}

// see runs f on the loop and waits for it, or runs it here if the loop has ended.
func (w *worker) see(ctx context.Context, f func()) error {
	err := w.do(ctx, f)
	if !errors.Is(err, netloop.ErrStopped) {
		return err
	}
	select {
	case <-w.ended:
		f()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hotPast is what an earlier process has seen. It counts less and less, as if it were in the loops' lists.
type hotPast struct {
	mu      sync.Mutex
	at      time.Time
	tenants map[string]KeptKeys
}

// take takes over what was seen up to a time.
func (p *hotPast) take(all map[string]KeptKeys, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tenants, p.at = make(map[string]KeptKeys, len(all)), at
	for id, kept := range all {
		kept.Keys = slices.DeleteFunc(slices.Clone(kept.Keys), func(k KeptKey) bool {
			return len(k.Name) > hotKeySize || k.Database < 0
		})
		kept.Keys = kept.Keys[:min(len(kept.Keys), hotKept)]
		p.tenants[id] = kept
	}
}

// of is what is left of a tenant's.
func (p *hotPast) of(tenant string, now time.Time) (left hotList) {
	p.mu.Lock()
	defer p.mu.Unlock()
	halvings := max(0, now.Sub(p.at)/hotHalf)
	if halvings >= 32 {
		p.tenants = nil
	}
	kept := p.tenants[tenant]
	left.total = kept.Total >> halvings
	for _, k := range kept.Keys {
		left.keys = append(left.keys, hotKey{name: k.Name, cut: k.Cut, db: k.Database, count: k.Seen >> halvings})
	}
	return left
}

// apply forgets the tenants that there are no more, and all if nothing is to be known.
func (p *hotPast) apply(next *running) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.tenants {
		if next.own[id] == nil || !next.cfg.HotKeys.Enabled {
			delete(p.tenants, id)
		}
	}
}

// keep puts the hot keys into a state. Without them it is as good as with them.
func (s *Server) keepHotKeys(st *State) {
	var err error
	if st.HotKeys, err = s.keptKeys(); err != nil {
		slog.Warn("the hot keys are not in the checkpoint", "error", err)
	}
}

// recallHotKeys takes them over, unless the process itself has written them and so knows them.
func (s *Server) recallHotKeys(st *State) {
	if r := s.conf(); st.Process != s.id && r.cfg.HotKeys.Enabled {
		s.hotPast.take(st.HotKeys, st.At)
		s.hotPast.apply(r)
	}
}
