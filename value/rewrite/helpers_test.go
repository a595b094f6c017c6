package rewrite

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
	"riptide-proxy/value"
)

const root = "t:acme:"

var masters = map[string][]byte{
	"one": bytes.Repeat([]byte("1a"), 16), "two": bytes.Repeat([]byte("2b"), 16), "three": bytes.Repeat([]byte("3c"), 16),
}

// fixture is a tenant's data in a server, and what is in it as clients see it.
type fixture struct {
	t      *testing.T
	client *redis.Client
	texts  map[string]string
	hashes map[string]map[string]string
}

func newFixture(t *testing.T, args ...string) *fixture {
	t.Helper()
	return fixtureAt(t, harness.StartRedis(t, args...).Addr)
}

func fixtureAt(t *testing.T, addr string) *fixture {
	client := redis.NewClient(&redis.Options{Addr: addr, Protocol: 2, DisableIdentity: true, MaxRetries: -1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() })
	return &fixture{t: t, client: client, texts: map[string]string{}, hashes: map[string]map[string]string{}}
}

// settings are those of a codec in which everything is sealed that can be.
func settings(algorithm config.Algorithm, key string) value.Settings {
	cipher := ""
	if key != "" {
		cipher = "aes-256-gcm"
	}
	ring, err := value.NewKeyring("acme", cipher, key, masters)
	if err != nil {
		panic(err)
	}
	return value.Settings{Tenant: "acme", Algorithm: algorithm, MinSize: 64, MinSaving: 10, Limit: 1 << 29, Keys: ring}
}

func codec(t *testing.T, algorithm config.Algorithm, key string) *value.Codec {
	t.Helper()
	c, err := value.NewCodec(settings(algorithm, key))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// text is about n bytes that compress well, or do not if n is odd.
func text(seed, n int) string {
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	var b strings.Builder
	for b.Len() < n {
		if n%2 == 1 {
			b.WriteByte(byte(r.Uint32()))
		} else {
			fmt.Fprintf(&b, `{"id": %d, "name": "customer", "active": true}, `, r.IntN(1000))
		}
	}
	return b.String()[:n]
}

// fill stores plain values of all kinds: n strings, and some of everything else.
func (f *fixture) fill(n int) {
	f.t.Helper()
	p := f.client.Pipeline()
	ctx := f.t.Context()
	for i := range n {
		key := fmt.Sprintf("%s%d:text:%d", root, i%3, i)
		f.texts[key] = text(i, 40+i%700)
		p.Set(ctx, key, f.texts[key], 0)
	}
	for key, v := range map[string]string{
		"0:": "the empty key, " + text(1, 200), "0:number": "12345", "0:empty": "", "0:a:b": text(2, 4000), "0:\x00\xff[*": text(3, 400),
		"0:magic": value.Magic + "and more of it", "0:large": text(4, 3<<20),
	} {
		f.texts[root+key] = v
		p.Set(ctx, root+key, v, 0)
	}
	for i, size := range []int{1, 100, 700} {
		key := root + "1:hash:" + strconv.Itoa(i)
		f.hashes[key] = map[string]string{}
		for j := range size {
			f.hashes[key][fmt.Sprint("field\xfe", j)] = text(j, 10+j%400)
		}
		f.hashes[key]["n"] = "7"
		p.HSet(ctx, key, f.hashes[key])
	}
	p.RPush(ctx, root+"0:list", text(1, 1000))
	p.SAdd(ctx, root+"0:set", text(1, 1000))
	for i := range 50 {
		p.XAdd(ctx, &redis.XAddArgs{Stream: root + "0:stream", Values: []any{"a", text(i, 500), "a", "1"}})
	}
	// None of these is in a database of the tenant.
	for _, key := range []string{"t:acme2:0:x", "t:acmee", root + "dicts", root + "x:0", root + "0", root + "0x:y", "t:globex:0:" + root + "0:y"} {
		p.Set(ctx, key, text(9, 1000), 0)
	}
	if _, err := p.Exec(ctx); err != nil {
		f.t.Fatal(err)
	}
}

// options are those of a run that does not rest in between.
func (f *fixture) options(c *value.Codec, job Job) Options {
	return Options{Client: f.client, Root: root, Codec: c, Job: job, Config: "c1"}
}

// run runs to the end.
func (f *fixture) run(o Options) State {
	f.t.Helper()
	s, err := Run(f.t.Context(), o)
	if err != nil {
		f.t.Fatal(err)
	}
	if s.Finished.IsZero() || s.Done() != 1 {
		f.t.Errorf("not finished: %+v", s)
	}
	return s
}

// check opens everything and compares it with what clients have stored. Each stored value is
// shown to see.
func (f *fixture) check(c *value.Codec, see func(key, stored string)) {
	f.t.Helper()
	var n value.Counters
	compare := func(key, field, stored, want string) {
		name := nameOf(key)
		plain, err := c.Open(&n, nil, []byte(stored), name)
		if err != nil || string(plain) != want {
			f.t.Errorf("%q %q: %v, %d bytes instead of %d", key, field, err, len(plain), len(want))
		}
		if see != nil {
			see(key, stored)
		}
	}
	for key, want := range f.texts {
		compare(key, "", f.client.Get(f.t.Context(), key).Val(), want)
	}
	for key, want := range f.hashes {
		got := f.client.HGetAll(f.t.Context(), key).Val()
		if len(got) != len(want) {
			f.t.Errorf("%q has %d fields instead of %d", key, len(got), len(want))
		}
		for field, v := range want {
			compare(key, field, got[field], v)
		}
	}
	for _, key := range []string{"t:acme2:0:x", "t:acmee", root + "dicts", root + "x:0", root + "0", root + "0x:y", "t:globex:0:" + root + "0:y"} {
		if got := f.client.Get(f.t.Context(), key).Val(); got != text(9, 1000) {
			f.t.Errorf("%q was changed", key)
		}
	}
	if got := f.client.LIndex(f.t.Context(), root+"0:list", 0).Val(); got != text(1, 1000) {
		f.t.Error("the list was changed")
	}
}

func nameOf(key string) value.Name {
	r := run{Options: Options{Root: root}}
	name, ok := r.name(key)
	if !ok {
		panic(key)
	}
	return name
}

// values is how many values of strings and hashes there are.
func (f *fixture) values() (n int64) {
	n = int64(len(f.texts))
	for _, h := range f.hashes {
		n += int64(len(h))
	}
	return n
}

// soon bounds what must happen.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
