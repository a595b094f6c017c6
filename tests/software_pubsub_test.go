package tests

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"
	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

// Channels, patterns and the counts of both; both tenants use the same names.
func TestSoftwareGoRedisPubSub(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, a account, c *redis.Client) {
		ctx := harness.Context(t)
		const subscribers, messages = 8, 100
		ready := make(chan bool, subscribers)
		var wg sync.WaitGroup
		for range subscribers {
			wg.Go(func() {
				sub := c.Subscribe(ctx, "news", "weather")
				defer sub.Close()
				for range 2 {
					if _, err := sub.Receive(ctx); err != nil {
						t.Error(err)
					}
				}
				ready <- true
				for i := range messages {
					select {
					case m := <-sub.Channel():
						if m.Channel != "news" || m.Payload != fmt.Sprint(a.name, i) {
							t.Errorf("message %d is %v", i, m)
							return
						}
					case <-time.After(20 * time.Second):
						t.Errorf("message %d does not come", i)
						return
					}
				}
			})
		}
		for range subscribers {
			<-ready
		}
		patterns := c.PSubscribe(ctx, "n[a-f]w?", "*")
		defer patterns.Close()
		for range 2 {
			if _, err := patterns.Receive(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := c.PubSubNumPat(ctx).Result(); err != nil || n != 2 {
			t.Errorf("PUBSUB NUMPAT: %d, %v", n, err)
		}
		if channels, err := c.PubSubChannels(ctx, "*").Result(); err != nil || len(channels) != 2 || !slices.Contains(channels, "news") {
			t.Errorf("PUBSUB CHANNELS: %q, %v", channels, err)
		}
		if n, err := c.PubSubNumSub(ctx, "news", "none").Result(); err != nil || n["news"] != subscribers || n["none"] != 0 {
			t.Errorf("PUBSUB NUMSUB: %v, %v", n, err)
		}
		for i := range messages {
			// The subscribers of the channel and the two patterns of one more.
			if n, err := c.Publish(ctx, "news", fmt.Sprint(a.name, i)).Result(); err != nil || n != subscribers+2 {
				t.Fatalf("message %d reached %d, %v", i, n, err)
			}
		}
		wg.Wait()
		for i := range 2 * messages {
			m, err := patterns.ReceiveMessage(ctx)
			if err != nil || m.Channel != "news" || m.Payload != fmt.Sprint(a.name, i/2) || m.Pattern != "n[a-f]w?" && m.Pattern != "*" {
				t.Fatalf("by pattern: %v, %v", m, err)
			}
		}
		harness.Eventually(t, "nobody listens any more", func() bool {
			n, err := c.PubSubNumSub(ctx, "news").Result()
			return err == nil && n["news"] == 0
		})
	})
}

// A subscriber whose connection is cut subscribes again by itself.
func TestSoftwareGoRedisReconnect(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, a account, c *redis.Client) {
		ctx := harness.Context(t)
		sub := c.Subscribe(ctx, "news")
		defer sub.Close()
		if _, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		messages := sub.Channel()
		listeners := func(n int64) func() bool {
			return func() bool {
				got, err := c.PubSubNumSub(ctx, "news").Result()
				return err == nil && got["news"] == n
			}
		}
		for round := range 3 {
			harness.Eventually(t, "the subscription is there", listeners(1))
			want := fmt.Sprint(a.name, round)
			if err := c.Publish(ctx, "news", want).Err(); err != nil {
				t.Fatal(err)
			}
			select {
			case m := <-messages:
				if m.Payload != want {
					t.Errorf("got %q, want %q", m.Payload, want)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("message %d does not come", round)
			}
			// Of this tenant's connections the one that listens.
			if n, err := c.ClientKillByFilter(ctx, "TYPE", "pubsub").Result(); err != nil || n != 1 {
				t.Fatalf("CLIENT KILL TYPE pubsub: %d, %v", n, err)
			}
		}
	})
}

