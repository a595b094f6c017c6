package tests

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

func spaceTenant(quotas string) harness.Tenant {
	return harness.Tenant{ID: "acme", Secret: "acme-secret", YAML: "    quotas: " + quotas + "\n"}
}

func portOf(t *testing.T, addr string) (port int) {
	t.Helper()
	_, text, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = fmt.Sscan(text, &port)
	}
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// The quota holds when the upstream has restarted, with what it had or without. While it is away
// writes have the error that they have without a quota.
func TestQuotaFailureUpstream(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		t.Run(fmt.Sprintf("keeps=%v", keeps), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			args := []string{"--dir", dir, "--dbfilename", "dump.rdb"}
			r := harness.StartRedis(t, args...)
			tenant := spaceTenant("{memory: 4MiB}")
			p := harness.StartProxy(t, r.Addr, harness.Options{Tenants: []harness.Tenant{tenant, harness.Globex}})
			p.Ready(t)
			ctx := harness.Context(t)
			c := p.Client(t, tenant)
			everywhere := []*redis.Client{c} // one on each loop at least, but for very bad luck
			for range 12 {
				c := p.Client(t, tenant)
				c.Ping(ctx)
				everywhere = append(everywhere, c)
			}
			up := redis.NewClient(&redis.Options{Addr: r.Addr})
			t.Cleanup(func() { up.Close() })
			n := fillUp(ctx, t, c, "fill:", 2000)
			if keeps {
				if err := up.Save(ctx).Err(); err != nil {
					t.Fatal(err)
				}
			}
			r.Kill()
			harness.Eventually(t, "a write is refused as the upstream is away", func() bool {
				err := c.Set(ctx, "away", text(10), 0).Err()
				return err != nil && strings.HasPrefix(err.Error(), "UNAVAILABLE")
			})
			harness.StartRedisOn(t, portOf(t, r.Addr), args...)
			// Each loop's connection comes back by itself.
			harness.Eventually(t, "writes work on all loops, or are refused for the quota again", func() bool {
				for _, c := range everywhere {
					if err := c.Set(ctx, "back", text(10), 0).Err(); err != nil && !isOver(err) {
						return false
					}
				}
				return true
			})
			more := fillUp(ctx, t, c, "more:", 2000)
			bytes, _ := spaceOf(t, up, "t:acme:")
			t.Log(n, "keys before,", more, "after,", bytes, "bytes")
			if bytes > bypassLimit/100*101 {
				t.Error(bytes, "bytes")
			}
			if keeps && more > n/50 || !keeps && more < n*9/10 {
				t.Error(n, "keys before,", more, "after")
			}
		})
	}
}

