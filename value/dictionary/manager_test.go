package dictionary

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
	"riptide-proxy/value"
)

// proxy is a Manager with the codecs of its tenants, and a clock that only goes on when it is told to.
type proxy struct {
	*Manager
	t      testing.TB
	client *redis.Client

	mu     sync.Mutex
	now    time.Time
	codecs map[string]*value.Codec
}

func newProxy(t testing.TB, server *harness.Process, tenants ...Tenant) *proxy {
	p := &proxy{t: t, client: connect(t, server), now: time.Unix(1_790_000_000, 0), codecs: map[string]*value.Codec{}}
	for _, tenant := range tenants {
		codec, err := value.NewCodec(tenant.Settings)
		if err != nil {
			t.Fatal(err)
		}
		p.codecs[tenant.ID] = codec
	}
	p.Manager = NewManager(Options{
		Client: p.client, Match: prefixMatch, Now: p.clock,
		Install: func(tenant string, d *value.Dicts) { p.codecs[tenant].SetDicts(d) },
	})
	p.pace = func(time.Duration) {}
	p.SetTenants(tenants)
	for id, codec := range p.codecs {
		codec.SetSampler(p.Sampler(id))
	}
	return p
}

func (p *proxy) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *proxy) later(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
}

func (p *proxy) poll() {
	p.t.Helper()
	if err := p.Poll(harness.Context(p.t)); err != nil {
		p.t.Fatal(err)
	}
}

// writesWith is the dictionary that a value of that key would be written with now; 0: none.
func (p *proxy) writesWith(name string) uint32 {
	d := p.codecs["acme"].Dicts().For([]byte(name))
	if d == nil {
		return 0
	}
	return d.ID
}

func (p *proxy) wantWrites(name string, id uint32) {
	p.t.Helper()
	if is := p.writesWith(name); is != id {
		p.t.Errorf("%s is written with %08x, want %08x", name, is, id)
	}
}

func (p *proxy) reads(id uint32) bool { return p.codecs["acme"].Dicts().Get(id) != nil }

func (p *proxy) publish(e *Entry, present uint32) {
	p.t.Helper()
	if err := p.Store().Publish(harness.Context(p.t), acme(), e, present); err != nil {
		p.t.Fatal(err)
	}
}

// Proxies learn of each other's dictionaries, and write with a pattern's current one.
func TestManagerPoll(t *testing.T) {
	server := harness.StartRedis(t)
	one, two := newProxy(t, server, *acme()), newProxy(t, server, *acme())
	general, special, next := trained(t, Everything, 1), trained(t, "session:*", 2), trained(t, "session:*", 3)
	foreign := trained(t, "unknown:*", 4)
	one.poll()
	one.publish(general, 0)
	one.publish(foreign, 0)
	two.wantWrites("session:1", 0)
	two.poll()
	two.wantWrites("session:1", general.ID)
	two.wantWrites("unknown:1", general.ID)
	if !two.reads(foreign.ID) {
		t.Error("can not read what another configuration wrote")
	}
	one.publish(special, 0)
	one.poll()
	two.poll()
	for _, p := range []*proxy{one, two} {
		p.wantWrites("session:1", special.ID)
		p.wantWrites("other", general.ID)
	}
	two.publish(next, special.ID)
	one.poll()
	one.wantWrites("session:1", next.ID)
	if !one.reads(special.ID) {
		t.Error("a retired dictionary can not be read with")
	}
	list, err := one.List("acme")
	if err != nil || len(list) != 4 {
		t.Error(list, err)
	}
	if _, err := one.List("globex"); !errors.Is(err, ErrUnknownTenant) {
		t.Error(err)
	}

	// Compression off: still readable, by the same configuration or a new proxy.
	off := *acme()
	off.Writes = false
	one.SetTenants([]Tenant{off})
	three := newProxy(t, server, off)
	three.poll()
	for _, p := range []*proxy{one, three} {
		p.wantWrites("session:1", 0)
		if !p.reads(next.ID) || p.Sampler("acme") != nil {
			t.Error("compression is off")
		}
	}
	// Other patterns.
	other := *acme()
	other.Patterns = []string{"unknown:*"}
	one.SetTenants([]Tenant{other})
	one.wantWrites("session:1", general.ID)
	one.wantWrites("unknown:1", foreign.ID)
	one.SetTenants(nil)
	one.poll()
}

