package dictionary

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Train makes a dictionary for one of a tenant's patterns from values, and stores it if it is worth it. With
// ErrNoGain the entry tells what was found, if anything. The error may also be ErrTooFew, ErrBusy, ErrChanged or ErrFull.
func (s *Store) Train(ctx context.Context, t *Tenant, pattern string, values [][]byte) (*Entry, error) {
	return s.train(ctx, t, pattern, values, nil)
}

func (s *Store) train(ctx context.Context, t *Tenant, pattern string, values [][]byte, pace func(time.Duration)) (*Entry, error) {
	unlock, ok, err := s.Lock(ctx, t, pattern)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrBusy
	}
	defer unlock()
	all, damaged, err := s.List(ctx, t)
	if err != nil {
		return nil, err
	}
	for id, err := range damaged {
		if isLocked(err) {
			return nil, fmt.Errorf("dictionary %s may be the present one: %w", field(id), err)
		}
	}
	p := Params{Settings: t.Settings, Size: t.Size, Seed: rand.Uint64(), Pace: pace}
	var present uint32
	if e := current(all, pattern); e != nil {
		p.Present, present = e.Blob, e.ID
	}
	trained, err := Train(values, p)
	if trained == nil {
		return nil, err
	}
	e, failed := NewEntry(pattern, trained)
	if err != nil || failed != nil {
		return e, cmp.Or(err, failed)
	}
	return e, s.Publish(ctx, t, e, present)
}
