package tests

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

// refusedUntil waits until a write is not refused any more, and returns how long that took.
func refusedUntil(t *testing.T, up *redis.Client, write func() error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := write()
		took := time.Since(began)
		switch {
		case err == nil:
			return took
		case !isOver(err):
			t.Fatal(err)
		case took > 2*soon:
			t.Fatal(err, up.HGetAll(context.Background(), "t:acme:space").Val())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// fillUp writes values of a tenant's until it is over its quota.
func fillUp(ctx context.Context, t *testing.T, c *redis.Client, name string, size int) (keys int) {
	t.Helper()
	for over := 0; over < 20; { // for a second it may be found out yet that there is room
		p := c.Pipeline()
		for j := range 200 {
			p.Set(ctx, fmt.Sprint(name, keys+j), text(size), 0)
		}
		all, _ := p.Exec(ctx)
		over++
		for _, one := range all {
			switch err := one.Err(); {
			case err == nil:
				keys, over = keys+1, 0
			case !isOver(err):
				t.Fatal(err)
			}
		}
		if over > 0 {
			time.Sleep(50 * time.Millisecond)
		}
	}
	return keys
}

// soon is within what time what was freed can be used again: a second, of which little is left on a machine
// that has much else to do.
var soon = map[bool]time.Duration{true: time.Second, false: 5 * time.Second}[full]

// overwriting is how long who stays below the quota writes.
var overwriting = map[bool]time.Duration{true: 4 * time.Second, false: 1500 * time.Millisecond}[full]

// Who stays below the quota is never refused anything, however much is written.
func TestQuotaSpaceNeverRefused(t *testing.T) {
	for _, x := range []struct {
		name  string
		write func(ctx context.Context, p redis.Pipeliner, w, i int)
	}{
		{"cache", func(ctx context.Context, p redis.Pipeliner, w, i int) {
			p.Set(ctx, fmt.Sprint("k", rand.IntN(2000)), text(1000), 0)
		}},
		{"hashes", func(ctx context.Context, p redis.Pipeliner, w, i int) {
			p.HSet(ctx, fmt.Sprint("h", rand.IntN(20)), rand.IntN(100), text(500))
		}},
		{"queue", func(ctx context.Context, p redis.Pipeliner, w, i int) {
			p.LPush(ctx, fmt.Sprint("q", w), text(2000))
			p.RPop(ctx, fmt.Sprint("q", w))
		}},
		{"trimmed", func(ctx context.Context, p redis.Pipeliner, w, i int) {
			p.RPush(ctx, "l", text(1000))
			p.LTrim(ctx, "l", -1000, -1)
		}},
		{"expiring", func(ctx context.Context, p redis.Pipeliner, w, i int) {
			if i%20 == 0 {
				p.Set(ctx, fmt.Sprint("k", w, ":", i), text(1000), 100*time.Millisecond)
			}
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			_, up, proxies, tenant := startBypass(t, "", "")
			ctx := harness.Context(t)
			var running sync.WaitGroup
			for w := range 4 {
				c := proxies[w%2].Client(t, tenant)
				running.Go(func() {
					begin := time.Now()
					i := 0
					for time.Since(begin) < overwriting {
						p := c.Pipeline()
						for range 20 {
							x.write(ctx, p, w, i)
							i++
						}
						if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
							t.Error(time.Since(begin), i, err, up.HGetAll(ctx, "t:acme:space").Val())
							return
						}
						if x.name == "expiring" {
							time.Sleep(5 * time.Millisecond)
						}
					}
					t.Log(i, "writes")
				})
			}
			running.Wait()
		})
	}
}

// Whatever makes room, it can be used again within a second.
func TestQuotaSpaceFreed(t *testing.T) {
	t.Parallel()
	_, up, proxies, tenant := startBypass(t, "", "")
	ctx := harness.Context(t)
	c, other := proxies[0].Client(t, tenant), proxies[1].Client(t, tenant)
	names := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprint("fill:", i))
		}
		return all
	}
	for _, x := range []struct {
		name string
		free func(n int) error
	}{
		{"DEL", func(n int) error { return c.Del(ctx, names(n)...).Err() }},
		{"UNLINK", func(n int) error { return c.Unlink(ctx, names(n)...).Err() }},
		{"GETDEL", func(n int) error { return c.GetDel(ctx, "fill:1").Err() }},
		{"FLUSHDB", func(n int) error { return c.FlushDB(ctx).Err() }},
		{"FLUSHALL", func(n int) error { return c.FlushAll(ctx).Err() }},
		{"LTRIM", func(n int) error { return c.LTrim(ctx, "list", 1, 0).Err() }},
		{"LPOP", func(n int) error { return c.LPopCount(ctx, "list", 100).Err() }},
		{"EXPIRE", func(n int) error { return c.Expire(ctx, "fill:1", -1).Err() }},
		{"EVAL", func(n int) error { return c.Eval(ctx, "return redis.call('del', KEYS[1])", []string{"fill:1"}).Err() }},
		{"MULTI", func(n int) error {
			return queue(ctx, true, c, 1, func(p redis.Pipeliner, j int) { p.Del(ctx, names(n)...) })
		}},
	} {
		if !full && !slices.Contains([]string{"DEL", "FLUSHALL", "EVAL", "MULTI"}, x.name) {
			continue
		}
		refusedUntil(t, up, func() error { return c.Set(ctx, "fill:0", "", 0).Err() })
		refusedUntil(t, up, func() error {
			return c.RPush(ctx, "list", strings.Fields(strings.Repeat(text(90)+" ", 100))).Err()
		})
		n := fillUp(ctx, t, c, "fill:", 2000)
		fillUp(ctx, t, c, "small:", 10)
		if n < 500 {
			t.Fatal(x.name, "only", n, "keys")
		}
		if err := x.free(n); err != nil {
			t.Fatal(x.name, err)
		}
		if took := refusedUntil(t, up, func() error { return other.Set(ctx, "again", text(500), 0).Err() }); took > soon {
			t.Error(x.name, "took", took)
		} else {
			t.Log(x.name, took)
		}
		c.FlushAll(ctx)
	}
}

