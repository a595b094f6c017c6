package dictionary

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// Store is the dictionaries as the upstream has them.
//
// A tenant's are in the hash <root>dicts, by id. The hash t::values has for every tenant that has, or
// may have, sealed values a number that is raised with every change of its dictionaries, by a random
// amount: a server that has lost its data, or a replica that had not heard of the last changes, does not
// come to the same number again.
type Store struct{ client *redis.Client }

// NewStore uses a client that never retries by itself.
func NewStore(client *redis.Client) *Store { return &Store{client} }

const (
	valuesKey = "t::values"

	// lockTime is for how long a proxy that died while it trained keeps the others from training.
	lockTime = time.Minute

	// tombstoneTime is for how long it stays known that a dictionary was dropped; a proxy that was
	// away for longer may bring it back, which does no harm.
	tombstoneTime = 24 * time.Hour
)

func raise() int64 { return 1 + rand.Int64N(1<<40) }

// Versions are the tenants that may have sealed values, with a text that changes when their dictionaries do.
func (s *Store) Versions(ctx context.Context) (map[string]string, error) {
	return s.client.HGetAll(ctx, valuesKey).Result()
}

// Announce makes it known that tenants may have sealed values.
func (s *Store) Announce(ctx context.Context, tenants ...string) error {
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range tenants {
			p.HSetNX(ctx, valuesKey, id, raise())
		}
		return nil
	})
	return err
}

// List is all of a tenant's dictionaries, the oldest first; of those that were dropped only the description.
// What can not be read is in damaged, with the reason.
func (s *Store) List(ctx context.Context, t *Tenant) (all []*Entry, damaged map[uint32]error, err error) {
	return list(ctx, s.client, t)
}

// Get is one dictionary. The error may be ErrUnknown.
func (s *Store) Get(ctx context.Context, t *Tenant, id uint32) (*Entry, error) {
	return get(ctx, s.client, t, id)
}

// Publish stores a new dictionary as the current one of its pattern, and retires the present one, which must be
// the one with the id present (0: none), else the error is ErrChanged.
func (s *Store) Publish(ctx context.Context, t *Tenant, e *Entry, present uint32) error {
	return s.change(ctx, t, func(all []*Entry, now time.Time) ([]*Entry, error) {
		var was uint32
		if c := current(all, e.Pattern); c != nil {
			was = c.ID
		}
		if was == e.ID {
			return nil, nil
		}
		if was != present {
			return nil, ErrChanged
		}
		if living(all) >= MaxDictionaries {
			return nil, ErrFull
		}
		set := []*Entry{e.with(func(m *Meta) { m.Created = now })}
		for _, old := range all {
			if old.Pattern == e.Pattern && old.State() == "current" {
				set = append(set, old.with(func(m *Meta) { m.Retired = now }))
			}
		}
		return set, nil
	})
}

func living(all []*Entry) (n int) {
	for _, e := range all {
		if e.Dropped.IsZero() {
			n++
		}
	}
	return n
}

// Restore stores dictionaries that the upstream has lost, or that are to be encrypted from now on, and tells
// how many. What it has otherwise stays as it is.
func (s *Store) Restore(ctx context.Context, t *Tenant, lost []*Entry) (n int, err error) {
	err = s.change(ctx, t, func(all []*Entry, now time.Time) ([]*Entry, error) {
		var set []*Entry
		for _, e := range lost {
			at := slices.IndexFunc(all, func(o *Entry) bool { return o.ID == e.ID && o.Dropped.IsZero() })
			if at >= 0 && (all[at].Sealed || !t.Settings.Keys.Writes()) {
				continue
			}
			if at >= 0 {
				e = all[at]
			}
			// The one that another proxy has trained in the meantime is as good.
			if other := current(all, e.Pattern); e.State() == "current" && other != nil && other.ID != e.ID {
				e = e.with(func(m *Meta) { m.Retired = now })
			}
			set = append(set, e)
		}
		n = len(set)
		return set, nil
	})
	return n, err
}

// Retire ends that a dictionary is written with.
func (s *Store) Retire(ctx context.Context, t *Tenant, id uint32) error {
	return s.change(ctx, t, func(all []*Entry, now time.Time) ([]*Entry, error) {
		for _, e := range all {
			if e.ID != id {
				continue
			}
			if e.State() != "current" {
				return nil, nil
			}
			return []*Entry{e.with(func(m *Meta) { m.Retired = now })}, nil
		}
		return nil, ErrUnknown
	})
}

