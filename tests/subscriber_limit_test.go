package tests

import (
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// A subscriber that does not read is closed at the output limit, whether it has
// an upstream connection of its own or shares one, and the others hear everything.
func TestSubscriberThatDoesNotRead(t *testing.T) {
	t.Parallel()
	for name, upstream := range map[string]string{"own": "  subscriber_connections: 100\n", "shared": "  subscriber_connections: 0\n"} {
		t.Run(name, func(t *testing.T) {
			redis := harness.StartRedis(t)
			p := harness.StartProxy(t, redis.Addr, harness.Options{Upstream: upstream, Limits: "  output_buffer: 1MiB\n"})
			p.Ready(t)
			lazy, keen, publisher := p.Connect(t, harness.Acme), p.Connect(t, harness.Acme), p.Connect(t, harness.Acme)
			for _, c := range []*harness.Conn{lazy, keen} {
				mustSay(t, c, "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n", "SUBSCRIBE", "ch")
			}
			heard := make(chan int, 1)
			go func() {
				n := 0
				for {
					reply, err := keen.Reply()
					if err != nil || strings.Contains(reply, "\r\nend\r\n") {
						heard <- n
						return
					}
					n++
				}
			}()
			text := strings.Repeat("x", 32<<10)
			sent := 0
			for end := time.Now().Add(30 * time.Second); time.Now().Before(end); sent++ {
				got, err := publisher.Do("PUBLISH", "ch", text)
				if err != nil {
					t.Fatal(err)
				}
				if got == ":1\r\n" { // the lazy one is gone
					sent++
					break
				}
			}
			mustSay(t, publisher, ":1\r\n", "PUBLISH", "ch", "end")
			if n := <-heard; n != sent {
				t.Errorf("the other one heard %d messages of %d", n, sent)
			}
			if rss := p.RSS(t); rss > 200<<20 {
				t.Errorf("the proxy takes %d MiB", rss>>20)
			}
		})
	}
}