// What a proxy had at hand when it was killed, others have back.
func TestQuotaFailureProxy(t *testing.T) {
	t.Parallel()
	_, up, proxies, tenant := startBypass(t, "", "")
	ctx := harness.Context(t)
	one, two := proxies[0].Client(t, tenant), proxies[1].Client(t, tenant)
	tx := one.Conn()
	defer tx.Close()
	tx.Process(ctx, redis.NewCmd(ctx, "MULTI"))
	tx.Process(ctx, redis.NewCmd(ctx, "SET", "never", text(2<<20))) // is reserved until EXEC
	harness.Eventually(t, "it is known of", func() bool {
		for field, v := range up.HGetAll(ctx, "t:acme:space").Val() {
			var bytes int64
			if fmt.Sscan(v, &bytes); strings.HasPrefix(field, "p:") && bytes >= 2<<20 {
				return true
			}
		}
		return false
	})
	if err := two.Set(ctx, "large", text(3<<20), 0).Err(); !isOver(err) {
		t.Error("what is reserved elsewhere was given away:", err)
	}
	proxies[0].Kill()
	began := time.Now()
	for {
		err := two.Set(ctx, "large", text(3<<20), 0).Err()
		if err == nil {
			break
		}
		if !isOver(err) || time.Since(began) > 30*time.Second {
			t.Fatal(time.Since(began), err, up.HGetAll(ctx, "t:acme:space").Val())
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Log("after", time.Since(began))
}

// A report that is not answered in time is made again.
func TestQuotaFailureSlow(t *testing.T) {
	t.Parallel()
	_, up, proxies, tenant := startBypass(t, "", "")
	ctx := harness.Context(t)
	c := proxies[0].Client(t, tenant)
	var running sync.WaitGroup
	running.Go(func() {
		for i := range 300 {
			if err := c.Set(ctx, fmt.Sprint("a", i), text(2000), 0).Err(); err != nil && !isOver(err) && !strings.HasPrefix(err.Error(), "UN") {
				t.Error(err)
			}
		}
	})
	for range 3 {
		if err := up.Do(ctx, "CLIENT", "PAUSE", 700, "ALL").Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
	running.Wait()
	var bytes int64
	tries := 0
	harness.Eventually(t, "nine tenths can be used", func() bool { // what was reserved is given back in a while
		tries++
		fillUp(ctx, t, c, fmt.Sprint("fill", tries, ":"), 2000)
		bytes, _ = spaceOf(t, up, "t:acme:")
		return bytes >= bypassLimit*9/10
	})
	if bytes > bypassLimit/100*101 {
		t.Error(bytes, "bytes", up.HGetAll(ctx, "t:acme:space").Val())
	}
}

// An upstream that does not let the proxy do what it takes is told of once, and does not keep
// tenants from working.
func TestQuotaFailureRights(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ name, rule, said string }{
		{"no scripts", "-eval -evalsha", "quotas of memory and keys can not be kept"},
		{"no MEMORY", "-memory", "the upstream does not tell"},
	} {
		t.Run(strings.ReplaceAll(x.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			r := harness.StartRedis(t)
			ctx := harness.Context(t)
			up := redis.NewClient(&redis.Options{Addr: r.Addr})
			t.Cleanup(func() { up.Close() })
			args := []any{"ACL", "SETUSER", "weak", "on", ">pw", "~*", "&*", "+@all"}
			for _, rule := range strings.Fields(x.rule) {
				args = append(args, rule)
			}
			if err := up.Do(ctx, args...).Err(); err != nil {
				t.Fatal(err)
			}
			tenant := spaceTenant("{memory: 4MiB, keys: 100000}")
			p := harness.StartProxy(t, r.Addr, harness.Options{Tenants: []harness.Tenant{tenant}, Upstream: "  username: weak\n  password: pw\n"})
			p.Ready(t)
			c := p.Client(t, tenant)
			for i := range 2000 {
				err := c.Set(ctx, fmt.Sprint("k", i), text(1000), 0).Err()
				if err != nil && !isOver(err) && !strings.HasPrefix(err.Error(), "UNAVAILABLE") {
					t.Fatal(err)
				}
				if i == 1999 {
					t.Log("the last of 2000:", err)
				}
			}
			harness.Eventually(t, "it is told", func() bool { return strings.Contains(p.Log(), x.said) })
			time.Sleep(time.Second)
			if n := strings.Count(p.Log(), x.said); n != 1 {
				t.Error("told", n, "times")
			}
			if !p.Running() {
				t.Fatal("the proxy has ended")
			}
			if _, err := c.Del(ctx, "k1").Result(); err != nil {
				t.Error("deleting:", err)
			}
		})
	}
}

// Nothing that a tenant can run reaches what the proxies have written of it.
func TestQuotaSpaceHidden(t *testing.T) {
	t.Parallel()
	_, up, proxies, tenant := startBypass(t, "", "")
	ctx := harness.Context(t)
	c := proxies[0].Client(t, tenant)
	if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	there := func() bool { return up.Exists(ctx, "t:acme:space").Val() == 1 }
	harness.Eventually(t, "something is written of the tenant", there)
	if n := c.DBSize(ctx).Val(); n != 1 {
		t.Error("DBSIZE:", n)
	}
	if all := c.Keys(ctx, "*").Val(); len(all) != 1 {
		t.Error("KEYS:", all)
	}
	for range 50 {
		if key := c.RandomKey(ctx).Val(); key != "k" {
			t.Error("RANDOMKEY:", key)
		}
	}
	var seen []string
	for it := c.Scan(ctx, 0, "", 1000).Iterator(); it.Next(ctx); {
		seen = append(seen, it.Val())
	}
	if len(seen) != 1 {
		t.Error("SCAN:", seen)
	}
	for _, source := range []string{
		"return redis.call('hgetall', 'space')", "return redis.call('hgetall', '../space')", "return redis.call('del', 't:acme:space')",
	} {
		if v, err := c.Eval(ctx, source, nil).Result(); err == nil && fmt.Sprint(v) != "[]" && fmt.Sprint(v) != "0" {
			t.Error(source, v)
		}
	}
	for _, call := range []string{"FLUSHDB", "FLUSHALL", "DEL t:acme:space", "UNLINK space", "HGETALL space"} {
		words := strings.Fields(call)
		args := make([]any, len(words))
		for i, w := range words {
			args[i] = w
		}
		c.Do(ctx, args...)
		if !there() {
			t.Fatal(call, "has removed it")
		}
	}
}

// With the upstream that is built in, quotas hold roughly: it does not tell what keys take.
func TestQuotaEmbedded(t *testing.T) {
	t.Parallel()
	p := harness.StartProxy(t, "", harness.Options{Tenants: []harness.Tenant{spaceTenant("{memory: 1MiB}")}})
	ctx := harness.Context(t)
	c := p.Client(t, p.Tenants[0])
	over := false
	for i := range 3000 {
		err := c.Set(ctx, fmt.Sprint("k", i), text(1000), 0).Err()
		if over = isOver(err); over {
			t.Log("over after", i)
			if i < 700 {
				t.Error("that is early")
			}
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if !over {
		t.Error("nothing is refused")
	}
	if err := c.Get(ctx, "k2").Err(); err != nil {
		t.Error(err)
	}
	if err := c.FlushAll(ctx).Err(); err != nil {
		t.Error(err)
	}
	harness.Eventually(t, "there is room again", func() bool { return c.Set(ctx, "again", text(10000), 0).Err() == nil })
	if !p.Running() {
		t.Error("the proxy has ended")
	}
}
