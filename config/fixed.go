package config

import "reflect"

// fixed are the keys that only a start can change, with what they say.
var fixed = []struct {
	key string
	of  func(c *Config) any
}{
	{"listen", func(c *Config) any { return c.Listen }},
	{"tls.listen", func(c *Config) any { return c.TLS.address() }},
	{"tls.handshake_timeout", func(c *Config) any { return c.TLS.orDefault().HandshakeTimeout }},
	{"tls.handshakes", func(c *Config) any { return c.TLS.orDefault().Handshakes }},
	{"unix", func(c *Config) any { return c.Unix }},
	{"upstream.tls", func(c *Config) any { return c.Upstream.TLS }},
	{"loops", func(c *Config) any { return c.Loops }},
	{"state_dir", func(c *Config) any { return c.StateDir }},
	{"admin.listen", func(c *Config) any { return c.Admin.Listen }},
	{"upstream.mode", func(c *Config) any { return c.Upstream.Mode }},
	{"upstream.addresses", func(c *Config) any { return c.Upstream.Addresses }},
	{"upstream.username", func(c *Config) any { return c.Upstream.Username }},
	{"upstream.password", func(c *Config) any { return c.Upstream.Password }},
	{"upstream.connect_timeout", func(c *Config) any { return c.Upstream.ConnectTimeout }},
	{"upstream.timeout", func(c *Config) any { return c.Upstream.Timeout }},
	{"fleet_secret", func(c *Config) any { return c.FleetSecret }},
	{"usage.flush", func(c *Config) any { return c.Usage.Flush }},
	{"usage.grace", func(c *Config) any { return c.Usage.Grace }},
	{"usage.retention", func(c *Config) any { return c.Usage.Retention }},
	{"usage.spool", func(c *Config) any { return c.Usage.Spool }},
	{"audit.dir", func(c *Config) any { return c.Audit.Dir }},
	{"audit.secret", func(c *Config) any { return c.Audit.Secret }},
	{"audit.buffer", func(c *Config) any { return c.Audit.Buffer }},
}

// Fixed names the keys of a new configuration that a running proxy, started with another, does not take over: they
// hold from the next start on.
func Fixed(started, now *Config) (keys []string) {
	for _, f := range fixed {
		if !reflect.DeepEqual(f.of(started), f.of(now)) {
			keys = append(keys, f.key)
		}
	}
	return keys
}
