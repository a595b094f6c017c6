package tests

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

// spaceOf is what a tenant's keys take at one moment, asked of the upstream itself.
func spaceOf(t testing.TB, c *redis.Client, prefix string) (bytes, keys int64) {
	t.Helper()
	v, err := c.Eval(context.Background(), `local sum, n = 0, 0
local cursor = '0'
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1], 'COUNT', 5000)
  cursor = page[1]
  for _, k in ipairs(page[2]) do
    local m = redis.call('MEMORY', 'USAGE', k)
    if m then sum = sum + m n = n + 1 end
  end
until cursor == '0'
return {sum, n}`, nil, prefix+"[0-9]*").Int64Slice()
	if err != nil {
		t.Fatal(err)
	}
	return v[0], v[1]
}

// spacePeak watches what a tenant's keys take until it is stopped.
func spacePeak(t testing.TB, addr, prefix string) (stop func() (bytes, keys int64)) {
	c := redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: 20 * time.Second})
	done, ended := make(chan struct{}), make(chan struct{})
	var most, many int64
	go func() {
		defer close(ended)
		for {
			b, k := spaceOf(t, c, prefix)
			most, many = max(most, b), max(many, k)
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() (int64, int64) {
		close(done)
		<-ended
		c.Close()
		return most, many
	}
}

// isOver reports whether an error says that the tenant is over its memory.
func isOver(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "OOM tenant acme is over its ")
}

const memoryLimit = 16 << 20

func startMemory(t testing.TB, proxies int, quotas string) (r *harness.Process, up *redis.Client, all []*harness.Proxy) {
	r = harness.StartRedis(t)
	up = redis.NewClient(&redis.Options{Addr: r.Addr, ReadTimeout: 20 * time.Second})
	t.Cleanup(func() { up.Close() })
	for range proxies {
		all = append(all, harness.StartProxy(t, r.Addr, harness.Options{Tenants: []harness.Tenant{
			{ID: "acme", Secret: "acme-secret", YAML: "    quotas: " + quotas + "\n"}, harness.Globex,
		}}))
	}
	return r, up, all
}

