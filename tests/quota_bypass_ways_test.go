package tests

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

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
	{name: "tracking", most: 64 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		return queue(ctx, false, c, 13, func(p redis.Pipeliner, j int) {
			key := fmt.Sprint("k", w, ":", i, ":", j)
			switch {
			case j == 0:
				p.Do(ctx, "CLIENT", "TRACKING", "ON")
			case j%3 == 0:
				p.Set(ctx, key, text(2000), 0)
			case j%3 == 1:
				p.Copy(ctx, fmt.Sprint("k", w, ":", i, ":", 3), key, 0, true)
			default:
				p.Eval(ctx, "return redis.call('set', KEYS[1], ARGV[1])", []string{key}, text(2000))
			}
		})
	}},
	{name: "many users", most: 4 << 10, write: func(ctx context.Context, c *redis.Client, w, i int) error {
		o := *c.Options()
		o.Username, o.Password = fmt.Sprint("acme.u", i%5), fmt.Sprint("secret-", i%5)
		own := redis.NewClient(&o)
		defer own.Close()
		return own.Set(ctx, fmt.Sprint("k", w, ":", i), text(4000), 0).Err()
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
