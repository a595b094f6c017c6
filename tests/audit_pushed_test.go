package tests

import (
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// Commands that are answered by messages are recorded as ones that were run, on connections of a client's own and on
// shared ones, and whatever was sent behind them.
func TestAuditSubscribe(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	for name, upstream := range map[string]string{"own": "", "shared": "  subscriber_connections: 0\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := harness.StartProxy(t, redis.Addr, harness.Options{Upstream: upstream, Top: fmt.Sprintf("audit: {dir: %q, level: all}\n", dir)})
			p.Ready(t)
			c := p.Connect(t, harness.Acme)
			for _, args := range [][]string{{"GET", "k"}, {"SUBSCRIBE", "news", "talk"}, {"UNSUBSCRIBE", "news"}, {"PSUBSCRIBE", "*"}, {"PUNSUBSCRIBE"}, {"UNSUBSCRIBE"}, {"GET", "k"}} {
				if err := c.Send(args...); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 8 {
				if reply, err := c.Reply(); err != nil || strings.HasPrefix(reply, "-") {
					t.Fatal(i, reply, err)
				}
			}
			stop(t, p)
			_, text := auditText(t, dir)
			for _, command := range []string{"get", "subscribe", "unsubscribe", "psubscribe", "punsubscribe"} {
				if !strings.Contains(text, `"command":"`+command+`"`) {
					t.Errorf("%s is not recorded", command)
				}
			}
			if strings.Contains(text, `"outcome":"unanswered"`) {
				t.Error(text)
			}
		})
	}
}
