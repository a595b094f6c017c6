package tests

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

// eachProtocol runs f for both tenants at once, in RESP2 and then in RESP3.
func eachProtocol(t *testing.T, f func(t *testing.T, a account, c *redis.Client), redisArgs ...string) {
	t.Helper()
	for _, proto := range []int{2, 3} {
		t.Run(fmt.Sprint("RESP", proto), func(t *testing.T) {
			eachAccount(t, func(t *testing.T, a account) {
				f(t, a, a.goRedis(t, func(o *redis.Options) { o.Protocol, o.PoolSize = proto, 40 }))
			}, redisArgs...)
		})
	}
}

// Many goroutines add to a counter by optimistic locking and none is lost.
func TestSoftwareGoRedisWatch(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, a account, c *redis.Client) {
		ctx := harness.Context(t)
		const workers, each = 12, 15
		var lost atomic.Int32
		allAtOnce(t, workers, func(int) error {
			for done := 0; done < each; {
				err := c.Watch(ctx, func(tx *redis.Tx) error {
					n, err := tx.Get(ctx, "counter").Int()
					if err != nil && err != redis.Nil {
						return err
					}
					_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
						pipe.Set(ctx, "counter", n+1, 0)
						pipe.RPush(ctx, "history", n+1)
						return nil
					})
					return err
				}, "counter")
				switch {
				case err == nil:
					done++
				case errors.Is(err, redis.TxFailedErr):
					lost.Add(1)
				default:
					return err
				}
			}
			return nil
		})
		if n, err := c.Get(ctx, "counter").Int(); err != nil || n != workers*each {
			t.Errorf("counted to %d, %v; want %d", n, err, workers*each)
		}
		history, err := c.LRange(ctx, "history", 0, -1).Result()
		for i, n := range history {
			if n != strconv.Itoa(i+1) {
				t.Fatalf("entry %d of the history is %s", i, n)
			}
		}
		if err != nil || len(history) != workers*each {
			t.Errorf("%d entries, %v", len(history), err)
		}
		t.Logf("%d transactions, %d more were tried in vain", workers*each, lost.Load())
	})
}

// Pipelines inside and outside MULTI, and errors in the midst of them.
func TestSoftwareGoRedisTransactions(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, a account, c *redis.Client) {
		ctx := harness.Context(t)
		cmds, err := c.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Set(ctx, "owner", a.name, 0)
			pipe.HSet(ctx, "hash", "f", 1, "g", 2)
			pipe.HGetAll(ctx, "hash")
			pipe.LPush(ctx, "owner", "wrong type")
			pipe.Keys(ctx, "o*")
			pipe.Get(ctx, "owner")
			return nil
		})
		if err == nil || !redis.HasErrorPrefix(err, "WRONGTYPE") {
			t.Errorf("the wrong type is not reported: %v", err)
		}
		if got := cmds[2].(*redis.MapStringStringCmd).Val(); got["f"] != "1" || got["g"] != "2" {
			t.Errorf("HGETALL in a transaction: %v", got)
		}
		if got := cmds[4].(*redis.StringSliceCmd).Val(); !slices.Equal(got, []string{"owner"}) {
			t.Errorf("KEYS in a transaction: %q", got)
		}
		if got := cmds[5].(*redis.StringCmd).Val(); got != a.name {
			t.Errorf("GET after the error: %q", got)
		}
		allAtOnce(t, 20, func(i int) error {
			key := fmt.Sprint("pipe:", i)
			cmds, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
				for n := range 200 {
					pipe.RPush(ctx, key, n)
				}
				pipe.LRange(ctx, key, 0, -1)
				return nil
			})
			if err != nil {
				return err
			}
			for n, got := range cmds[200].(*redis.StringSliceCmd).Val() {
				if got != strconv.Itoa(n) {
					return fmt.Errorf("element %d is %s", n, got)
				}
			}
			return nil
		})
	})
}

// Script.Run: EVALSHA, and EVAL when the server does not know the script.
func TestSoftwareGoRedisScripts(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, a account, c *redis.Client) {
		ctx := harness.Context(t)
		move := redis.NewScript(`
			local from, to = KEYS[1], KEYS[1] .. ':' .. ARGV[1]
			local v = redis.call('LPOP', from)
			if v then redis.call('RPUSH', to, v) end
			return {v, to, redis.call('LLEN', to)}
		`)
		if exists, err := move.Exists(ctx, c).Result(); err != nil || exists[0] {
			t.Errorf("the script is there before it was sent: %v, %v", exists, err)
		}
		for i := range 50 {
			if err := c.RPush(ctx, "list", fmt.Sprint(a.name, i)).Err(); err != nil {
				t.Fatal(err)
			}
		}
		var mu sync.Mutex
		var moved []string
		allAtOnce(t, 10, func(int) error {
			for range 5 {
				got, err := move.Run(ctx, c, []string{"list"}, "done").Slice()
				if err != nil {
					return err
				}
				if got[1] != "list:done" {
					return fmt.Errorf("the script calls its key %v", got[1])
				}
				mu.Lock()
				moved = append(moved, got[0].(string))
				mu.Unlock()
			}
			return nil
		})
		all, err := c.LRange(ctx, "list:done", 0, -1).Result()
		slices.Sort(all)
		slices.Sort(moved)
		if err != nil || len(all) != 50 || !slices.Equal(all, moved) {
			t.Errorf("moved %q, stored %q, %v", moved, all, err)
		}
		if sha, err := c.ScriptLoad(ctx, "return ARGV[1]").Result(); err != nil || sha != redis.NewScript("return ARGV[1]").Hash() {
			t.Errorf("SCRIPT LOAD: %q, %v", sha, err)
		}
		if err := redis.NewScript("return redis.call('NOSUCH')").Run(ctx, c, nil).Err(); err == nil {
			t.Error("a script that calls what there is not does not fail")
		}
		if err := c.ScriptFlush(ctx).Err(); err != nil {
			t.Error(err)
		}
		if exists, err := move.Exists(ctx, c).Result(); err != nil || exists[0] {
			t.Errorf("after SCRIPT FLUSH: %v, %v", exists, err)
		}
	})
}