// Twenty writers on three proxies fill a tenant's memory, in one way each time. What is
// there never passes the quota by more than a hundredth and a value for each writer; reading and deleting
// go on, and what was deleted can be written again soon. The neighbour loses nothing.
func TestQuotaMemory(t *testing.T) {
	t.Parallel()
	const writers = 20
	value := func(n int) string { return strings.Repeat("x", n) }
	for _, x := range []struct {
		name  string
		most  int64 // the largest value
		write func(ctx context.Context, c redis.Cmdable, w, i int) error
	}{
		{"new keys", 1 << 10, func(ctx context.Context, c redis.Cmdable, w, i int) error {
			return c.Set(ctx, fmt.Sprintf("k:%d:%d", w, i), value(1000), 0).Err()
		}},
		{"large keys", 130 << 10, func(ctx context.Context, c redis.Cmdable, w, i int) error {
			return c.Set(ctx, fmt.Sprintf("k:%d:%d", w, i), value(1+rand.IntN(100<<10)), 0).Err()
		}},
		{"new and old", 5 << 10, func(ctx context.Context, c redis.Cmdable, w, i int) error {
			return c.Set(ctx, fmt.Sprintf("k:%d", rand.IntN(1+i*20)), value(rand.IntN(4<<10)), 0).Err()
		}},
		{"lists", 32 << 10, func(ctx context.Context, c redis.Cmdable, w, i int) error {
			return c.RPush(ctx, fmt.Sprintf("l:%d:%d", w, i%10), value(200), value(300)).Err()
		}},
		{"hashes", 32 << 10, func(ctx context.Context, c redis.Cmdable, w, i int) error {
			return c.HSet(ctx, fmt.Sprintf("h:%d:%d", w, i/100), fmt.Sprint("f", i), value(200)).Err()
		}},
		{"append", 256 << 10, func(ctx context.Context, c redis.Cmdable, w, i int) error {
			return c.Append(ctx, fmt.Sprintf("a:%d:%d", w, i/100), value(1000)).Err()
		}},
		{"pipelines", 130 << 10, func(ctx context.Context, c redis.Cmdable, w, i int) error {
			_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
				for j := range 100 {
					p.Set(ctx, fmt.Sprintf("k:%d:%d:%d", w, i, j), value(1000), 0)
				}
				return nil
			})
			return err
		}},
		{"copies", 330 << 10, func(ctx context.Context, c redis.Cmdable, w, i int) error {
			if err := c.Set(ctx, "source", value(256<<10), 0).Err(); err != nil {
				return err
			}
			return c.Copy(ctx, "source", fmt.Sprintf("c:%d:%d", w, i), 0, true).Err()
		}},
	} {
		if !full && !slices.Contains([]string{"new and old", "hashes", "pipelines", "copies"}, x.name) {
			continue
		}
		t.Run(strings.ReplaceAll(x.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			r, up, proxies := startMemory(t, 3, "{memory: 16MiB}")
			ctx := harness.Context(t)
			globex := proxies[0].Client(t, harness.Globex)
			if err := globex.Set(ctx, "mine", value(1<<20), 0).Err(); err != nil {
				t.Fatal(err)
			}
			stop := spacePeak(t, r.Addr, "t:acme:")
			var running sync.WaitGroup
			var wrote atomic.Int64
			var last atomic.Value
			for w := range writers {
				c := proxies[w%3].Client(t, harness.Acme)
				running.Go(func() {
					over := 0
					for i := 0; over < 30; i++ {
						switch err := x.write(ctx, c, w, i); {
						case isOver(err):
							last.Store(err.Error())
							over++
							time.Sleep(5 * time.Millisecond)
						case err != nil:
							t.Error(err)
							return
						default:
							wrote.Add(1)
						}
					}
				})
			}
			running.Wait()
			most, keys := stop()
			t.Log(up.HGetAll(ctx, "t:acme:space").Val(), last.Load())
			t.Logf("peak %d bytes (%.2f %% of the quota), %d keys, %d writes", most, 100*float64(most)/memoryLimit, keys, wrote.Load())
			if limit := memoryLimit/100*101 + writers*x.most; most > int64(limit) {
				t.Errorf("%d bytes, at most %d", most, limit)
			}
			if most < memoryLimit*9/10 {
				t.Errorf("only %d bytes could be written", most)
			}
			c := proxies[1].Client(t, harness.Acme)
			all, err := c.Keys(ctx, "*").Result()
			if err != nil || len(all) == 0 {
				t.Fatal(len(all), err)
			}
			if err := c.Dump(ctx, all[0]).Err(); err != nil {
				t.Error("reading:", err)
			}
			n, err := c.Del(ctx, all[:len(all)/2]...).Result()
			if err != nil || n != int64(len(all)/2) {
				t.Error("deleting:", n, err)
			}
			deleted := time.Now()
			other := proxies[2].Client(t, harness.Acme)
			for {
				err := other.Set(ctx, "again", value(1000), 0).Err()
				if err == nil {
					break
				}
				if !isOver(err) || time.Since(deleted) > 2*soon {
					t.Log(up.HGetAll(ctx, "t:acme:space").Val())
					t.Fatal(err)
				}
				time.Sleep(5 * time.Millisecond)
			}
			took := time.Since(deleted)
			t.Log("writes work again after", took)
			if took > soon {
				t.Error("that is too long")
			}
			if n, err := globex.StrLen(ctx, "mine").Result(); n != 1<<20 || err != nil {
				t.Error("the neighbour:", n, err)
			}
			if v, err := up.Info(ctx, "stats").Result(); err != nil || !strings.Contains(v, "evicted_keys:0") {
				t.Error(err, v)
			}
		})
	}
}
