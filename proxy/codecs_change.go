package proxy

import (
	"bytes"
	"context"
	"maps"
	"reflect"
	"slices"

	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/value"
	"riptide-proxy/value/dictionary"
	masterkeys "riptide-proxy/value/keys"
)

// valueChange is what a configuration changes about how values are sealed.
type valueChange struct {
	masters  map[string][]byte
	values   map[string]*tenantValues  // of the tenants whose values are sealed in another way, or not any more
	settings map[string]value.Settings // of the same
}

// prepare makes the codecs that are others than before, or says why that is not possible.
func (c *codecs) prepare(ctx context.Context, before, next *running) (*valueChange, error) {
	masters, err := masterkeys.Load(ctx, next.cfg.EncryptionKeys)
	if err != nil {
		return nil, err
	}
	c.adopting.Lock()
	defer c.adopting.Unlock()
	rekeyed := !maps.EqualFunc(masters, c.masters, bytes.Equal)
	x := &valueChange{masters, make(map[string]*tenantValues), make(map[string]value.Settings)}
	for id, t := range next.cfg.Tenants {
		if was := before.cfg.Tenants[id]; was != nil && !rekeyed && sealsAlike(before.cfg, was, next.cfg, t) {
			continue
		}
		settings, err := masterkeys.Settings(next.cfg, id, masters)
		if err != nil {
			return nil, err
		}
		codec, err := masterkeys.Codec(next.cfg, id, masters)
		was := c.find(id)
		if err == nil && codec == nil && was != nil { // there are sealed values from before
			codec, err = masterkeys.Opener(next.cfg, id, masters)
		}
		if err != nil {
			return nil, err
		}
		if codec == nil {
			continue
		}
		v := newTenantValues(codec)
		if was != nil {
			v.encrypted.Store(was.binds())
		}
		x.values[id], x.settings[id] = v, settings
	}
	return x, nil
}

func sealsAlike(cfgA *config.Config, a *config.Tenant, cfgB *config.Config, b *config.Tenant) bool {
	return cfgA.Limits.Bulk == cfgB.Limits.Bulk && a.HashTag == b.HashTag &&
		reflect.DeepEqual(a.Compression, b.Compression) && reflect.DeepEqual(a.Encryption, b.Encryption)
}

// change puts what was prepared in the place of what there was, and tells the other proxies what is going to be
// sealed, before the loops begin to.
func (c *codecs) change(ctx context.Context, next *running, x *valueChange) {
	if !c.replace(next, x) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, codecsTime)
	defer cancel()
	if c.announce(ctx) != nil {
		c.ask() // it is done again
		return
	}
	c.loadGuards(ctx)
	c.dictionaries.Poll(ctx)
}

// replace reports whether there was anything to replace.
func (c *codecs) replace(next *running, x *valueChange) bool {
	c.adopting.Lock()
	defer c.adopting.Unlock()
	c.masters = x.masters
	others := func(t dictionary.Tenant) bool { return x.values[t.ID] != nil || next.own[t.ID] == nil }
	if len(x.values) == 0 && !slices.ContainsFunc(c.tenants, others) {
		return false
	}
	c.tenants = slices.DeleteFunc(c.tenants, others)
	c.mu.Lock()
	maps.DeleteFunc(c.of, func(id string, _ *tenantValues) bool { return next.own[id] == nil })
	maps.Copy(c.of, x.values)
	c.mu.Unlock()
	for id, settings := range x.settings {
		c.tenants = append(c.tenants, dictionary.FromConfig(id, next.cfg.Tenants[id], settings))
	}
	c.dictionaries.SetTenants(c.tenants)
	c.sample()
	return true
}

// forget drops what is known of a tenant that is no more.
func (c *codecs) forget(t *namespace.Tenant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.met, t)
}
