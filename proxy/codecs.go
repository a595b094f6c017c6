package proxy

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/config"
	"riptide-proxy/namespace"
	"riptide-proxy/namespace/glob"
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

	lost    chan struct{}
	told    bool // all proxies what is to be sealed here
	running bool // the manager

	adopting sync.Mutex // held by whoever changes tenants

	mu  sync.Mutex
	met map[*namespace.Tenant]bool // that have logged in: whether their markers were looked at
	of  map[string]*tenantValues   // each tenant that has sealed values, or may have
}

// makeValues makes the codecs of the tenants whose values are sealed.
func (s *Server) makeValues(ctx context.Context) error {
	cfg := s.conf().cfg
	masters, err := masterkeys.Load(ctx, cfg.EncryptionKeys)
	if err != nil {
		return err
	}
	c := &codecs{srv: s, masters: masters, of: make(map[string]*tenantValues), met: make(map[*namespace.Tenant]bool), lost: make(chan struct{}, 1)}
	s.codecs = c
	c.dictionaries = dictionary.NewManager(dictionary.Options{
		Client: s.client,
		Install: func(tenant string, dicts *value.Dicts) {
			if v := c.find(tenant); v != nil {
				v.codec.SetDicts(dicts)
			}
		},
		Match: glob.Match,
	})
	for _, t := range s.conf().directory.Tenants() {
		settings, err := masterkeys.Settings(cfg, t.ID, masters)
		if err != nil {
			return err
		}
		codec, err := masterkeys.Codec(cfg, t.ID, masters)
		if err != nil {
			return err
		}
		if codec == nil {
			continue
		}
		c.add(cfg, t.ID, codec, settings, false)
	}
	c.dictionaries.SetTenants(c.tenants)
	c.sample()
	return nil
}

// add adds a tenant. It is known of some that they have encrypted values.
func (c *codecs) add(cfg *config.Config, id string, codec *value.Codec, settings value.Settings, encrypted bool) {
	v := newTenantValues(codec)
	v.encrypted.Store(encrypted)
	c.mu.Lock()
	c.of[id] = v
	c.mu.Unlock()
	c.tenants = append(c.tenants, dictionary.FromConfig(id, cfg.Tenants[id], settings))
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
	c.told = true
	if len(c.all()) > 0 {
		c.loadGuards(ctx)
		c.dictionaries.Poll(ctx)
	}
}

// announce tells all proxies which tenants may have sealed values from now on.
func (c *codecs) announce(ctx context.Context) error {
	c.adopting.Lock()
	defer c.adopting.Unlock()
	if len(c.tenants) == 0 {
		return nil
	}
	pipe := c.srv.client.Pipeline()
	var fresh []*redis.BoolCmd
	var before []*redis.StringCmd // what the markers of encrypting tenants were
	for i := range c.tenants {
		t := &c.tenants[i]
		if err := c.dictionaries.Announce(ctx, t.ID); err != nil {
			return err
		}
		fresh = append(fresh, pipe.SetNX(ctx, t.Root+dictionary.Marker, dictionary.MarkerSealed, 0))
		if t.Settings.Keys.Writes() {
			before = append(before, pipe.GetSet(ctx, t.Root+dictionary.Marker, dictionary.MarkerEncrypted))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	news := slices.ContainsFunc(fresh, (*redis.BoolCmd).Val) ||
		slices.ContainsFunc(before, func(b *redis.StringCmd) bool { return b.Val() != dictionary.MarkerEncrypted })
	if !news {
		return nil
	}
	return c.srv.client.Publish(ctx, dictionary.Announcements, "").Err()
}

// How often what was announced is so once more, and the markers are looked at:
// somebody may have emptied the upstream, or an announcement may have been missed. The
// latter alone is not worth asking often.
const (
	again     = 5 * time.Second
	againIdle = time.Minute
)

// run keeps the codecs in step until the server ends.
func (c *codecs) run() {
	defer c.srv.background.Done()
	ctx := c.srv.ctx
	others := c.srv.client.Subscribe(ctx, dictionary.Announcements)
	defer others.Close()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	done := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-others.Channel():
			c.told = c.told && c.adoptMet(ctx) == nil
		case <-c.lost:
			c.told = false
		case <-tick.C:
		}
		pause := againIdle
		if len(c.all()) > 0 {
			pause = again
		}
		if !c.told || time.Since(done) >= pause {
			if c.told = c.announce(ctx) == nil && c.adoptMet(ctx) == nil; c.told {
				done = time.Now()
			}
		}
		if !c.running && len(c.all()) > 0 {
			c.running = true
			c.srv.background.Add(1)
			go func() {
				defer c.srv.background.Done()
				c.dictionaries.Run(ctx)
			}()
		}
	}
}

