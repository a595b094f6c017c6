package config

import "slices"

// NextStart reports whether a key, as in usage.flush, is one that a running proxy does not take over: a change
// holds from the next start on.
func NextStart(key string) bool {
	return slices.ContainsFunc(fixed, func(f struct {
		key string
		of  func(c *Config) any
	}) bool {
		return f.key == key
	})
}