// What expires makes room by itself.
func TestQuotaSpaceExpired(t *testing.T) {
	t.Parallel()
	_, up, proxies, tenant := startBypass(t, "", "")
	ctx := harness.Context(t)
	c := proxies[0].Client(t, tenant)
	for i := 0; ; i++ {
		if err := c.Set(ctx, fmt.Sprint("k", i), text(10000), 2*time.Second).Err(); isOver(err) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	full := time.Now()
	refusedUntil(t, up, func() error { return c.Set(ctx, "again", text(100000), 0).Err() })
	if took := time.Since(full); took > 2*time.Second+soon {
		t.Error("room was made", took, "after the last write, of which 2 s is the time to live")
	}
}

// What can not fit is refused, even as the first write.
func TestQuotaSpaceTooLarge(t *testing.T) {
	t.Parallel()
	_, _, proxies, tenant := startBypass(t, "", "")
	ctx := harness.Context(t)
	c := proxies[0].Client(t, tenant)
	for _, call := range [][]any{
		{"SETBIT", "k", 4294967295, 1}, {"SETRANGE", "k", 5 << 20, "x"}, {"BITFIELD", "k", "SET", "u8", "#5000000", 1},
		{"BITFIELD", "k", "GET", "u8", 0, "OVERFLOW", "SAT", "INCRBY", "i64", 64 << 20, 1}, {"SET", "k", text(5 << 20)}, {"APPEND", "k", text(5 << 20)},
		{"MSET", "k", text(3 << 20), "l", text(3 << 20)}, {"HSET", "k", "f", text(5 << 20)}, {"XADD", "k", "*", "f", text(5 << 20)},
		{"SET", "k", text(5 << 20), "EX", 1}, {"GETSET", "k", text(5 << 20)}, {"LPUSH", "k", text(3 << 20), text(3 << 20)},
	} {
		if err := c.Do(ctx, call...).Err(); !isOver(err) {
			t.Errorf("%v %v: %v", call[0], call[1], err)
		}
		tx := c.TxPipeline()
		tx.Do(ctx, call...)
		if _, err := tx.Exec(ctx); err == nil {
			t.Errorf("%v %v in a transaction: %v", call[0], call[1], err)
		}
	}
	if err := c.Set(ctx, "k", text(1<<20), 0).Err(); err != nil {
		t.Error("what fits:", err)
	}
}

// Scripts of a tenant that is over its quota read and delete, and say what is the matter
// if they try more.
func TestQuotaSpaceScripts(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"isolated", "trusted"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			_, up, proxies, tenant := startBypass(t, "    scripts: "+kind+"\n", "")
			ctx := harness.Context(t)
			c := proxies[0].Client(t, tenant)
			write := redis.NewScript("return redis.call('set', KEYS[1], string.rep('x', 100000))")
			if err := write.Run(ctx, c, []string{"first"}).Err(); err != nil {
				t.Fatal(err)
			}
			fillUp(ctx, t, c, "fill:", 2000)
			fillUp(ctx, t, c, "small:", 10)
			var err error
			for i := range 30 {
				if err = write.Run(ctx, c, []string{fmt.Sprint("s", i)}).Err(); isOver(err) {
					break
				}
			}
			if !isOver(err) {
				t.Fatal("a script writes:", err)
			}
			if strings.Contains(err.Error(), "riptide") || strings.Contains(err.Error(), "t:acme") {
				t.Error("names show:", err)
			}
			if err := write.Run(ctx, proxies[1].Client(t, tenant), []string{"elsewhere"}).Err(); !isOver(err) {
				t.Error("a script on another proxy:", err)
			}
			if n, err := c.EvalRO(ctx, "return redis.call('strlen', KEYS[1])", []string{"first"}).Int(); n != 100000 || err != nil {
				t.Error("one that reads:", n, err)
			}
			_, err = c.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Eval(ctx, "return redis.call('set', KEYS[1], string.rep('x', 100000))", []string{"tx"})
				return nil
			})
			if err == nil || !isOver(err) && !strings.HasPrefix(err.Error(), "EXECABORT") {
				t.Error("one in a transaction:", err)
			}
			if kind == "isolated" {
				for i := range 40 { // also while the tenant is known to be over
					if err := c.Eval(ctx, "redis.call('get', KEYS[1]) return redis.call('del', KEYS[1])", []string{fmt.Sprint("fill:", i)}).Err(); err != nil {
						t.Error("one that deletes:", err)
					}
				}
				if took := refusedUntil(t, up, func() error { return c.Set(ctx, "again", text(500), 0).Err() }); took > soon {
					t.Error("writes work again after", took)
				}
			}
			if err := c.FlushAll(ctx).Err(); err != nil {
				t.Error(err)
			}
			refusedUntil(t, up, func() error { return write.Run(ctx, c, []string{"last"}).Err() })
		})
	}
}

