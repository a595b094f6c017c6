package config

// HotKeys has the proxy remember which keys tenants' commands name most often. It can be changed while the proxy runs.
type HotKeys struct {
	// Enabled is whether it does. Default true; false forgets what there is.
	Enabled bool `yaml:"enabled"`
}
