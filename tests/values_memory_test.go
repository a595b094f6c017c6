package tests

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/corpus"
	"riptide-proxy/tests/harness"
	"riptide-proxy/value"
	"riptide-proxy/value/dictionary"
)

// corpora are what is stored. All tenants are called the same here, so that keys are equally
// long; the least that zstd must save is in percent.
var corpora = []struct {
	name    string
	key     string // what the keys begin with
	count   int
	of      func(i int) []byte
	hash    int    // how many are in a hash together; 0: each is a string
	saves   int    // by zstd and dictionaries
	alone   int    // by zstd without dictionaries
	pattern string // of the dictionary that it has of its own; empty: none
}{
	{name: "HTML pages, 19 KiB", key: "page:", count: 300, of: corpus.HTML, saves: 70, alone: 70, pattern: "page:*"},
	{name: "JSON documents, 2.3 KiB", key: "api:", count: 4000, of: document, saves: 60, alone: 60, pattern: dictionary.Everything},
	{name: "the same in hashes of 50", key: "list:", count: 4000, of: document, hash: 50, saves: 60, alone: 60},
	{name: "JSON sessions, 300 B", key: "sess:", count: 26_000, of: corpus.Session, saves: 50, pattern: "sess:*"},
	{name: "random bytes, 16 B", key: "r16:", count: 300, of: random(16)},
	{name: "random bytes, 100 B", key: "r100:", count: 300, of: random(100)},
	{name: "random bytes, 1 KiB", key: "r1k:", count: 300, of: random(1 << 10)},
	{name: "random bytes, 5000 B", key: "r5k:", count: 300, of: random(5000)},
	{name: "random bytes, 100 KiB", key: "r100k:", count: 30, of: random(100 << 10)},
}

func document(i int) []byte { return corpus.Document(i, 2000) }

func random(size int) func(i int) []byte {
	return func(i int) []byte { return corpus.Random(i, size) }
}

// mostForRandom is how many bytes more a value may take that nothing makes shorter.
const mostForRandom = 16

// used is what a corpus takes in the upstream.
type used struct {
	plain  int64   // bytes that the client wrote
	stored int64   // bytes of the values as they are stored
	usage  []int64 // of each key, as MEMORY USAGE has it
	total  int64   // by how much used_memory grew
}

func (u used) sum() (n int64) {
	for _, x := range u.usage {
		n += x
	}
	return n
}

// saved is in percent.
func saved(now, plain int64) float64 { return 100 * (1 - float64(now)/float64(plain)) }

// Compression saves memory where it matters, in the upstream: with keys and objects, and in all.
func TestValuesMemory(t *testing.T) {
	t.Parallel()
	plain := storeCorpora(t, "none", false)
	for i, mode := range []struct {
		name, settings         string
		measured, dictionaries bool // measured: there is a least that it must save
	}{
		{"lz4", "lz4", false, false},
		{"s2", "s2", false, false},
		{"zstd alone", "zstd, dictionaries: {enabled: false}", true, false},
		{"zstd", `zstd, dictionaries: {patterns: ["page:*", "sess:*"]}`, true, true},
	} {
		if !full && !mode.measured && i > 0 {
			continue // of those that are only compared, one
		}
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			got := storeCorpora(t, mode.settings, mode.dictionaries)
			for i, c := range corpora {
				is, was := got[i], plain[i]
				usage, total := saved(is.sum(), was.sum()), saved(is.total, was.total)
				t.Logf("%-26s %8d B plain, stored %5.1f %%; MEMORY USAGE %9d B, saved %5.1f %%; used_memory %9d B, saved %5.1f %%", c.name,
					is.plain/int64(c.count), 100*float64(is.stored)/float64(is.plain), is.sum(), usage, is.total, total)
				if strings.HasPrefix(c.name, "random") {
					for k := range is.usage {
						if more := is.usage[k] - was.usage[k]; more > mostForRandom {
							t.Errorf("%s: value %d takes %d bytes more", c.name, k, more)
						}
					}
					continue
				}
				least := 0
				switch mode.name {
				case "zstd":
					least = c.saves
				case "zstd alone":
					least = c.alone
				}
				if least > 0 && min(usage, total) < float64(least) {
					t.Errorf("%s: saved only %.1f %% of MEMORY USAGE and %.1f %% of used_memory, not %d %%", c.name, usage, total, least)
				}
			}
		})
	}
}

