package proxy

import (
	"path/filepath"
	"strings"
	"testing"

	"riptide-proxy/config"
)

// Certificates that are used from the next start on are looked at now: a proxy that is restarted with the configuration
// that it runs with starts.
func TestApplyCertificatesOfTheNextStart(t *testing.T) {
	s := startEmbedded(t, options{})
	missing := filepath.Join(t.TempDir(), "none.pem")
	for key, change := range map[string]func(*config.Config){
		"tls.cert": func(c *config.Config) {
			c.TLS = &config.TLS{Listen: "127.0.0.1:0", Cert: missing, Key: missing}
		},
		"upstream.tls.ca": func(c *config.Config) { c.Upstream.TLS = &config.UpstreamTLS{CA: missing} },
	} {
		cfg := configOf(t, s, map[string]string{"acme": ""})
		change(cfg)
		if err := s.Apply(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("with a %s that is not there it says %v", key, err)
		}
	}
}
