package tests

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"riptide-proxy/tests/harness"
)

// told collects the keys that the server has declared invalid.
type told struct {
	mu   sync.Mutex
	keys []string
}

func (n *told) add(messages []rueidis.RedisMessage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if messages == nil {
		n.keys = append(n.keys, "everything")
	}
	for _, m := range messages {
		key, _ := m.ToString()
		n.keys = append(n.keys, key)
	}
}

func (n *told) has(key string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.keys, key)
}

// Rueidis keeps what it has read in memory until the server says that it has
// changed. Both tenants cache keys of the same names.
func TestSoftwareRueidisCache(t *testing.T) {
	t.Parallel()
	for _, mode := range []struct {
		name    string
		options []string
	}{
		{"optin", nil},
		{"noloop", []string{"OPTIN", "NOLOOP"}},
		{"optout", []string{"OPTOUT"}},
		{"bcast", []string{"BCAST", "PREFIX", "user:", "PREFIX", "item:"}},
		{"bcast-all", []string{"BCAST"}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			eachAccount(t, func(t *testing.T, a account) {
				ctx := harness.Context(t)
				var invalid told
				c := a.rueidis(t, func(o *rueidis.ClientOption) {
					o.ClientTrackingOptions, o.OnInvalidations = mode.options, invalid.add
				})
				writer := a.goRedis(t)
				for i := range 20 {
					writer.Set(ctx, fmt.Sprint("user:", i), fmt.Sprint(a.name, i), 0)
				}
				writer.HSet(ctx, "item:1", "name", a.name, "price", 5)
				get := func(key string) (value string, hit bool) {
					t.Helper()
					r := c.DoCache(ctx, c.B().Get().Key(key).Cache(), time.Minute)
					value, err := r.ToString()
					if err != nil {
						t.Fatalf("%s: %v", key, err)
					}
					return value, r.IsCacheHit()
				}
				// The server may still be telling of the writes above.
				harness.Eventually(t, "user:0 is cached", func() bool {
					_, hit := get("user:0")
					return hit
				})
				for i := range 20 {
					get(fmt.Sprint("user:", i))
				}
				for i := range 20 {
					if value, hit := get(fmt.Sprint("user:", i)); value != fmt.Sprint(a.name, i) || !hit {
						t.Errorf("user:%d is %q, from the cache: %v", i, value, hit)
					}
				}
				item := func() map[string]string {
					m, err := c.DoCache(ctx, c.B().Hgetall().Key("item:1").Cache(), time.Minute).AsStrMap()
					if err != nil {
						t.Fatal(err)
					}
					return m
				}
				if m := item(); m["name"] != a.name || m["price"] != "5" {
					t.Errorf("item:1 is %v", m)
				}
				writer.HSet(ctx, "item:1", "price", 6)
				writer.Set(ctx, "user:7", "changed", 0)
				harness.Eventually(t, "changes arrive", func() bool {
					value, _ := get("user:7")
					return value == "changed" && item()["price"] == "6" && invalid.has("user:7") && invalid.has("item:1")
				})
				if value, hit := get("user:8"); value != a.name+"8" || !hit {
					t.Errorf("an untouched key: %q, from the cache: %v", value, hit)
				}
				writer.Expire(ctx, "user:9", 0)
				harness.Eventually(t, "an expired key is gone", func() bool {
					return rueidis.IsRedisNil(c.DoCache(ctx, c.B().Get().Key("user:9").Cache(), time.Minute).Error())
				})
				many := c.DoMultiCache(ctx,
					rueidis.CT(c.B().Get().Key("user:1").Cache(), time.Minute), rueidis.CT(c.B().Get().Key("user:15").Cache(), time.Minute),
					rueidis.CT(c.B().Hget().Key("item:1").Field("name").Cache(), time.Minute))
				for i, want := range []string{a.name + "1", a.name + "15", a.name} {
					if got, err := many[i].ToString(); err != nil || got != want {
						t.Errorf("%d of many: %q, %v", i, got, err)
					}
				}
				found, err := rueidis.MGetCache(c, ctx, time.Minute, []string{"user:2", "user:3"})
				if s, _ := found["user:3"]; err != nil || len(found) != 2 || s.String() == "" {
					t.Errorf("MGetCache: %v, %v", found, err)
				}
				invalid.mu.Lock()
				defer invalid.mu.Unlock()
				for _, key := range invalid.keys {
					var n int
					if _, err := fmt.Sscanf(key, "user:%d", &n); err != nil && key != "item:1" {
						t.Errorf("told of the key %q", key)
					}
				}
			})
		})
	}
}

// What a flush does to the cache.
func TestSoftwareRueidisFlush(t *testing.T) {
	t.Parallel()
	acme, globex := accounts(t)
	ctx := harness.Context(t)
	caches := map[string]rueidis.Client{}
	get := func(a account) (string, bool) {
		c := caches[a.name]
		r := c.DoCache(ctx, c.B().Get().Key("k").Cache(), time.Minute)
		value, _ := r.ToString()
		return value, r.IsCacheHit()
	}
	for _, a := range []account{acme, globex} {
		caches[a.name] = a.rueidis(t)
		if err := a.goRedis(t).Set(ctx, "k", a.name, 0).Err(); err != nil {
			t.Fatal(err)
		}
		get(a)
		if value, hit := get(a); value != a.name || !hit {
			t.Errorf("%s reads %q, from the cache: %v", a.name, value, hit)
		}
	}
	if err := acme.goRedis(t).FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the flush empties the cache", func() bool {
		value, _ := get(acme)
		return value == ""
	})
	if value, hit := get(globex); value != globex.name || !hit {
		t.Errorf("another tenant's flush: %q, from the cache: %v", value, hit)
	}
}

