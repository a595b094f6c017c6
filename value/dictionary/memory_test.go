package dictionary

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
	"riptide-proxy/value"
)

// usage is the server's used_memory.
func usage(t *testing.T, client *redis.Client) (n int) {
	t.Helper()
	info := client.Info(harness.Context(t), "memory").Val()
	if _, err := fmt.Sscanf(info[strings.Index(info, "used_memory:"):], "used_memory:%d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Sessions of 300 bytes take less than half of the memory of the server, all that it keeps about a key included.
func TestMemory(t *testing.T) {
	client := connect(t, harness.StartRedis(t))
	tenant, ctx := acme(), harness.Context(t)
	tenant.Size = 16 << 10
	const n = 5000
	r := newRandom(5)
	var plain [][]byte
	var names []string
	for range n {
		plain, names = append(plain, r.session()), append(names, "session:"+r.hex(32))
	}
	set := func(v func(i int) []byte) (used int, one float64) {
		t.Helper()
		client.FlushAll(ctx)
		before := usage(t, client)
		_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, name := range names {
				p.Set(ctx, "t:acme:0:"+name, v(i), 0)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		total := int64(0)
		for _, name := range names[:100] {
			total += client.MemoryUsage(ctx, "t:acme:0:"+name).Val()
		}
		return usage(t, client) - before, float64(total) / 100
	}
	usedPlain, onePlain := set(func(i int) []byte { return plain[i] })

	// What is stored is what the dictionary is trained with, as riptide-proxy dict train does.
	codec, err := value.NewCodec(tenant.Settings)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Collect(ctx, client, tenant, codec, prefixMatch, []string{"session:*"})
	if err != nil || found.Failed > 0 || len(found.Samples["session:*"]) != collectValues || len(found.Samples) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	e, err := NewStore(client).Train(ctx, tenant, "session:*", found.Samples["session:*"])
	if err != nil {
		t.Fatal(err)
	}
	codec.SetDicts(value.NewDicts(nil, []*value.Dict{e.Dict()}))
	var counters value.Counters
	bytes := 0
	usedSealed, oneSealed := set(func(i int) []byte {
		sealed, ok := codec.Seal(&counters, nil, plain[i], key(names[i]))
		if !ok {
			t.Error("a session was not compressed")
		}
		bytes += len(sealed)
		return sealed
	})
	t.Logf("%d bytes a value sealed; MEMORY USAGE %.0f plain, %.0f sealed (%.1f %% less); used_memory %d plain, %d sealed (%.1f %% less)",
		bytes/n, onePlain, oneSealed, 100-100*oneSealed/onePlain, usedPlain/n, usedSealed/n, 100-100*float64(usedSealed)/float64(usedPlain))
	if oneSealed > onePlain/2 || usedSealed > usedPlain/2 {
		t.Error("that is more than half")
	}
}

// What can not be opened is counted, and of what changes meanwhile nothing is expected.
func TestCollect(t *testing.T) {
	client := connect(t, harness.StartRedis(t))
	tenant, ctx := acme(), harness.Context(t)
	r := newRandom(1)
	other, err := value.NewCodec(value.Settings{Tenant: "acme", Algorithm: "none", Limit: 1 << 20, Keys: keyring(t, "one")})
	if err != nil {
		t.Fatal(err)
	}
	var n value.Counters
	sealed, _ := other.Seal(&n, nil, r.session(), value.Name{Prefix: []byte("t:acme:0:"), Key: []byte("sealed")})
	client.Set(ctx, "t:acme:0:sealed", sealed, 0)
	client.Set(ctx, "t:acme:0:session:1", r.session(), 0)
	client.Set(ctx, "t:acme:11:session:with:colons", r.session(), 0)
	client.Set(ctx, "t:acme:0:long", make([]byte, 1<<20), 0)
	client.Set(ctx, "t:acme:0:short", "x", 0)
	client.Set(ctx, "t:acme:0:number", "123456", 0)
	client.Set(ctx, "t:acme:jobs", r.session(), 0)
	client.Set(ctx, "t:acme:x:y", r.session(), 0)
	client.Set(ctx, "t:acmes:0:session:1", r.session(), 0)
	client.HSet(ctx, "t:acme:0:hash", "a", r.session(), "b", make([]byte, 1<<20))
	client.SAdd(ctx, "t:acme:0:set", r.session())
	codec, err := value.NewCodec(tenant.Settings)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Collect(ctx, client, tenant, codec, prefixMatch, tenant.patterns())
	if err != nil || c.Keys != 8 || c.Failed != 1 || c.Err == nil || len(c.Samples["session:*"]) != 2 || len(c.Samples[Everything]) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	client.Close()
	if _, err := Collect(ctx, client, tenant, codec, prefixMatch, tenant.patterns()); err == nil {
		t.Error("no error without an upstream")
	}
}

func TestEscapeGlob(t *testing.T) {
	if got := escapeGlob(`t:{a*}[?]\:`); got != `t:{a\*}\[\?\]\\:` {
		t.Error(got)
	}
}