func TestManagerFetch(t *testing.T) {
	server := harness.StartRedis(t)
	one, two := newProxy(t, server, *acme()), newProxy(t, server, *acme())
	ctx := harness.Context(t)
	two.poll()
	e, late := trained(t, Everything, 1), trained(t, Everything, 2)
	one.publish(e, 0)
	one.poll()
	plain := newRandom(9).session()
	var n value.Counters
	sealed, ok := one.codecs["acme"].Seal(&n, nil, plain, key("a"))
	if !ok {
		t.Fatal("not compressed")
	}
	_, err := two.codecs["acme"].Open(&n, nil, sealed, key("a"))
	var missing *value.MissingDictError
	if !errors.As(err, &missing) || missing.ID != e.ID {
		t.Fatal(err)
	}
	if err := two.Fetch(ctx, "acme", missing.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := two.codecs["acme"].Open(&n, nil, sealed, key("a")); err != nil || !bytes.Equal(got, plain) {
		t.Error(err)
	}
	if err := two.Fetch(ctx, "acme", e.ID); err != nil {
		t.Error(err)
	}
	two.poll()
	two.wantWrites("a", e.ID)

	// What is not there is not asked for all the time.
	if err := two.Fetch(ctx, "acme", late.ID); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), field(late.ID)) {
		t.Error(err)
	}
	if n, err := one.Store().Restore(ctx, acme(), []*Entry{late}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if err := two.Fetch(ctx, "acme", late.ID); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	two.later(repeatMiss)
	if err := two.Fetch(ctx, "acme", late.ID); err != nil || !two.reads(late.ID) {
		t.Error(err)
	}
	if err := two.Fetch(ctx, "globex", late.ID); !errors.Is(err, ErrUnknownTenant) {
		t.Error(err)
	}
}

// Whatever way the upstream loses dictionaries: it gets them back before one is written with again.
func TestManagerRestores(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(ctx context.Context, c *redis.Client, ids []string)
	}{
		{"all", func(ctx context.Context, c *redis.Client, _ []string) { c.FlushAll(ctx) }},
		{"the hash", func(ctx context.Context, c *redis.Client, _ []string) { c.Del(ctx, "t:acme:dicts") }},
		{"one", func(ctx context.Context, c *redis.Client, ids []string) { c.HDel(ctx, "t:acme:dicts", ids[0]) }},
		{"one damaged", func(ctx context.Context, c *redis.Client, ids []string) {
			c.HSet(ctx, "t:acme:dicts", ids[1], "x")
			c.HIncrBy(ctx, valuesKey, "acme", 1)
		}},
		{"only the versions", func(ctx context.Context, c *redis.Client, _ []string) { c.Del(ctx, valuesKey) }},
		{"all, and another number comes", func(ctx context.Context, c *redis.Client, _ []string) {
			c.FlushAll(ctx)
			c.HSet(ctx, valuesKey, "acme", 5)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProxy(t, harness.StartRedis(t), *acme())
			ctx := harness.Context(t)
			old, now := trained(t, Everything, 1), trained(t, Everything, 2)
			if err := p.Announce(ctx, "globex"); err != nil {
				t.Fatal(err)
			}
			p.publish(old, 0)
			p.publish(now, old.ID)
			p.poll()
			c.lose(ctx, p.client, []string{field(old.ID), field(now.ID)})
			p.Suspect()
			p.wantWrites("a", 0)
			p.poll()
			p.wantWrites("a", now.ID)
			wantStates(t, p.Store(), acme(), map[uint32]string{old.ID: "retired", now.ID: "current"})
			if known := p.Known(); !slices.Equal(known, []string{"acme", "globex"}) {
				t.Error(known)
			}
			p.poll()
			p.wantWrites("a", now.ID)
		})
	}
}

// After a loss another proxy may have trained anew: one stays current.
func TestManagerRestoresBesideAnother(t *testing.T) {
	server := harness.StartRedis(t)
	one, two := newProxy(t, server, *acme()), newProxy(t, server, *acme())
	a, b := trained(t, Everything, 1), trained(t, Everything, 2)
	one.publish(a, 0)
	one.poll()
	one.client.FlushAll(harness.Context(t))
	two.publish(b, 0)
	one.poll()
	two.poll()
	wantStates(t, one.Store(), acme(), map[uint32]string{a.ID: "retired", b.ID: "current"})
	for _, p := range []*proxy{one, two} {
		p.wantWrites("x", b.ID)
		if !p.reads(a.ID) {
			t.Error("lost")
		}
	}
}

