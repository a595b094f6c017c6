package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/value"
	"riptide-proxy/value/dictionary"
	"riptide-proxy/value/rewrite"
)

// dicts is a tenant's dictionaries for a job.
type dicts struct {
	client *redis.Client
	store  *dictionary.Store
	tenant dictionary.Tenant
	codec  *value.Codec
}

func newDicts(client *redis.Client, t dictionary.Tenant, codec *value.Codec) *dicts {
	return &dicts{client: client, store: dictionary.NewStore(client), codec: codec, tenant: t}
}

// prepare makes it known that there may be sealed values, encrypts the
// dictionaries themselves anew if the key has changed, and gives them to the codec.
func (d *dicts) prepare(ctx context.Context, kind rewrite.Job, plain bool) error {
	if !plain {
		if err := d.store.Announce(ctx, d.tenant.ID); err != nil {
			return err
		}
		if err := d.store.Mark(ctx, d.tenant.Root, d.tenant.Settings.Keys.Writes()); err != nil {
			return err
		}
	}
	if kind == rewrite.Rekey {
		if err := d.store.Reseal(ctx, &d.tenant); err != nil {
			return fmt.Errorf("encrypting the dictionaries: %w", err)
		}
	}
	return d.reload(ctx)
}

// reload gives the codec the dictionaries that the upstream has now. One that can not be
// read is missed by the values that need it.
func (d *dicts) reload(ctx context.Context) error {
	entries, _, err := d.store.List(ctx, &d.tenant)
	if err != nil {
		return fmt.Errorf("reading the dictionaries: %w", err)
	}
	var all, current []*value.Dict
	for _, e := range entries {
		if e.Dict() == nil {
			continue
		}
		all = append(all, e.Dict())
		wanted := e.Pattern == dictionary.Everything || slices.Contains(d.tenant.Patterns, e.Pattern)
		if d.tenant.Writes && wanted && e.State() == "current" {
			current = append(current, e.Dict())
		}
	}
	d.codec.SetDicts(value.NewDicts(all, current))
	return nil
}

// retired are the dictionaries that no proxy can still be writing with.
func (d *dicts) retired(ctx context.Context) ([]uint32, error) {
	entries, _, err := d.store.List(ctx, &d.tenant)
	if err != nil {
		return nil, err
	}
	now, err := d.client.Time(ctx).Result()
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, e := range entries {
		if e.State() == "retired" && now.Sub(e.Retired) > dictionary.DropAfter {
			ids = append(ids, e.ID)
		}
	}
	return ids, nil
}
