// Package dictionary gets zstd dictionaries for tenants' values: it samples what is written, trains,
// keeps what is worth it in the upstream, and tells every proxy which dictionaries there are.
//
// A value that was written with a dictionary can be read only with it. So a dictionary is in the upstream
// before the first value is, comes back if the upstream loses it, and goes only when somebody
// who knows that no value needs it says so (Drop).
package dictionary

import (
	"errors"
	"fmt"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/value"
)

// Everything is the pattern of the keys that none of a tenant's patterns matches.
const Everything = "*"

const (
	// MaxSize is how large a dictionary may be, in bytes: as much as the configuration
	// allows (1 MiB) with the tables that come on top.
	MaxSize = 1<<20 + 16<<10

	// MaxDictionaries is how many a tenant may have, retired ones included. With as many
	// none is trained until some are dropped.
	MaxDictionaries = 128

	// DropAfter is how long a dictionary must have been retired, by the upstream's clock, before it can
	// be dropped. It is far longer than StaleAfter, after which no proxy still writes with it.
	DropAfter = time.Minute

	// StaleAfter is for how long a proxy goes on writing with dictionaries when it can not
	// ask the upstream which there are.
	StaleAfter = 10 * time.Second
)

var (
	// ErrUnknown is returned for a dictionary that the upstream does not have.
	ErrUnknown = errors.New("no such dictionary")
	// ErrUnknownTenant is returned for a tenant that is not configured.
	ErrUnknownTenant = errors.New("no such tenant")
	// ErrInUse is returned by Drop for a dictionary that is not retired, or only just.
	ErrInUse = errors.New("the dictionary may be in use")
	// ErrChanged is returned when another proxy was quicker to change the same thing.
	ErrChanged = errors.New("another proxy has changed the tenant's dictionaries meanwhile")
	// ErrBusy is returned while another proxy trains for the same pattern.
	ErrBusy = errors.New("another proxy is training for the same keys")
	// ErrFull is returned when a tenant has MaxDictionaries.
	ErrFull = fmt.Errorf("the tenant has %d dictionaries; recompress it and drop those that are retired", MaxDictionaries)
)

// Tenant is what this package knows of a tenant.
type Tenant struct {
	ID   string
	Root string // what its names in the upstream begin with: "t:acme:"

	// Writes tells that dictionaries are trained and written with. Otherwise they are only there to read
	// what was written before.
	Writes bool

	// Patterns of keys that get a dictionary each, the first match counts; the
	// other keys share one.
	Patterns []string

	// Size is how large a dictionary may become, in bytes.
	Size int

	// Settings are how its values are sealed. With Keys that write, the dictionaries
	// are encrypted in the upstream too, since they consist of what many values have in common.
	Settings value.Settings
}

// FromConfig is a tenant as it is configured; settings are what its codec is made with.
func FromConfig(id string, t *config.Tenant, settings value.Settings) Tenant {
	d := t.Compression.Dictionaries
	return Tenant{
		ID: id, Root: config.KeyPrefix(id, t.HashTag), Writes: d.Enabled,
		Patterns: d.Patterns, Size: int(d.Size), Settings: settings,
	}
}

// patterns are all patterns, Everything last.
func (t *Tenant) patterns() []string {
	all := make([]string, 0, len(t.Patterns)+1)
	for _, p := range t.Patterns {
		if p != Everything && p != "" {
			all = append(all, p)
		}
	}
	return append(all, Everything)
}

// has reports whether there may be a dictionary for that pattern.
func (t *Tenant) has(pattern string) bool {
	for _, p := range t.patterns() {
		if p == pattern {
			return true
		}
	}
	return false
}

// key is the hash that the tenant's dictionaries are in.
func (t *Tenant) key() string { return t.Root + "dicts" }

// vault seals the dictionaries themselves. It has no dictionaries, so that none is needed to
// read another.
func (t *Tenant) vault() (*value.Codec, error) {
	return value.NewCodec(value.Settings{Tenant: t.ID, Algorithm: "none", Limit: MaxSize, Keys: t.Settings.Keys})
}
