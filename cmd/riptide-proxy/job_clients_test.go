package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

// TestJobsBesideClients: clients of two proxies change values in every way there
// is while jobs rewrite these over and over. Nobody loses anything.
func TestJobsBesideClients(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	server := harness.StartRedis(t)
	const keys = `encryption_keys: {one: {env: RIPTIDE_TEST_ONE}, two: {env: RIPTIDE_TEST_TWO}}` + "\n"
	sealing := func(key, algorithm string) string {
		return "    compression: {algorithm: " + algorithm + ", min_size: 1B, min_saving: 0}\n" +
			"    encryption: {algorithm: aes-256-gcm, key: " + key + "}\n"
	}
	t.Setenv("RIPTIDE_TEST_ONE", strings.Repeat("1a2b", 16))
	t.Setenv("RIPTIDE_TEST_TWO", strings.Repeat("3c4d", 16))
	var files []string
	var addresses []string
	for _, s := range []string{sealing("one", "zstd"), sealing("two", "lz4")} {
		tenant := harness.Acme
		tenant.YAML = s
		p := harness.StartProxy(t, server.Addr, harness.Options{Tenants: []harness.Tenant{tenant}, Top: keys})
		files, addresses = append(files, p.Config), append(addresses, p.Addr)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	const clients, steps = 6, 120
	tail := strings.Repeat("some text that compresses, ", 20)
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			c := redis.NewClient(&redis.Options{Addr: addresses[n%2], Username: "acme", Password: harness.Acme.Secret, Protocol: 2, MaxRetries: -1})
			defer c.Close()
			own := fmt.Sprintf("own:%d:", n)
			appended := ""
			for i := range steps {
				number := strconv.Itoa(i)
				appended += number + ","
				for _, err := range []error{
					c.Incr(ctx, "shared:counter").Err(),
					c.HIncrBy(ctx, "shared:hash", "n", 1).Err(),
					c.Append(ctx, own+"log", number+",").Err(),
					c.Set(ctx, own+"text", number+tail, time.Hour).Err(),
					c.HSet(ctx, own+"hash", "f", number+tail, "g"+number, tail).Err(),
				} {
					if err != nil {
						t.Error(err)
						return
					}
				}
				for _, read := range []struct {
					got  *redis.StringCmd
					want string
				}{{c.Get(ctx, own+"log"), appended}, {c.Get(ctx, own+"text"), number + tail}, {c.HGet(ctx, own+"hash", "f"), number + tail}} {
					if got, err := read.got.Result(); got != read.want || err != nil {
						t.Errorf("step %d: %v: %.40q, %v", i, read.got.Args(), got, err)
						return
					}
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for i := 0; ; i++ {
		args := []string{"-c", files[i/2%2], "-t", "acme", "--restart"}
		cmd := rekeyCommand()
		if i%2 == 1 {
			cmd = recompressCommand()
		}
		if i%4 == 3 {
			args = append(args, "--plain")
		}
		out, _, err := run(cmd, "", args...)
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		select {
		case <-done:
			t.Log(i+1, "jobs")
			c := redis.NewClient(&redis.Options{Addr: addresses[0], Username: "acme", Password: harness.Acme.Secret, Protocol: 2})
			defer c.Close()
			if n, err := c.Get(ctx, "shared:counter").Int(); n != clients*steps || err != nil {
				t.Error("the counter is at", n, err)
			}
			if n, err := c.HGet(ctx, "shared:hash", "n").Int(); n != clients*steps || err != nil {
				t.Error("the counter in the hash is at", n, err)
			}
			if ttl := c.TTL(ctx, "own:0:text").Val(); ttl < 50*time.Minute {
				t.Error("the time to live is", ttl)
			}
			if n := c.HLen(ctx, "own:1:hash").Val(); n != steps+1 {
				t.Error("fields:", n)
			}
			return
		default:
		}
	}
}
