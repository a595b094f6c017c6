package config

import "reflect"

// fixed are the keys that only a start can change, with what they say.
var fixed = []struct {
	key string
	of  func(c *Config) any
}{
	{"listen", func(c *Config) any { return c.Listen }},
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
