package proxy

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"riptide-proxy/namespace"
	"riptide-proxy/value"
	"riptide-proxy/value/dictionary"
	masterkeys "riptide-proxy/value/keys"
)

// codecs are what seals and opens tenants' values, and what keeps them in step with
// the upstream: which dictionaries there are, and which tenants have sealed values
// although they are not to have any more.
type codecs struct {
	srv          *Server
	masters      map[string][]byte
	dictionaries *dictionary.Manager
	tenants      []dictionary.Tenant

	mu sync.Mutex
	of map[string]*tenantValues // each tenant that has sealed values, or may have
}

// encryptedKey is a hash of the upstream's with a field for each tenant that has, or had,
// encrypted values.
const encryptedKey = "riptide:encrypted"

// makeValues makes the codecs of the tenants whose values are sealed.
func (s *Server) makeValues(ctx context.Context) error {
	masters, err := masterkeys.Load(ctx, s.cfg.EncryptionKeys)
	if err != nil {
		return err
	}
	c := &codecs{srv: s, masters: masters, of: make(map[string]*tenantValues)}
	s.codecs = c
	c.dictionaries = dictionary.NewManager(dictionary.Options{
		Client: s.client,
		Install: func(tenant string, dicts *value.Dicts) {
			if v := c.find(tenant); v != nil {
				v.codec.SetDicts(dicts)
			}
		},
		Match: namespace.MatchGlob,
	})
	for _, t := range s.directory.Tenants() {
		settings, err := masterkeys.Settings(s.cfg, t.ID, masters)
		if err != nil {
			return err
		}
		codec, err := masterkeys.Codec(s.cfg, t.ID, masters)
		if err != nil {
			return err
		}
		if codec == nil {
			continue
		}
		c.add(t.ID, codec, settings)
	}
	c.dictionaries.SetTenants(c.tenants)
	c.sample()
	return nil
}

func (c *codecs) add(id string, codec *value.Codec, settings value.Settings) {
	v := newTenantValues(codec)
	c.mu.Lock()
	c.of[id] = v
	c.mu.Unlock()
	c.tenants = append(c.tenants, dictionary.FromConfig(id, c.srv.cfg.Tenants[id], settings))
}

// all is a copy of what there is.
func (c *codecs) all() map[string]*tenantValues {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.of)
}

func (c *codecs) find(id string) *tenantValues {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[id]
}

// sample has the codecs offer what they seal to be trained with.
func (c *codecs) sample() {
	for i := range c.tenants {
		id := c.tenants[i].ID
		c.find(id).codec.SetSampler(c.dictionaries.Sampler(id))
	}
}

// codecsTime bounds how long starting waits for the upstream to say which tenants
// have sealed values.
const codecsTime = 500 * time.Millisecond

// start announces what is going to be sealed, and finds out what is.
func (c *codecs) start() {
	ctx, cancel := context.WithTimeout(c.srv.ctx, codecsTime)
	defer cancel()
	if c.announce(ctx) != nil {
		return // it is done again
	}
	c.loadGuards(ctx)
	if c.dictionaries.Poll(ctx) == nil {
		c.adopt(ctx)
	}
}

// announce tells all proxies which tenants may have sealed values from now on.
func (c *codecs) announce(ctx context.Context) error {
	for i := range c.tenants {
		t := &c.tenants[i]
		if err := c.dictionaries.Announce(ctx, t.ID); err != nil {
			return err
		}
		if t.Settings.Keys.Writes() {
			if err := c.srv.client.HSet(ctx, encryptedKey, t.ID, 1).Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// run keeps the codecs in step until the server ends.
func (c *codecs) run() {
	defer c.srv.background.Done()
	ctx := c.srv.ctx
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	announced := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !announced {
			announced = c.announce(ctx) == nil
		}
		c.adopt(ctx)
	}
}

// adopt has the loops look at the values of tenants that have sealed ones
// although their configuration does not say so, and finds out who has encrypted ones.
func (c *codecs) adopt(ctx context.Context) {
	fresh := false
	for _, id := range c.dictionaries.Known() {
		if c.find(id) != nil || c.srv.cfg.Tenants[id] == nil {
			continue
		}
		codec, err := masterkeys.Opener(c.srv.cfg, id, c.masters)
		if err != nil {
			slog.Error("a tenant's values can not be opened", "tenant", id, "error", err)
			continue
		}
		settings, err := masterkeys.Settings(c.srv.cfg, id, c.masters)
		if err != nil {
			continue
		}
		c.add(id, codec, settings)
		fresh = true
		v := c.find(id)
		for _, w := range c.srv.workers {
			w.loop.Post(func() { w.setValues(id, v) })
		}
	}
	if fresh {
		c.dictionaries.SetTenants(c.tenants)
		c.sample()
	}
	encrypted, err := c.srv.client.HKeys(ctx, encryptedKey).Result()
	if err != nil {
		return
	}
	for _, id := range encrypted {
		if v := c.find(id); v != nil {
			v.encrypted.Store(true)
		}
	}
	for id, v := range c.all() {
		if v.binds() && !slices.Contains(encrypted, id) { // the upstream has lost it
			c.srv.client.HSet(ctx, encryptedKey, id, 1)
		}
	}
}

// fetchDictionary gets a dictionary that a value needs and that is not known yet.
func (s *Server) fetchDictionary(ctx context.Context, tenant *namespace.Tenant, id uint32) error {
	return s.codecs.dictionaries.Fetch(ctx, tenant.ID, id)
}

// Dictionaries are the tenants' dictionaries, for the admin listener.
func (s *Server) Dictionaries() *dictionary.Manager { return s.codecs.dictionaries }

// setValues has the loop look at a tenant's values from now on.
func (w *worker) setValues(id string, v *tenantValues) {
	w.valued[id] = v
	if t := w.stats[id]; t != nil {
		t.setValues(v)
	}
}