// Consumers that wait for work: no element is lost, none comes twice.
func TestSoftwareGoRedisBlocking(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, a account, c *redis.Client) {
		ctx := harness.Context(t)
		const consumers, elements = 10, 300
		var mu sync.Mutex
		got := map[string]int{}
		// note returns how many different elements have come so far.
		note := func(what ...string) int {
			mu.Lock()
			defer mu.Unlock()
			for _, w := range what {
				got[w]++
			}
			return len(got)
		}
		produced := make(chan error, 1)
		go func() {
			for i := range elements {
				if err := c.RPush(ctx, []string{"urgent", "work"}[i%2], fmt.Sprint(a.name, i)).Err(); err != nil {
					produced <- err
					return
				}
			}
			produced <- nil
		}()
		allAtOnce(t, consumers, func(int) error {
			for {
				kv, err := c.BLPop(ctx, time.Second, "urgent", "work").Result()
				switch {
				case err == redis.Nil && note() == elements:
					return nil
				case err == redis.Nil:
					continue
				case err != nil:
					return err
				case kv[0] != "urgent" && kv[0] != "work":
					return fmt.Errorf("popped from %q", kv[0])
				}
				note(kv[1])
			}
		})
		if err := <-produced; err != nil {
			t.Error(err)
		}
		for i := range elements {
			if n := got[fmt.Sprint(a.name, i)]; n != 1 {
				t.Errorf("element %d came %d times", i, n)
			}
		}
		if len(got) != elements {
			t.Errorf("%d different elements", len(got))
		}
		// One who has given up waiting takes nothing.
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		impatient := a.goRedis(t, func(o *redis.Options) { o.ContextTimeoutEnabled = true })
		if err := impatient.BLPop(short, time.Minute, "left").Err(); err == nil {
			t.Error("popped what is not there")
		}
		time.Sleep(300 * time.Millisecond) // until everybody has noticed
		c.RPush(ctx, "left", "still here")
		if v, err := c.LPop(ctx, "left").Result(); err != nil || v != "still here" {
			t.Errorf("an element went to one who had left: %q, %v", v, err)
		}
		if v, err := c.BLMove(ctx, "none", "other", "LEFT", "RIGHT", time.Second).Result(); err != redis.Nil {
			t.Errorf("BLMOVE: %q, %v", v, err)
		}
	})
}

// A consumer group whose readers wait.
func TestSoftwareGoRedisStreams(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, a account, c *redis.Client) {
		ctx := harness.Context(t)
		const consumers, messages = 6, 200
		if err := c.XGroupCreateMkStream(ctx, "orders", "billing", "$").Err(); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		got := map[string]int{}
		go func() {
			for i := range messages {
				c.XAdd(ctx, &redis.XAddArgs{Stream: "orders", Values: []any{"of", a.name, "n", i}})
			}
		}()
		allAtOnce(t, consumers, func(i int) error {
			name := fmt.Sprint("consumer", i)
			for {
				streams, err := c.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "billing", Consumer: name, Streams: []string{"orders", ">"}, Count: 5, Block: time.Second}).Result()
				if err == redis.Nil {
					mu.Lock()
					all := len(got) == messages
					mu.Unlock()
					if all {
						return nil
					}
					continue
				} else if err != nil {
					return err
				}
				for _, m := range streams[0].Messages {
					if streams[0].Stream != "orders" || m.Values["of"] != a.name {
						return fmt.Errorf("message %v of %s", m.Values, streams[0].Stream)
					}
					mu.Lock()
					got[fmt.Sprint(m.Values["n"])]++
					mu.Unlock()
					if err := c.XAck(ctx, "orders", "billing", m.ID).Err(); err != nil {
						return err
					}
				}
			}
		})
		for i := range messages {
			if got[strconv.Itoa(i)] != 1 {
				t.Errorf("message %d came %d times", i, got[strconv.Itoa(i)])
			}
		}
		if pending, err := c.XPending(ctx, "orders", "billing").Result(); err != nil || pending.Count != 0 {
			t.Errorf("pending: %+v, %v", pending, err)
		}
		groups, err := c.XInfoGroups(ctx, "orders").Result()
		if err != nil || len(groups) != 1 || groups[0].Consumers != consumers {
			t.Errorf("XINFO GROUPS: %+v, %v", groups, err)
		}
	})
}