// The number of keys is limited likewise.
func TestQuotaSpaceKeys(t *testing.T) {
	t.Parallel()
	const limit, writers = 1000, 6
	for _, x := range []struct {
		name  string
		most  int64 // that one writer may have on its way
		write func(ctx context.Context, c *redis.Client, w, i int) error
	}{
		{"SET", 1, func(ctx context.Context, c *redis.Client, w, i int) error {
			return c.Set(ctx, fmt.Sprint("k", w, ":", i), "", 0).Err()
		}},
		{"MSET", 10, func(ctx context.Context, c *redis.Client, w, i int) error {
			var pairs []any
			for j := range 10 {
				pairs = append(pairs, fmt.Sprint("k", w, ":", i, ":", j), "")
			}
			return c.MSet(ctx, pairs...).Err()
		}},
		{"COPY", 1, func(ctx context.Context, c *redis.Client, w, i int) error {
			c.Set(ctx, "source", "", 0)
			return c.Copy(ctx, "source", fmt.Sprint("k", w, ":", i), i%4, false).Err()
		}},
		{"MULTI", 20, func(ctx context.Context, c *redis.Client, w, i int) error {
			return queue(ctx, true, c, 20, func(p redis.Pipeliner, j int) { p.Set(ctx, fmt.Sprint("k", w, ":", i, ":", j), "", 0) })
		}},
		{"pipelines", 5, func(ctx context.Context, c *redis.Client, w, i int) error {
			return queue(ctx, false, c, 300, func(p redis.Pipeliner, j int) { p.Incr(ctx, fmt.Sprint("k", w, ":", i, ":", j)) })
		}},
		{"hashes", 1, func(ctx context.Context, c *redis.Client, w, i int) error {
			return c.HSet(ctx, fmt.Sprint("k", w, ":", i), "f", "v").Err()
		}},
		{"RENAME", 2, func(ctx context.Context, c *redis.Client, w, i int) error {
			key := fmt.Sprint("k", w, ":", i)
			if err := c.Set(ctx, key, "", 0).Err(); err != nil {
				return err
			}
			return c.Rename(ctx, key, key+":renamed").Err()
		}},
		{"EVAL", 10, func(ctx context.Context, c *redis.Client, w, i int) error {
			return c.Eval(ctx, "for i = 1, 10 do redis.call('set', KEYS[1] .. i, '') end", []string{fmt.Sprint("k", w, ":", i, ":")}).Err()
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			r, up, proxies := startMemory(t, 2, "{keys: 1000}")
			ctx := harness.Context(t)
			stop := spacePeak(t, r.Addr, "t:acme:")
			var running sync.WaitGroup
			for w := range writers {
				c := proxies[w%2].Client(t, harness.Acme)
				running.Go(func() {
					for i, over := 0, 0; over < 15 && i < 2000; i++ {
						switch err := x.write(ctx, c, w, i); {
						case isOver(err):
							over++
							time.Sleep(10 * time.Millisecond)
						case err != nil && !errors.Is(err, redis.Nil):
							t.Error(err)
							return
						}
					}
				})
			}
			running.Wait()
			_, most := stop()
			t.Log(most, "keys")
			if most > limit+writers*x.most || most < limit*9/10 {
				t.Error(most, "keys, at most", limit+writers*x.most, up.HGetAll(ctx, "t:acme:space").Val())
			}
			c := proxies[0].Client(t, harness.Acme)
			key, err := c.RandomKey(ctx).Result()
			if err == nil {
				err = c.Del(ctx, key).Err()
			}
			if err != nil {
				t.Error(err)
			}
			if most <= limit {
				if took := refusedUntil(t, up, func() error { return proxies[1].Client(t, harness.Acme).Set(ctx, "again", "", 0).Err() }); took > soon {
					t.Error("writes work again after", took)
				}
			}
			if err := c.Set(ctx, "again", "other", 0).Err(); isOver(err) {
				t.Log("overwriting at the limit is refused:", err)
			}
		})
	}
}
