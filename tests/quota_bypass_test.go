package tests

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

// bypass is a way in which a tenant may try to take more memory than it may.
type bypass struct {
	name string
	most int64 // what one writer may have on its way when the limit is reached
	// sealed: it is worth being tried with values that are stored sealed.
	sealed bool
	setup  func(ctx context.Context, c *redis.Client) error
	write  func(ctx context.Context, c *redis.Client, w, i int) error
}

const (
	bypassLimit   = 4 << 20
	bypassWriters = 6
	// bypassTime is for those whom nothing is refused, as what they write is little.
	bypassTime = time.Second
)

// noise is text that does not get shorter by compressing it.
var noise = func() string {
	b := make([]byte, 32<<20)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte('!' + rnd.IntN(90))
	}
	return string(b)
}()

func text(n int) string {
	at := rand.IntN(len(noise) - n)
	return noise[at : at+n]
}

// queue runs commands in one transaction or pipeline.
func queue(ctx context.Context, tx bool, c *redis.Client, n int, add func(p redis.Pipeliner, j int)) error {
	p := c.Pipeline()
	if tx {
		p = c.TxPipeline()
	}
	for j := range n {
		add(p, j)
	}
	all, err := p.Exec(ctx)
	for _, one := range all {
		if isOver(one.Err()) {
			return one.Err()
		}
	}
	return err
}