// Notifications of changed and expired keys, as caches use them.
func TestSoftwareGoRedisKeyspaceEvents(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(t *testing.T, a account, c *redis.Client) {
		ctx := harness.Context(t)
		sub := c.PSubscribe(ctx, "__keyspace@0__:user:*", "__keyevent@0__:expired")
		defer sub.Close()
		for range 2 {
			if _, err := sub.Receive(ctx); err != nil {
				t.Fatal(err)
			}
		}
		c.Set(ctx, "other", 1, 0)
		c.Set(ctx, "user:1", 1, 0)
		c.Set(ctx, "gone", 1, 30*time.Millisecond)
		want := []string{"__keyspace@0__:user:1 set", "__keyevent@0__:expired gone", "__keyspace@0__:user:1 del"}
		for i, w := range want {
			if i == 2 {
				c.Del(ctx, "user:1")
			}
			m, err := sub.ReceiveMessage(ctx)
			if err != nil || m.Channel+" "+m.Payload != w {
				t.Fatalf("got %v, %v; want %s", m, err, w)
			}
		}
	}, "--notify-keyspace-events", "KEA")
}

// Redigo, in RESP2, where a connection that listens can do little else.
func TestSoftwareRedigoPubSub(t *testing.T) {
	t.Parallel()
	eachAccount(t, func(t *testing.T, a account) {
		conn := a.redigo(t)
		sub := redigo.PubSubConn{Conn: conn}
		next := func() any { return sub.ReceiveWithTimeout(10 * time.Second) }
		expect := func(want any) {
			t.Helper()
			if got := next(); fmt.Sprintf("%T %v", got, got) != fmt.Sprintf("%T %v", want, want) {
				t.Fatalf("got %T %v, want %T %v", got, got, want, want)
			}
		}
		if err := sub.Subscribe("a", "b"); err != nil {
			t.Fatal(err)
		}
		expect(redigo.Subscription{Kind: "subscribe", Channel: "a", Count: 1})
		expect(redigo.Subscription{Kind: "subscribe", Channel: "b", Count: 2})
		if err := sub.PSubscribe("p*"); err != nil {
			t.Fatal(err)
		}
		expect(redigo.Subscription{Kind: "psubscribe", Channel: "p*", Count: 3})
		publisher := a.redigo(t)
		for _, channel := range []string{"a", "pear", "c"} {
			want := map[string]int{"a": 1, "pear": 1, "c": 0}[channel]
			if n, err := redigo.Int(publisher.Do("PUBLISH", channel, a.name+" "+channel)); err != nil || n != want {
				t.Errorf("PUBLISH %s: %d, %v", channel, n, err)
			}
		}
		expect(redigo.Message{Channel: "a", Data: []byte(a.name + " a")})
		expect(redigo.Message{Channel: "pear", Pattern: "p*", Data: []byte(a.name + " pear")})
		if err := sub.Ping("hello"); err != nil {
			t.Fatal(err)
		}
		expect(redigo.Pong{Data: "hello"})
		if err := conn.Send("GET", "key"); err != nil {
			t.Fatal(err)
		}
		conn.Flush()
		if err, ok := next().(error); !ok {
			t.Errorf("GET while listening: %v", err)
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
		// In no order that Redis promises.
		for count := 2; count > 0; count-- {
			if got, ok := next().(redigo.Subscription); !ok || got.Kind != "unsubscribe" || got.Count != count {
				t.Errorf("unsubscribed: %v, want %d left", got, count)
			}
		}
		if err := sub.PUnsubscribe("p*"); err != nil {
			t.Fatal(err)
		}
		expect(redigo.Subscription{Kind: "punsubscribe", Channel: "p*"})
		// With nothing left to listen to it is an ordinary connection again.
		if s, err := redigo.String(conn.Do("SET", "key", a.name)); err != nil || s != "OK" {
			t.Errorf("SET after unsubscribing: %q, %v", s, err)
		}
		conn.Send("MULTI")
		conn.Send("INCR", "n")
		conn.Send("GET", "key")
		if got, err := redigo.Values(conn.Do("EXEC")); err != nil || len(got) != 2 || string(got[1].([]byte)) != a.name {
			t.Errorf("EXEC: %q, %v", got, err)
		}
		script := redigo.NewScript(1, "return {KEYS[1], redis.call('GET', KEYS[1])}")
		for range 2 {
			if got, err := redigo.Strings(script.Do(conn, "key")); err != nil || !slices.Equal(got, []string{"key", a.name}) {
				t.Errorf("a script: %q, %v", got, err)
			}
		}
	})
}
