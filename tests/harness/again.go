package harness

import (
	"strings"
	"testing"
)

// StartAgain runs the proxy anew, with the configuration as it is now. The process from before must have ended, or
// be about to.
func (p *Proxy) StartAgain(t testing.TB, env ...string) {
	t.Helper()
	p.Process = start(t, p.Addr, env, Binary(t), "serve", "--config", p.Config)
	Eventually(t, "the proxy listens again", func() bool {
		if !p.Running() {
			t.Fatalf("the proxy ended: %v\n%s", p.err, p.Log())
		}
		return strings.Contains(p.Log(), " serving ")
	})
}