var bypasses = []bypass{
	{name: "transactions", most: 120 << 10, sealed: true, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, true, c, 100, func(p redis.Pipeliner, j int) { p.Set(ctx, fmt.Sprint("k", w, ":", i, ":", j), text(1000), 0) })
	}},
	{name: "copies in transactions", most: 64 << 10, sealed: true, setup: func(ctx context.Context, c *redis.Client) error {
		return c.Set(ctx, "source", text(20<<10), 0).Err()
	}, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, true, c, 20, func(p redis.Pipeliner, j int) { p.Copy(ctx, "source", fmt.Sprint("k", w, ":", i, ":", j), 0, true) })
	}},
	{name: "copies to other databases", most: 64 << 10, setup: func(ctx context.Context, c *redis.Client) error {
		return c.Set(ctx, "source", text(50<<10), 0).Err()
	}, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return c.Copy(ctx, "source", fmt.Sprint("k", w, ":", i), i%16, true).Err()
	}},
	{name: "other databases", most: 2 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, false, c, 2, func(p redis.Pipeliner, j int) {
			if j == 0 {
				p.Do(ctx, "SELECT", i%16)
			} else {
				p.Set(ctx, fmt.Sprint("k", w, ":", i), text(1000), 0)
			}
		})
	}},
	{name: "pipelines", most: 300 << 10, sealed: true, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, false, c, 10000, func(p redis.Pipeliner, j int) { p.Set(ctx, fmt.Sprint("k", w, ":", i, ":", j), text(100), 0) })
	}},
	{name: "large values", most: 3 << 20, sealed: true, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return c.Set(ctx, fmt.Sprint("k", w, ":", i), text(1<<rand.IntN(24)), 0).Err()
	}},
	{name: "reconnecting", most: 5 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		o := *c.Options()
		own := redis.NewClient(&o)
		defer own.Close()
		return own.Set(ctx, fmt.Sprint("k", w, ":", i), text(4000), 0).Err()
	}},
	{name: "watching", most: 5 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return c.Watch(ctx, func(tx *redis.Tx) error { return tx.Set(ctx, fmt.Sprint("k", w, ":", i), text(4000), 0).Err() }, "watched")
	}},
	{name: "watching copies", most: 64 << 10, sealed: true, setup: func(ctx context.Context, c *redis.Client) error {
		return c.Set(ctx, "source", text(20<<10), 0).Err()
	}, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return c.Watch(ctx, func(tx *redis.Tx) error { return tx.Copy(ctx, "source", fmt.Sprint("k", w, ":", i), 0, true).Err() }, "watched")
	}},
	{name: "restored", most: 1100 << 10, sealed: true, setup: func(ctx context.Context, c *redis.Client) error {
		return c.Set(ctx, "source", strings.Repeat("x", 1<<20), 0).Err()
	}, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		dump, err := c.Dump(ctx, "source").Result()
		if err != nil {
			return err
		}
		return c.RestoreReplace(ctx, fmt.Sprint("k", w, ":", i), 0, dump).Err()
	}},
	{name: "restored in transactions", most: 128 << 10, sealed: true, setup: func(ctx context.Context, c *redis.Client) error {
		return c.Set(ctx, "source", strings.Repeat("x", 100<<10), 0).Err()
	}, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		dump, err := c.Dump(ctx, "source").Result()
		if err != nil {
			return err
		}
		return queue(ctx, true, c, 10, func(p redis.Pipeliner, j int) { p.RestoreReplace(ctx, fmt.Sprint("k", w, ":", i, ":", j), 0, dump) })
	}},
	{name: "sorted", most: 400 << 10, setup: func(ctx context.Context, c *redis.Client) error {
		return queue(ctx, false, c, 2000, func(p redis.Pipeliner, j int) { p.RPush(ctx, "source", fmt.Sprint("element:", j, text(80))) })
	}, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return c.SortStore(ctx, "source", fmt.Sprint("k", w, ":", i), &redis.Sort{Alpha: true}).Err()
	}},
	{name: "unions", most: 400 << 10, setup: func(ctx context.Context, c *redis.Client) error {
		return queue(ctx, false, c, 1000, func(p redis.Pipeliner, j int) {
			p.ZAdd(ctx, "source", redis.Z{Score: float64(j), Member: fmt.Sprint("member:", j)})
		})
	}, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return c.ZUnionStore(ctx, fmt.Sprint("k", w, ":", i), &redis.ZStore{Keys: []string{"source"}}).Err()
	}},
	{name: "bits", most: 300 << 10, sealed: true, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return c.SetBit(ctx, fmt.Sprint("k", w, ":", i), 8*200<<10, 1).Err()
	}},
	{name: "bits in transactions", most: 64 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, true, c, 10, func(p redis.Pipeliner, j int) { p.SetBit(ctx, fmt.Sprint("k", w, ":", i, ":", j), 8*20<<10, 1) })
	}},
	{name: "ranges", most: 300 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return c.SetRange(ctx, fmt.Sprint("k", w, ":", i), 200<<10, "x").Err()
	}},
	{name: "bit fields", most: 300 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return c.BitField(ctx, fmt.Sprint("k", w, ":", i), "SET", "u8", "#200000", 1).Err()
	}},
	{name: "appended", most: 256 << 10, sealed: true, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, false, c, 50, func(p redis.Pipeliner, j int) { p.Append(ctx, fmt.Sprint("k", w, ":", i%3), text(1000)) })
	}},
	{name: "sketches", most: 16 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, false, c, 20, func(p redis.Pipeliner, j int) {
			p.PFAdd(ctx, fmt.Sprint("k", w, ":", i%100), rand.Int(), rand.Int(), rand.Int(), rand.Int(), rand.Int(), rand.Int(), rand.Int())
		})
	}},
	{name: "streams", most: 32 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, false, c, 20, func(p redis.Pipeliner, j int) {
			p.XAdd(ctx, &redis.XAddArgs{Stream: fmt.Sprint("s", w), Values: []any{"f", text(500)}})
		})
	}},
	{name: "consumers", most: 64 << 10, setup: func(ctx context.Context, c *redis.Client) error {
		return c.XGroupCreateMkStream(ctx, "stream", "group", "$").Err()
	}, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, false, c, 50, func(p redis.Pipeliner, j int) {
			p.Do(ctx, "XREADGROUP", "GROUP", "group", fmt.Sprint(text(4000), w, ":", i, ":", j), "STREAMS", "stream", "0")
		})
	}},
	{name: "consumers in transactions", most: 64 << 10, setup: func(ctx context.Context, c *redis.Client) error {
		return c.XGroupCreateMkStream(ctx, "stream", "group", "$").Err()
	}, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, true, c, 10, func(p redis.Pipeliner, j int) {
			p.Do(ctx, "XREADGROUP", "GROUP", "group", fmt.Sprint(text(4000), w, ":", i, ":", j), "COUNT", 1, "STREAMS", "stream", "0")
		})
	}},
	{name: "pending entries", most: 300 << 10, setup: func(ctx context.Context, c *redis.Client) error {
		return queue(ctx, false, c, 500, func(p redis.Pipeliner, j int) {
			p.XAdd(ctx, &redis.XAddArgs{Stream: "stream", Values: []any{"f", j}})
		})
	}, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, false, c, 20, func(p redis.Pipeliner, j int) {
			group := fmt.Sprint("g", w, ":", i, ":", j/2)
			if j%2 == 0 {
				p.XGroupCreate(ctx, "stream", group, "0")
			} else {
				p.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: "c", Streams: []string{"stream", ">"}, Block: -1})
			}
		})
	}},
	{name: "claims", most: 64 << 10, setup: func(ctx context.Context, c *redis.Client) error {
		if err := c.XGroupCreateMkStream(ctx, "stream", "group", "$").Err(); err != nil {
			return err
		}
		return queue(ctx, false, c, 2, func(p redis.Pipeliner, j int) {
			p.XAdd(ctx, &redis.XAddArgs{Stream: "stream", Values: []any{"f", j}})
			p.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "group", Consumer: "c", Streams: []string{"stream", ">"}, Block: -1})
		})
	}, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, false, c, 50, func(p redis.Pipeliner, j int) {
			p.Do(ctx, "XAUTOCLAIM", "stream", "group", fmt.Sprint(text(4000), w, ":", i, ":", j), 0, 0)
		})
	}},
	{name: "sorted with what is elsewhere", most: 400 << 10, sealed: true, setup: func(ctx context.Context, c *redis.Client) error {
		return queue(ctx, false, c, 100, func(p redis.Pipeliner, j int) {
			p.RPush(ctx, "source", "1")
			p.Set(ctx, "large_1", text(100<<10), 0)
		})
	}, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return c.SortStore(ctx, "source", fmt.Sprint("k", w, ":", i), &redis.Sort{By: "nosort", Get: []string{"large_*"}}).Err()
	}},
	{name: "what grows before it is copied", most: 64 << 10, sealed: true, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		source := fmt.Sprint("source", w)
		if err := c.Set(ctx, source, "x", 0).Err(); err != nil {
			return err
		}
		o := *c.Options()
		other := redis.NewClient(&o)
		defer other.Close()
		err := c.Watch(ctx, func(tx *redis.Tx) error {
			tx.Process(ctx, redis.NewCmd(ctx, "MULTI"))
			for j := range 20 {
				tx.Process(ctx, redis.NewCmd(ctx, "COPY", source, fmt.Sprint("k", w, ":", i, ":", j)))
			}
			if err := other.Set(ctx, source, text(100<<10), 0).Err(); err != nil && !isOver(err) {
				return err
			}
			exec := redis.NewCmd(ctx, "EXEC")
			tx.Process(ctx, exec)
			return exec.Err()
		}, "watched")
		return err
	}},
	{name: "transactions that wait for their end", most: 64 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return c.Watch(ctx, func(tx *redis.Tx) error {
			tx.Process(ctx, redis.NewCmd(ctx, "MULTI"))
			for j := range 20 {
				set := redis.NewCmd(ctx, "SET", fmt.Sprint("k", w, ":", i, ":", j), text(20<<10))
				if tx.Process(ctx, set); isOver(set.Err()) {
					tx.Process(ctx, redis.NewCmd(ctx, "DISCARD"))
					return set.Err()
				}
			}
			time.Sleep(700 * time.Millisecond)
			exec := redis.NewCmd(ctx, "EXEC")
			tx.Process(ctx, exec)
			return exec.Err()
		}, "watched")
	}},
	{name: "discarded transactions", most: 64 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return c.Watch(ctx, func(tx *redis.Tx) error {
			tx.Process(ctx, redis.NewCmd(ctx, "MULTI"))
			for j := range 20 {
				tx.Process(ctx, redis.NewCmd(ctx, "SET", fmt.Sprint("k", w, ":", i, ":", j), text(2<<10)))
			}
			tx.Process(ctx, redis.NewCmd(ctx, "DISCARD"))
			return tx.Set(ctx, fmt.Sprint("k", w, ":", i), text(1000), 0).Err()
		}, "watched")
	}},
	{name: "values that change their encoding", most: 64 << 10, setup: func(ctx context.Context, c *redis.Client) error {
		for h := range 300 {
			if err := queue(ctx, false, c, 1, func(p redis.Pipeliner, j int) {
				fields := make([]any, 0, 1000)
				for f := range 500 {
					fields = append(fields, fmt.Sprint("f", f), "v")
				}
				p.HSet(ctx, fmt.Sprint("h", h), fields...)
			}); err != nil {
				return err
			}
		}
		return nil
	}, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, false, c, 50, func(p redis.Pipeliner, j int) {
			p.HSet(ctx, fmt.Sprint("h", w*50+j), fmt.Sprint("f", i), text(100))
		})
	}},
	{name: "scripts", most: 8 << 10, sealed: true, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return c.Eval(ctx, "return redis.call('set', KEYS[1], ARGV[1])", []string{fmt.Sprint("k", w, ":", i)}, text(5000)).Err()
	}},
	{name: "scripts that build names", most: 64 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return c.Eval(ctx, "for j = 1, 10 do redis.call('set', ARGV[1] .. j, ARGV[2]) end", nil, fmt.Sprint("k", w, ":", i, ":"), text(5000)).Err()
	}},
	{name: "pipelines of scripts", most: 64 << 10, sealed: true, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, false, c, 50, func(p redis.Pipeliner, j int) {
			p.Eval(ctx, "return redis.call('set', KEYS[1], string.rep(ARGV[1], 100))", []string{fmt.Sprint("k", w, ":", i, ":", j)}, text(500))
		})
	}},
	// Nobody measures these: what they write until the next count is not known.
	{name: "scripts in transactions", most: 2 << 20, sealed: true, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, true, c, 10, func(p redis.Pipeliner, j int) {
			p.Eval(ctx, "return redis.call('set', KEYS[1], string.rep('x', 1000))", []string{fmt.Sprint("k", w, ":", i, ":", j)})
		})
	}},
	{name: "long names", most: 64 << 10, sealed: true, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, false, c, 40, func(p redis.Pipeliner, j int) {
			key := fmt.Sprint("k", w, ":", i, ":", j/2)
			if j%2 == 0 {
				p.Set(ctx, key, "x", 0)
			} else {
				p.Rename(ctx, key, key+text(10000))
			}
		})
	}},
	{name: "moved members", most: 64 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, false, c, 40, func(p redis.Pipeliner, j int) {
			key := fmt.Sprint("k", w, ":", i, ":", j/2)
			if j%2 == 0 {
				p.SAdd(ctx, "set", key)
			} else {
				p.SMove(ctx, "set", key+":"+text(200), key)
			}
		})
	}},
	{name: "moved by blocked ones", most: 32 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, false, c, 20, func(p redis.Pipeliner, j int) {
			if j%2 == 0 {
				p.RPush(ctx, fmt.Sprint("from", w), text(1000))
			} else {
				p.BLMove(ctx, fmt.Sprint("from", w), fmt.Sprint("to", w, ":", i, ":", j), "LEFT", "RIGHT", time.Second)
			}
		})
	}},
	{name: "kept before they expire", most: 5 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		key := fmt.Sprint("k", w, ":", i)
		if err := c.Set(ctx, key, text(4000), 200*time.Millisecond).Err(); err != nil {
			return err
		}
		return c.Persist(ctx, key).Err()
	}},
}

