package tests

import (
	"bytes"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// What a transaction makes the proxy keep, and answer itself, is bounded.
func TestHostileTransactions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call []string
		n    int
	}{
		"long arguments": {[]string{"ECHO", strings.Repeat("x", 1<<20)}, 400},
		"long answers":   {[]string{"CONFIG", "GET", "*"}, 100_000},
		"gathered":       {[]string{"INFO"}, 40_000},
	} {
		t.Run(name, func(t *testing.T) {
			p := hostileProxy(t, "")
			base := p.RSS(t)
			a := p.Connect(t, harness.Acme)
			go func() {
				a.Write(harness.Request("MULTI"))
				one := harness.Request(c.call...)
				batch := max(1, 64<<10/len(one))
				for n := c.n; n > 0; n -= batch {
					a.Write(bytes.Repeat(one, min(n, batch)))
				}
				a.Write(harness.Request("EXEC"))
			}()
			for i := range c.n + 2 {
				reply, err := a.Reply()
				if err != nil {
					t.Fatalf("reply %d of %d: %v", i, c.n, err)
				}
				if i == c.n+1 && len(reply) > 64<<20 {
					t.Errorf("EXEC answers %d bytes", len(reply))
				}
			}
			if reply, err := a.Do("ECHO", "x"); err != nil || reply != "$1\r\nx\r\n" {
				t.Errorf("ECHO: %q, %v", reply, err)
			}
			if rss := p.RSS(t); rss-base > 320<<20 {
				t.Errorf("the proxy has grown by %d MiB", (rss-base)>>20)
			}
		})
	}
}