// Its pub/sub, in both protocols, also of sharded channels.
func TestSoftwareRueidisPubSub(t *testing.T) {
	t.Parallel()
	for _, resp2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "RESP3", true: "RESP2"}[resp2], func(t *testing.T) {
			eachAccount(t, func(t *testing.T, a account) {
				ctx, stop := context.WithCancel(harness.Context(t))
				c := a.rueidis(t, func(o *rueidis.ClientOption) { o.AlwaysRESP2, o.DisableCache = resp2, resp2 })
				got := make(chan string, 1000)
				var wg sync.WaitGroup
				for _, command := range []rueidis.Completed{
					c.B().Subscribe().Channel("news", "weather").Build(),
					c.B().Psubscribe().Pattern("n*s").Build(),
					c.B().Ssubscribe().Channel("shard").Build(),
				} {
					wg.Go(func() {
						err := c.Receive(ctx, command, func(m rueidis.PubSubMessage) { got <- m.Pattern + " " + m.Channel + " " + m.Message })
						if !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
					})
				}
				publisher := a.goRedis(t)
				harness.Eventually(t, "everything is subscribed", func() bool {
					n, err := publisher.PubSubNumSub(ctx, "news", "weather").Result()
					s, err2 := publisher.PubSubShardNumSub(ctx, "shard").Result()
					return err == nil && err2 == nil && n["news"] == 1 && n["weather"] == 1 && s["shard"] == 1 &&
						publisher.PubSubNumPat(ctx).Val() == 1
				})
				for i := range 100 {
					publisher.Publish(ctx, "news", fmt.Sprint(a.name, i))
				}
				publisher.SPublish(ctx, "shard", a.name)
				var plain, pattern int
				for n := range 201 {
					select {
					case m := <-got:
						switch m {
						case fmt.Sprint(" news ", a.name, plain):
							plain++
						case fmt.Sprint("n*s news ", a.name, pattern):
							pattern++
						case " shard " + a.name:
						default:
							t.Fatalf("got %q after %d and %d", m, plain, pattern)
						}
					case <-time.After(10 * time.Second):
						t.Fatalf("only %d of 201 messages came", n)
					}
				}
				// Commands go on while the same connection listens, in RESP3.
				if s, err := c.Do(ctx, c.B().Set().Key("k").Value(a.name).Build()).ToString(); err != nil || s != "OK" {
					t.Errorf("SET: %q, %v", s, err)
				}
				stop()
				wg.Wait()
			})
		})
	}
}

// A dedicated connection for WATCH and MULTI, pipelines, blocking, and scripts.
func TestSoftwareRueidisDedicated(t *testing.T) {
	t.Parallel()
	eachAccount(t, func(t *testing.T, a account) {
		ctx := harness.Context(t)
		c := a.rueidis(t)
		allAtOnce(t, 8, func(int) error {
			for done := 0; done < 10; {
				err := c.Dedicated(func(d rueidis.DedicatedClient) error {
					if err := d.Do(ctx, d.B().Watch().Key("n").Build()).Error(); err != nil {
						return err
					}
					n, err := d.Do(ctx, d.B().Get().Key("n").Build()).AsInt64()
					if err != nil && !rueidis.IsRedisNil(err) {
						return err
					}
					replies := d.DoMulti(ctx, d.B().Multi().Build(), d.B().Set().Key("n").Value(fmt.Sprint(n+1)).Build(), d.B().Exec().Build())
					return replies[2].Error()
				})
				if err == nil {
					done++
				} else if !rueidis.IsRedisNil(err) {
					return err
				}
			}
			return nil
		})
		if n, err := c.Do(ctx, c.B().Get().Key("n").Build()).AsInt64(); err != nil || n != 80 {
			t.Errorf("counted to %d, %v", n, err)
		}

		waiting := make(chan error, 1)
		go func() {
			kv, err := c.Do(ctx, c.B().Blpop().Key("l1", "l2").Timeout(10).Build()).AsStrSlice()
			if err == nil && !slices.Equal(kv, []string{"l2", a.name}) {
				err = fmt.Errorf("popped %q", kv)
			}
			waiting <- err
		}()
		time.Sleep(50 * time.Millisecond)
		if err := c.Do(ctx, c.B().Rpush().Key("l2").Element(a.name).Build()).Error(); err != nil {
			t.Error(err)
		}
		if err := <-waiting; err != nil {
			t.Error(err)
		}

		script := rueidis.NewLuaScript("return redis.call('INCRBY', KEYS[1], ARGV[1])")
		for i := range 5 {
			if n, err := script.Exec(ctx, c, []string{"total"}, []string{"10"}).AsInt64(); err != nil || n != int64(i+1)*10 {
				t.Errorf("a script: %d, %v", n, err)
			}
		}
		commands := make(rueidis.Commands, 0, 500)
		for i := range 500 {
			commands = append(commands, c.B().Incrby().Key("pipeline").Increment(int64(i)).Build())
		}
		sum := 0
		for i, r := range c.DoMulti(ctx, commands...) {
			sum += i
			if n, err := r.AsInt64(); err != nil || n != int64(sum) {
				t.Fatalf("%d of a pipeline: %d, %v; want %d", i, n, err, sum)
			}
		}
	})
}