// fill has writers on all proxies write until they are refused, or their time is over.
// It returns the most that was there.
func (x *bypass) fill(t *testing.T, r *harness.Process, proxies []*harness.Proxy, tenant harness.Tenant) int64 {
	t.Helper()
	ctx := harness.Context(t)
	if x.setup != nil {
		if err := x.setup(ctx, proxies[0].Client(t, tenant)); err != nil {
			t.Fatal(err)
		}
	}
	stop := spacePeak(t, r.Addr, "t:"+tenant.ID+":")
	var running sync.WaitGroup
	var wrote, refused atomic.Int64
	for w := range bypassWriters {
		c := proxies[w%len(proxies)].Client(t, tenant, func(o *redis.Options) { o.PoolSize = 1 })
		running.Go(func() {
			end := time.Now().Add(bypassTime)
			for i, over := 0, 0; over < 15 && time.Now().Before(end); i++ {
				switch err := x.write(ctx, c, w, i); {
				case isOver(err) || err != nil && strings.HasPrefix(err.Error(), "EXECABORT"):
					refused.Add(1)
					over++
					time.Sleep(10 * time.Millisecond)
				case err != nil && !errors.Is(err, redis.Nil):
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
	t.Logf("peak %d bytes (%.1f %%), %d keys, %d written, %d refused", most, 100*float64(most)/bypassLimit, keys, wrote.Load(), refused.Load())
	return most
}

func startBypass(t *testing.T, yaml string) (r *harness.Process, up *redis.Client, all []*harness.Proxy, tenant harness.Tenant) {
	r = harness.StartRedis(t)
	up = redis.NewClient(&redis.Options{Addr: r.Addr, ReadTimeout: 20 * time.Second})
	t.Cleanup(func() { up.Close() })
	tenant = harness.Tenant{ID: "acme", Secret: "acme-secret", YAML: "    quotas: {memory: 4MiB}\n" + yaml}
	for range 2 {
		all = append(all, harness.StartProxy(t, r.Addr, harness.Options{Tenants: []harness.Tenant{tenant, harness.Globex}}))
	}
	all[1].Ready(t)
	return r, up, all, tenant
}

// However a tenant tries, it never has more than its quota and what each writer has on
// its way, also if its values are sealed; and it can delete, and write again soon.
func TestQuotaBypass(t *testing.T) {
	kinds := []string{"", "zstd", "aes-256-gcm"}
	if os.Getenv("RIPTIDE_TEST_VALUES") != "" {
		kinds = kinds[:1]
	}
	done, most := make(map[string]int), map[bool]int{false: len(bypasses), true: len(bypasses)}
	if !full {
		most[true] = 2 // the others say the same of sealed values
	}
	for _, kind := range kinds {
		for _, x := range bypasses {
			name := x.name
			if kind != "" && !x.sealed || done[kind] >= most[kind != ""] {
				continue
			}
			done[kind]++
			if kind != "" {
				name = kind + " " + name
			}
			t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
				if kind != "" {
					t.Setenv("RIPTIDE_TEST_VALUES", kind)
				} else {
					t.Parallel() // they mostly wait
				}
				r, up, proxies, tenant := startBypass(t, "")
				most := x.fill(t, r, proxies, tenant)
				if limit := bypassLimit/100*101 + bypassWriters*x.most; most > limit {
					t.Errorf("%d bytes, at most %d", most, limit)
					t.Log(up.HGetAll(harness.Context(t), "t:acme:space").Val())
				}
				ctx := harness.Context(t)
				c := proxies[0].Client(t, tenant)
				if err := c.FlushAll(ctx).Err(); err != nil {
					t.Fatal(err)
				}
				flushed := time.Now()
				for {
					err := c.Set(ctx, "again", text(1000), 0).Err()
					if err == nil {
						break
					}
					if !isOver(err) || time.Since(flushed) > 2*soon {
						t.Fatal(err, up.HGetAll(ctx, "t:acme:space").Val())
					}
					time.Sleep(10 * time.Millisecond)
				}
				if took := time.Since(flushed); took > soon {
					t.Errorf("writes work again after %v", took)
				}
			})
		}
	}
}
