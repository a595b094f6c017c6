// Package quota keeps what tenants may use: figures that hold for all proxies of
// an upstream together lie in the upstream, and each proxy draws from them what it
// may use by itself, so that no command waits for them.
package quota

// Usage is how much of something a tenant uses, and may.
type Usage struct {
	Resource    string // as in the configuration
	Used, Limit float64
}