// suspect tells that a connection to the upstream was lost.
func (c *codecs) suspect() {
	c.dictionaries.Suspect()
	c.ask()
}

// ask has the upstream asked soon.
func (c *codecs) ask() {
	select {
	case c.lost <- struct{}{}:
	default: // it is going to be asked
	}
}

// knows reports whether it is known if the values of a tenant are sealed.
func (c *codecs) knows(t *namespace.Tenant) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.met[t]
}

// owe has it found out once the upstream answers.
func (c *codecs) owe(t *namespace.Tenant) {
	c.mu.Lock()
	if !c.met[t] && c.has(t) {
		c.met[t] = false // there, but not looked at
	}
	c.mu.Unlock()
	c.ask()
}

// meet finds that out for a tenant that logs in for the first time.
func (c *codecs) meet(ctx context.Context, t *namespace.Tenant) {
	ctx, cancel := context.WithTimeout(ctx, codecsTime)
	defer cancel()
	if err := c.adopt(ctx, t); err != nil {
		c.owe(t)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.has(t) {
		c.met[t] = true
	}
}

// has reports whether a tenant is still in the configuration: who is forgotten is not to be met again.
func (c *codecs) has(t *namespace.Tenant) bool { return c.srv.conf().directory.Tenant(t.ID) == t }

// adoptMet is adopt for all that have logged in.
func (c *codecs) adoptMet(ctx context.Context) error {
	tenants := c.tenantsMet()
	if err := c.adopt(ctx, tenants...); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range tenants {
		if c.has(t) {
			c.met[t] = true
		}
	}
	return nil
}

// tenantsMet are those that have logged in.
func (c *codecs) tenantsMet() []*namespace.Tenant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.met))
}

// adopt has the loops look at the values of tenants that have sealed ones
// although their configuration does not say so, and finds out who has encrypted ones.
func (c *codecs) adopt(ctx context.Context, tenants ...*namespace.Tenant) error {
	if len(tenants) == 0 {
		return nil
	}
	c.adopting.Lock()
	defer c.adopting.Unlock()
	pipe := c.srv.client.Pipeline()
	markers := make([]*redis.StringCmd, len(tenants))
	for i, t := range tenants {
		markers[i] = pipe.Get(ctx, string(t.Root())+dictionary.Marker)
	}
	var refused redis.Error
	if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, &refused) {
		return err
	}
	fresh := false
	for i, t := range tenants {
		if !c.has(t) {
			continue
		}
		kind, err := markers[i].Result()
		if v := c.find(t.ID); v != nil && err == redis.Nil { // the upstream has lost it
			if kind = dictionary.MarkerSealed; v.binds() {
				kind = dictionary.MarkerEncrypted
			}
			if err = c.srv.client.Set(ctx, string(t.Root())+dictionary.Marker, kind, 0).Err(); err != nil {
				return err
			}
		}
		if err != nil || kind != dictionary.MarkerSealed && kind != dictionary.MarkerEncrypted {
			continue // there is none, or it may not be looked at
		}
		if c.find(t.ID) == nil {
			if err := c.open(t.ID, kind == dictionary.MarkerEncrypted); err != nil {
				slog.Error("a tenant's values can not be opened", "tenant", t.ID, "error", err)
				continue
			}
			fresh = true
		}
		if kind == dictionary.MarkerEncrypted {
			c.find(t.ID).encrypted.Store(true)
		}
	}
	if fresh {
		c.dictionaries.SetTenants(c.tenants)
		c.sample()
		return c.dictionaries.Poll(ctx)
	}
	return nil
}

// open has the loops open the values of a tenant that is not to have sealed ones any
// more.
func (c *codecs) open(id string, encrypted bool) error {
	cfg := c.srv.conf().cfg
	codec, err := masterkeys.Opener(cfg, id, c.masters)
	if err != nil {
		return err
	}
	settings, err := masterkeys.Settings(cfg, id, c.masters)
	if err != nil {
		return err
	}
	c.add(cfg, id, codec, settings, encrypted)
	v := c.find(id)
	for _, w := range c.srv.workers {
		w.loop.Post(func() { w.setValues(id, v) })
	}
	return nil
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
