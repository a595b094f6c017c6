package dictionary

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
	"riptide-proxy/upstream"
	"riptide-proxy/value"
)

// connect is a client as the proxy has it.
func connect(t testing.TB, server *harness.Process) *redis.Client {
	target := upstream.Target{Address: server.Addr, ConnectTimeout: 5 * time.Second, Timeout: 5 * time.Second}
	c := target.Client(4)
	t.Cleanup(func() { c.Close() })
	return c
}

func acme() *Tenant {
	return &Tenant{ID: "acme", Root: "t:acme:", Writes: true, Patterns: []string{"session:*"}, Size: 4 << 10, Settings: settings(value.Fastest)}
}

// keyring is a tenant's with one master key or several; the first is written with.
func keyring(t testing.TB, names ...string) *value.Keyring {
	t.Helper()
	masters := map[string][]byte{}
	for _, name := range names {
		masters[name] = bytes.Repeat([]byte(name[:1]), 32)
	}
	k, err := value.NewKeyring("acme", "aes-256-gcm", names[0], masters)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sessions is a dictionary for sessions.
var sessions = sync.OnceValues(func() (*Trained, error) {
	return Train(many(100, newRandom(1).session), Params{Settings: settings(value.Fastest), Size: 2 << 10})
})

// trained is a dictionary for a pattern; each seed makes another one.
func trained(t testing.TB, pattern string, seed uint64) *Entry {
	t.Helper()
	d, err := sessions()
	if err != nil {
		t.Fatal(err)
	}
	other := *d
	other.Blob = fmt.Appendf(bytes.Clone(d.Blob), "%d", seed)
	e, err := NewEntry(pattern, &other)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// states is what a store has of a tenant: the states by id.
func states(t testing.TB, s *Store, of *Tenant) map[uint32]string {
	t.Helper()
	all, damaged, err := s.List(harness.Context(t), of)
	if err != nil || len(damaged) > 0 {
		t.Fatal(err, damaged)
	}
	is := map[uint32]string{}
	for _, e := range all {
		is[e.ID] = e.State()
	}
	return is
}

func wantStates(t testing.TB, s *Store, of *Tenant, want map[uint32]string) {
	t.Helper()
	if is := states(t, s, of); !maps.Equal(is, want) {
		t.Errorf("have %v, want %v", is, want)
	}
}

// back changes the times of an entry as if it had been stored that long ago.
func back(t testing.TB, s *Store, of *Tenant, id uint32, d time.Duration) {
	t.Helper()
	err := s.change(harness.Context(t), of, func(all []*Entry, _ time.Time) ([]*Entry, error) {
		for _, e := range all {
			if e.ID != id {
				continue
			}
			return []*Entry{e.with(func(m *Meta) {
				for _, at := range []*time.Time{&m.Created, &m.Retired, &m.Dropped} {
					if !at.IsZero() {
						*at = at.Add(-d)
					}
				}
			})}, nil
		}
		return nil, ErrUnknown
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStorePublish(t *testing.T) {
	server := harness.StartRedis(t)
	client := connect(t, server)
	s, tenant, ctx := NewStore(client), acme(), harness.Context(t)
	a, b, other := trained(t, "session:*", 1), trained(t, "session:*", 2), trained(t, Everything, 3)

	last := ""
	changed := func(want bool) {
		t.Helper()
		v, err := s.Versions(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if (v["acme"] != last) != want {
			t.Errorf("version %q after %q", v["acme"], last)
		}
		last = v["acme"]
	}
	if err := s.Announce(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	changed(true)
	if err := s.Announce(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	changed(false)
	for _, step := range []struct {
		e       *Entry
		present uint32
		err     error
		changes bool
	}{
		{a, 99, ErrChanged, false},
		{a, 0, nil, true},
		{a, 0, nil, false}, // it is there already
		{other, 0, nil, true},
		{b, 0, ErrChanged, false},
		{b, a.ID, nil, true},
	} {
		if err := s.Publish(ctx, tenant, step.e, step.present); !errors.Is(err, step.err) {
			t.Errorf("publish %08x after %08x: %v, want %v", step.e.ID, step.present, err, step.err)
		}
		changed(step.changes)
	}
	wantStates(t, s, tenant, map[uint32]string{a.ID: "retired", b.ID: "current", other.ID: "current"})

	got, err := s.Get(ctx, tenant, b.ID)
	if err != nil || !bytes.Equal(got.Blob, b.Blob) || got.Pattern != "session:*" || got.Gain != b.Gain || got.Samples != b.Samples || time.Since(got.Created).Abs() > time.Minute {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.Get(ctx, tenant, 7); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if stored := client.HGet(ctx, "t:acme:dicts", field(b.ID)).Val(); !strings.HasPrefix(stored, `{"version":1,"pattern":"session:*",`) {
		t.Errorf("%.100q", stored)
	}
}

func TestStoreDrop(t *testing.T) {
	s, tenant, ctx := NewStore(connect(t, harness.StartRedis(t))), acme(), harness.Context(t)
	a, b, c := trained(t, Everything, 1), trained(t, Everything, 2), trained(t, Everything, 3)
	drop := func(id uint32, want error) {
		t.Helper()
		if err := s.Drop(ctx, tenant, id); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	for _, p := range []struct {
		e       *Entry
		present uint32
	}{{a, 0}, {b, a.ID}, {c, b.ID}} {
		if err := s.Publish(ctx, tenant, p.e, p.present); err != nil {
			t.Fatal(err)
		}
	}
	drop(99, ErrUnknown)
	drop(c.ID, ErrInUse)
	drop(a.ID, ErrInUse)
	back(t, s, tenant, a.ID, DropAfter-10*time.Second)
	drop(a.ID, ErrInUse)
	back(t, s, tenant, a.ID, 11*time.Second)
	drop(a.ID, nil)
	drop(a.ID, nil)
	wantStates(t, s, tenant, map[uint32]string{a.ID: "dropped", b.ID: "retired", c.ID: "current"})
	if e, err := s.Get(ctx, tenant, a.ID); err != nil || len(e.Blob) > 0 || e.Dict() != nil {
		t.Errorf("%+v, %v", e, err)
	}
	// What was dropped long ago is forgotten with the next change.
	back(t, s, tenant, a.ID, tombstoneTime)
	back(t, s, tenant, b.ID, time.Hour)
	drop(b.ID, nil)
	wantStates(t, s, tenant, map[uint32]string{b.ID: "dropped", c.ID: "current"})
	if err := s.Retire(ctx, tenant, c.ID); err != nil {
		t.Fatal(err)
	}
	wantStates(t, s, tenant, map[uint32]string{b.ID: "dropped", c.ID: "retired"})
	if err := s.Retire(ctx, tenant, 99); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

func TestStoreBounds(t *testing.T) {
	client := connect(t, harness.StartRedis(t))
	s, tenant, ctx := NewStore(client), acme(), harness.Context(t)
	e := trained(t, Everything, 1)
	var retired []*Entry
	for i := range MaxDictionaries {
		other := *trained(t, Everything, uint64(i+10))
		other.Retired = time.Now()
		retired = append(retired, &other)
	}
	if n, err := s.Restore(ctx, tenant, retired); err != nil || n != MaxDictionaries {
		t.Fatal(n, err)
	}
	if err := s.Publish(ctx, tenant, e, 0); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	// A hash that somebody else has filled is not read.
	fields := map[string]string{}
	for i := range maxFields {
		fields[fmt.Sprint(i)] = "x"
	}
	client.HSet(ctx, tenant.key(), fields)
	if _, _, err := s.List(ctx, tenant); !errors.Is(err, errHash) {
		t.Error(err)
	}
	client.Del(ctx, tenant.key())
	client.HSet(ctx, tenant.key(), "0000002a", strings.Repeat("x", maxEntry+1), "0000002b", "x", "0000002C", "not an id", "2d", "x")
	all, damaged, err := s.List(ctx, tenant)
	if err != nil || len(all) > 0 || !slices.Equal(slices.Sorted(maps.Keys(damaged)), []uint32{0x2a, 0x2b}) {
		t.Error(all, damaged, err)
	}
}

// Of proxies that train at once one is the first, and the others notice.
func TestStoreConcurrently(t *testing.T) {
	server := harness.StartRedis(t)
	tenant, ctx := acme(), harness.Context(t)
	const proxies = 4
	results := make(chan error, proxies)
	for i := range proxies {
		s, e := NewStore(connect(t, server)), trained(t, Everything, uint64(i))
		go func() { results <- s.Publish(ctx, tenant, e, 0) }()
	}
	stored := 0
	for range proxies {
		switch err := <-results; {
		case err == nil:
			stored++
		case !errors.Is(err, ErrChanged):
			t.Error(err)
		}
	}
	if stored != 1 {
		t.Errorf("%d were stored", stored)
	}
}

func TestStoreLock(t *testing.T) {
	client := connect(t, harness.StartRedis(t))
	s, tenant := NewStore(client), acme()
	ctx, cancel := context.WithCancel(harness.Context(t))
	take := func(pattern string, want bool) func() {
		t.Helper()
		unlock, ok, err := s.Lock(ctx, tenant, pattern)
		if err != nil || ok != want {
			t.Fatal(ok, err)
		}
		return unlock
	}
	unlock := take(Everything, true)
	take(Everything, false)
	take("session:*", true)
	if ttl := client.PTTL(ctx, "t:acme:dicts:lock:2a").Val(); ttl <= 0 || ttl > lockTime {
		t.Error(ttl)
	}
	unlock()
	second := take(Everything, true)
	unlock() // late: the lock is somebody else's now
	take(Everything, false)
	second()
	last := take(Everything, true)
	cancel()
	last()
	ctx = context.WithoutCancel(ctx)
	take(Everything, true)
}

// With encryption nothing of a dictionary can be read in the upstream.
func TestStoreEncrypted(t *testing.T) {
	client := connect(t, harness.StartRedis(t))
	s, tenant, ctx := NewStore(client), acme(), harness.Context(t)
	e := trained(t, Everything, 1)
	contains := func(want bool) {
		t.Helper()
		if is := strings.Contains(client.HGet(ctx, tenant.key(), field(e.ID)).Val(), "user_agent"); is != want {
			t.Errorf("readable in the upstream: %t", is)
		}
	}
	if err := s.Publish(ctx, tenant, e, 0); err != nil {
		t.Fatal(err)
	}
	contains(true)
	tenant.Settings.Keys = keyring(t, "one")
	if n, err := s.Restore(ctx, tenant, []*Entry{e}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	contains(false)
	wantStates(t, s, tenant, map[uint32]string{e.ID: "current"})
	if got, err := s.Get(ctx, tenant, e.ID); err != nil || !bytes.Equal(got.Blob, e.Blob) || !got.Sealed {
		t.Error(err)
	}

	// A new key, then without the old one.
	tenant.Settings.Keys = keyring(t, "two", "one")
	if err := s.Reseal(ctx, tenant); err != nil {
		t.Fatal(err)
	}
	tenant.Settings.Keys = keyring(t, "two")
	wantStates(t, s, tenant, map[uint32]string{e.ID: "current"})
	tenant.Settings.Keys = keyring(t, "three")
	_, damaged, err := s.List(ctx, tenant)
	if err != nil || len(damaged) != 1 {
		t.Fatal(damaged, err)
	}
	if err := s.Reseal(ctx, tenant); err == nil {
		t.Error("resealed what can not be read")
	}
}