// storeCorpora writes everything through a proxy into an upstream of its own.
func storeCorpora(t *testing.T, compression string, dictionaries bool) []used {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r := harness.StartRedis(t)
	tenant := harness.Acme
	tenant.YAML = fmt.Sprintf("    compression: {algorithm: %s}\n", compression)
	p := harness.StartProxy(t, r.Addr, harness.Options{Tenants: []harness.Tenant{tenant}})
	p.Ready(t)
	client := p.Client(t, tenant)
	upstream := redis.NewClient(&redis.Options{Addr: r.Addr})
	defer upstream.Close()
	if dictionaries {
		teach(t, ctx, client, upstream)
	}
	var all []used
	for i, c := range corpora {
		var u used
		before := usedMemory(t, ctx, upstream)
		keys := make([]string, 0, c.count)
		inPipeline(t, ctx, client, c.count, func(pipe redis.Pipeliner, k int) {
			v := c.of(k)
			u.plain += int64(len(v))
			if c.hash == 0 {
				keys = append(keys, keyName(c.key, k))
				pipe.Set(ctx, keys[k], v, 0)
				return
			}
			if k%c.hash == 0 {
				keys = append(keys, keyName(c.key, k))
			}
			pipe.HSet(ctx, keys[k/c.hash], fmt.Sprint("id:", k), v)
		})
		u.total = usedMemory(t, ctx, upstream) - before
		for _, got := range inPipeline(t, ctx, upstream, len(keys), func(pipe redis.Pipeliner, k int) {
			pipe.MemoryUsage(ctx, "t:acme:0:"+keys[k], 0)
		}) {
			u.usage = append(u.usage, got.(*redis.IntCmd).Val())
		}
		u.stored = storedBytes(t, ctx, upstream, keys, c.hash > 0)
		readBack(t, ctx, client, keys, i)
		all = append(all, u)
	}
	return all
}

// keyName is as long as those of session libraries, and always the same for the same number.
func keyName(prefix string, i int) string {
	s := rand.New(rand.NewPCG(uint64(i), uint64(len(prefix))))
	return fmt.Sprintf("%s%016x%016x", prefix, s.Uint64(), s.Uint64())
}

// inPipeline sends n commands, few at a time so that the upstream's buffers stay small.
func inPipeline(t *testing.T, ctx context.Context, c *redis.Client, n int, add func(pipe redis.Pipeliner, i int)) []redis.Cmder {
	t.Helper()
	var all []redis.Cmder
	for from := 0; from < n; from += 16 {
		got, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i := from; i < min(from+16, n); i++ {
				add(pipe, i)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, got...)
	}
	return all
}

func usedMemory(t *testing.T, ctx context.Context, upstream *redis.Client) (n int64) {
	t.Helper()
	info, err := upstream.Info(ctx, "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if k, _ := fmt.Sscanf(line, "used_memory:%d", &n); k == 1 {
			return n
		}
	}
	t.Fatalf("no used_memory in %q", info)
	return 0
}

func storedBytes(t *testing.T, ctx context.Context, upstream *redis.Client, keys []string, hash bool) (n int64) {
	t.Helper()
	for _, got := range inPipeline(t, ctx, upstream, len(keys), func(pipe redis.Pipeliner, i int) {
		if hash {
			pipe.HVals(ctx, "t:acme:0:"+keys[i])
		} else {
			pipe.StrLen(ctx, "t:acme:0:"+keys[i])
		}
	}) {
		switch got := got.(type) {
		case *redis.IntCmd:
			n += got.Val()
		case *redis.StringSliceCmd:
			for _, v := range got.Val() {
				n += int64(len(v))
			}
		}
	}
	return n
}

// readBack makes sure of some of the values: saving would be easy otherwise.
func readBack(t *testing.T, ctx context.Context, client *redis.Client, keys []string, which int) {
	t.Helper()
	c := corpora[which]
	for k := 0; k < c.count; k += 29 {
		var got string
		var err error
		if c.hash > 0 {
			got, err = client.HGet(ctx, keys[k/c.hash], fmt.Sprint("id:", k)).Result()
		} else {
			got, err = client.Get(ctx, keys[k]).Result()
		}
		if err != nil || got != string(c.of(k)) {
			t.Fatalf("%s: value %d came back as %d bytes, %v", c.name, k, len(got), err)
		}
	}
}

// teach writes values until there is a dictionary for each corpus that is to have one, and the
// proxy writes with it. Those that are measured afterwards are others. The same few keys get them all, so that
// the upstream's table of keys grows no differently from one without dictionaries.
func teach(t *testing.T, ctx context.Context, client, upstream *redis.Client) {
	t.Helper()
	store, tenant := dictionary.NewStore(upstream), &dictionary.Tenant{ID: "acme", Root: "t:acme:"}
	next := 1 << 20
	for {
		entries, _, err := store.List(ctx, tenant)
		if err != nil {
			t.Fatal(err)
		}
		missing := 0
		for _, c := range corpora {
			if c.pattern == "" {
				continue
			}
			const keys = 20
			inPipeline(t, ctx, client, keys, func(pipe redis.Pipeliner, k int) {
				pipe.Set(ctx, fmt.Sprint(c.key, k), c.of(next+k), 0)
			})
			next += keys
			stored, err := upstream.Get(ctx, "t:acme:0:"+c.key+"0").Bytes()
			if err != nil {
				t.Fatal(err)
			}
			h, _, _ := value.ParseHeader(stored)
			if !slices.ContainsFunc(entries, func(e *dictionary.Entry) bool { return e.Pattern == c.pattern && e.ID == h.Dict }) {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d corpora have no dictionary", missing)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
