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

	"riptide-proxy/config"
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

// startBypass runs two proxies for a tenant with further fields, whose values are stored as harness.Options has it.
func startBypass(t *testing.T, yaml, stored string) (r *harness.Process, up *redis.Client, all []*harness.Proxy, tenant harness.Tenant) {
	r = harness.StartRedis(t)
	up = redis.NewClient(&redis.Options{Addr: r.Addr, ReadTimeout: 20 * time.Second})
	t.Cleanup(func() { up.Close() })
	users := ""
	for i := range 5 {
		users += fmt.Sprintf("      u%d: {sha256: [%s]}\n", i, config.HashSecret(fmt.Sprint("secret-", i)))
	}
	tenant = harness.Tenant{ID: "acme", Secret: "acme-secret", YAML: users + "    quotas: {memory: 4MiB}\n" + yaml}
	for range 2 {
		all = append(all, harness.StartProxy(t, r.Addr, harness.Options{Tenants: []harness.Tenant{tenant, harness.Globex}, Values: stored}))
	}
	all[1].Ready(t)
	return r, up, all, tenant
}

// However a tenant tries, it never has more than its quota and what each writer has on
// its way, also if its values are sealed; and it can delete, and write again soon.
func TestQuotaBypass(t *testing.T) {
	t.Parallel()
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
				t.Parallel() // they mostly wait
				r, up, proxies, tenant := startBypass(t, "", kind)
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