// Drop forgets a dictionary. It is for somebody who knows that no value needs it any more. The error is ErrInUse
// unless it has been retired for DropAfter, since until then proxies may still have written with it.
func (s *Store) Drop(ctx context.Context, t *Tenant, id uint32) error {
	return s.change(ctx, t, func(all []*Entry, now time.Time) ([]*Entry, error) {
		for _, e := range all {
			if e.ID != id {
				continue
			}
			switch {
			case e.State() == "dropped":
				return nil, nil
			case e.State() == "current":
				return nil, fmt.Errorf("%w: it is not retired", ErrInUse)
			case now.Sub(e.Retired) <= DropAfter:
				return nil, fmt.Errorf("%w: it was retired only %v ago", ErrInUse, now.Sub(e.Retired).Round(time.Second))
			}
			return []*Entry{e.with(func(m *Meta) { m.Dropped = now })}, nil
		}
		return nil, ErrUnknown
	})
}

// Reseal stores all of a tenant's dictionaries anew: with the key that is written with now. It
// belongs to a change of keys; an entry that can not be read is an error.
func (s *Store) Reseal(ctx context.Context, t *Tenant) error {
	return s.change(ctx, t, func(all []*Entry, _ time.Time) ([]*Entry, error) {
		_, damaged, err := s.List(ctx, t)
		for id, why := range damaged {
			err = errors.Join(err, fmt.Errorf("dictionary %s: %w", field(id), why))
		}
		var set []*Entry
		for _, e := range all {
			if e.Dropped.IsZero() {
				set = append(set, e)
			}
		}
		return set, err
	})
}

// attempts is how often a change is begun when others change the same.
const attempts = 5

// change stores the entries that f returns for those there are, unless somebody else changes them at the same
// time; then f is asked again. f gets the upstream's time.
func (s *Store) change(ctx context.Context, t *Tenant, f func([]*Entry, time.Time) ([]*Entry, error)) error {
	err := error(redis.TxFailedErr)
	for n := 0; n < attempts && errors.Is(err, redis.TxFailedErr); n++ {
		err = s.client.Watch(ctx, func(tx *redis.Tx) error {
			all, _, err := list(ctx, tx, t)
			if err != nil {
				return err
			}
			now, err := tx.Time(ctx).Result()
			if err != nil {
				return err
			}
			now = now.UTC()
			set, err := f(all, now)
			if err != nil || len(set) == 0 {
				return err
			}
			return s.write(ctx, tx, t, all, set, now)
		}, t.key())
	}
	if errors.Is(err, redis.TxFailedErr) {
		return ErrChanged
	}
	return err
}

func (s *Store) write(ctx context.Context, tx *redis.Tx, t *Tenant, all, set []*Entry, now time.Time) error {
	var values []any
	for _, e := range set {
		stored, err := e.stored(t)
		if err != nil {
			return err
		}
		values = append(values, field(e.ID), stored)
	}
	_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, t.key(), values...)
		for _, e := range all {
			if !e.Dropped.IsZero() && now.Sub(e.Dropped) > tombstoneTime && !slices.ContainsFunc(set, func(o *Entry) bool { return o.ID == e.ID }) {
				p.HDel(ctx, t.key(), field(e.ID))
			}
		}
		p.HIncrBy(ctx, valuesKey, t.ID, raise())
		return nil
	})
	return err
}

// Lock keeps other proxies from training for the same pattern. ok is false while one does. unlock is to be called
// in the end; it matters little if it fails.
func (s *Store) Lock(ctx context.Context, t *Tenant, pattern string) (unlock func(), ok bool, err error) {
	key := fmt.Sprintf("%s:lock:%x", t.key(), pattern)
	token := rand.Uint64()
	if ok, err = s.client.SetNX(ctx, key, token, lockTime).Result(); err != nil || !ok {
		return nil, false, err
	}
	return func() {
		// Also when ctx has ended: the others should not have to wait.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pollTimeout)
		defer cancel()
		_ = s.client.Watch(ctx, func(tx *redis.Tx) error {
			if is, err := tx.Get(ctx, key).Uint64(); err != nil || is != token {
				return err
			}
			_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Del(ctx, key).Err() })
			return err
		}, key)
	}, true, nil
}

// present counts which of the tenants' hashes are there, and keeps a server that evicts what is
// not used from choosing them.
func (s *Store) present(ctx context.Context, tenants []*Tenant) (int64, error) {
	const some = 1000
	total := int64(0)
	for chunk := range slices.Chunk(tenants, some) {
		keys := make([]string, len(chunk))
		for i, t := range chunk {
			keys[i] = t.key()
		}
		n, err := s.client.Touch(ctx, keys...).Result()
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