func TestManagerDrop(t *testing.T) {
	server := harness.StartRedis(t)
	one, two, asleep := newProxy(t, server, *acme()), newProxy(t, server, *acme()), newProxy(t, server, *acme())
	ctx := harness.Context(t)
	a, b := trained(t, Everything, 1), trained(t, Everything, 2)
	one.publish(a, 0)
	one.poll()
	asleep.poll() // and then not for a long time
	one.publish(b, a.ID)
	two.poll()
	if err := one.Drop(ctx, "acme", a.ID); !errors.Is(err, ErrInUse) {
		t.Error(err)
	}
	back(t, one.Store(), acme(), a.ID, time.Hour)
	if err := one.Drop(ctx, "acme", a.ID); err != nil {
		t.Fatal(err)
	}
	two.poll()
	if two.reads(a.ID) {
		t.Error("it is still known")
	}
	wantStates(t, one.Store(), acme(), map[uint32]string{a.ID: "dropped", b.ID: "current"})
	if err := two.Fetch(ctx, "acme", a.ID); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	// One that may have written with it until now has it brought back.
	asleep.later(time.Hour)
	asleep.stale()
	asleep.poll()
	asleep.wantWrites("x", b.ID)
	wantStates(t, one.Store(), acme(), map[uint32]string{a.ID: "retired", b.ID: "current"})
	two.poll()
	if !two.reads(a.ID) {
		t.Error("it has not come back")
	}
	if err := one.Retire(ctx, "acme", b.ID); err != nil {
		t.Fatal(err)
	}
	two.poll()
	two.wantWrites("x", 0)
	for _, err := range []error{one.Drop(ctx, "globex", 1), one.Retire(ctx, "globex", 1)} {
		if !errors.Is(err, ErrUnknownTenant) {
			t.Error(err)
		}
	}
}

// A proxy that can not ask the upstream stops writing with dictionaries.
func TestManagerStale(t *testing.T) {
	server := harness.StartRedis(t)
	p := newProxy(t, server, *acme())
	e := trained(t, Everything, 1)
	p.publish(e, 0)
	p.poll()
	p.later(StaleAfter)
	p.stale()
	p.wantWrites("x", e.ID)
	p.later(time.Millisecond)
	p.stale()
	p.wantWrites("x", 0)
	if !p.reads(e.ID) {
		t.Error("can not read any more")
	}
	p.poll()
	p.wantWrites("x", e.ID)
	server.Kill()
	if err := p.Poll(harness.Context(t)); err == nil {
		t.Error("no error")
	}
	p.wantWrites("x", 0)
	if !p.reads(e.ID) {
		t.Error("can not read any more")
	}
}

// A tenant whose hash is something else has no dictionaries; the others do.
func TestManagerOneBroken(t *testing.T) {
	globex := *acme()
	globex.ID, globex.Root = "globex", "t:globex:"
	p := newProxy(t, harness.StartRedis(t), *acme(), globex)
	ctx := harness.Context(t)
	p.client.Set(ctx, "t:globex:dicts", "x", 0)
	e := trained(t, Everything, 1)
	p.publish(e, 0)
	p.poll()
	p.wantWrites("x", e.ID)
	p.client.Del(ctx, "t:globex:dicts")
	if err := p.Store().Publish(ctx, &globex, e, 0); err != nil {
		t.Fatal(err)
	}
	p.poll()
	if d := p.codecs["globex"].Dicts().For([]byte("x")); d == nil || d.ID != e.ID {
		t.Error("globex has none")
	}
}

// The keys were changed elsewhere: a proxy that does not know the new one yet leaves alone what is encrypted
// with it.
func TestManagerUnknownKey(t *testing.T) {
	server := harness.StartRedis(t)
	old, changed := *acme(), *acme()
	old.Settings.Keys, changed.Settings.Keys = keyring(t, "one"), keyring(t, "two", "one")
	p := newProxy(t, server, old)
	ctx := harness.Context(t)
	e := trained(t, Everything, 1)
	if err := p.Store().Publish(ctx, &old, e, 0); err != nil {
		t.Fatal(err)
	}
	p.poll()
	p.wantWrites("x", e.ID)
	if err := p.Store().Reseal(ctx, &changed); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p.poll()
		p.wantWrites("x", 0)
		if !p.reads(e.ID) {
			t.Error("can not read with what it knows")
		}
	}
	if _, err := p.Store().Train(ctx, &old, Everything, many(100, newRandom(1).session)); !isLocked(err) {
		t.Errorf("trained beside what it can not read: %v", err)
	}
	without := changed
	without.Settings.Keys = keyring(t, "two")
	wantStates(t, p.Store(), &without, map[uint32]string{e.ID: "current"})
	p.SetTenants([]Tenant{changed})
	p.poll()
	p.wantWrites("x", e.ID)
}
