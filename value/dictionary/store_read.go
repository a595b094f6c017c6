package dictionary

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
)

// IDs are those of a tenant's dictionaries, in no order.
func (s *Store) IDs(ctx context.Context, t *Tenant) ([]uint32, error) { return ids(ctx, s.client, t) }

var errHash = errors.New("not a hash of dictionaries")

// maxFields bounds what is read of a hash that somebody else has filled.
const maxFields = 8 * MaxDictionaries

func ids(ctx context.Context, c redis.Cmdable, t *Tenant) ([]uint32, error) {
	n, err := c.HLen(ctx, t.key()).Result()
	if err != nil {
		return nil, err
	}
	if n > maxFields {
		return nil, fmt.Errorf("%w: %s has %d fields", errHash, t.key(), n)
	}
	fields, err := c.HKeys(ctx, t.key()).Result()
	if err != nil {
		return nil, err
	}
	var all []uint32
	for _, f := range fields {
		if id, err := ParseID(f); err == nil {
			all = append(all, id)
		}
	}
	return all, nil
}

func get(ctx context.Context, c redis.Cmdable, t *Tenant, id uint32) (*Entry, error) {
	var e *Entry
	err := each(ctx, c, t, []uint32{id}, func(_ uint32, got *Entry, err error) error {
		e = got
		return err
	})
	return e, err
}

// atOnce is how many dictionaries are asked for in one go.
const atOnce = 16

// each asks for dictionaries and hands each to f, or the reason why there is none: ErrUnknown, or that it can not
// be read. An error of f ends it.
func each(ctx context.Context, c redis.Cmdable, t *Tenant, ids []uint32, f func(uint32, *Entry, error) error) error {
	for some := range slices.Chunk(ids, atOnce) {
		lengths := make([]*redis.IntCmd, len(some))
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, id := range some {
				lengths[i] = p.HStrLen(ctx, t.key(), field(id))
			}
			return nil
		})
		if err != nil {
			return err
		}
		stored := make([]*redis.StringCmd, len(some))
		_, err = c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, id := range some {
				if lengths[i].Val() <= maxEntry {
					stored[i] = p.HGet(ctx, t.key(), field(id))
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		for i, id := range some {
			var e *Entry
			switch {
			case stored[i] == nil:
				err = fmt.Errorf("%w: %d bytes", errEntry, lengths[i].Val())
			case errors.Is(stored[i].Err(), redis.Nil):
				err = ErrUnknown
			case stored[i].Err() != nil:
				return stored[i].Err()
			default:
				e, err = parseEntry(t, id, []byte(stored[i].Val()))
			}
			if err := f(id, e, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func list(ctx context.Context, c redis.Cmdable, t *Tenant) (all []*Entry, damaged map[uint32]error, err error) {
	known, err := ids(ctx, c, t)
	if err != nil {
		return nil, nil, err
	}
	damaged = map[uint32]error{}
	err = each(ctx, c, t, known, func(id uint32, e *Entry, err error) error {
		switch {
		case err == nil:
			all = append(all, e)
		case errors.Is(err, errEntry):
			damaged[id] = err
		case !errors.Is(err, ErrUnknown): // it was deleted just now
			return err
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	sortEntries(all)
	return all, damaged, nil
}

// sortEntries puts the oldest first.
func sortEntries(all []*Entry) {
	slices.SortFunc(all, func(a, b *Entry) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
}

// current is the dictionary of a pattern among all of a tenant's, or nil. Should there be two, as after
// a failover, it is the younger one.
func current(all []*Entry, pattern string) *Entry {
	var found *Entry
	for _, e := range all {
		if e.Pattern == pattern && e.State() == "current" {
			found = e
		}
	}
	return found
}
