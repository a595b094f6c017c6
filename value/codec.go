package value

import (
	"fmt"
	"slices"
	"sync/atomic"

	"riptide-proxy/config"
)

// Settings is how a tenant's values are stored.
type Settings struct {
	Tenant    string
	Algorithm config.Algorithm
	Level     int // DefaultLevel, Fastest, Better or Best

	MinSize     int // the shortest value that is compressed, in bytes
	DictMinSize int // the same where there is a dictionary; 0: as without one
	Limit       int // the longest original in bytes: limits.bulk

	// MinSaving is by how many percent a value has to become shorter for being compressed.
	// Less than 0: it is sealed even if it becomes longer, which is of use in tests.
	MinSaving int

	Exclude []string // glob patterns over Name.Key: what they match is not compressed
	Streams bool     // also the values of stream fields
	Keys    *Keyring // nil: no encryption, and none can be read
}

// Codec seals and opens the values of one tenant. It is safe for concurrent use.
type Codec struct {
	settings  Settings
	algorithm Algorithm
	exclude   []pattern
	smallest  int // below this no value needs a second look

	dicts   atomic.Pointer[Dicts]
	sampler atomic.Pointer[func(Name, []byte)]
}

// NewCodec checks the settings.
func NewCodec(s Settings) (*Codec, error) {
	c := &Codec{settings: s}
	names := [Algorithms]config.Algorithm{config.NoCompression, config.LZ4, config.S2, config.Zstd}
	at := slices.Index(names[:], s.Algorithm)
	if at < 0 {
		return nil, fmt.Errorf("unknown compression algorithm %q", s.Algorithm)
	}
	c.algorithm = Algorithm(at)
	if s.Level < DefaultLevel || s.Level > Best {
		return nil, fmt.Errorf("unknown compression level %d", s.Level)
	}
	if s.Limit <= 0 || s.Limit > maxLength {
		return nil, fmt.Errorf("limit of %d bytes is not between 1 and %d", s.Limit, maxLength)
	}
	for _, glob := range s.Exclude {
		c.exclude = append(c.exclude, newPattern(glob))
	}
	if c.settings.DictMinSize <= 0 {
		c.settings.DictMinSize = c.settings.MinSize
	}
	c.smallest = max(c.settings.MinSize, 1)
	if c.algorithm == Zstd {
		c.smallest = max(min(c.settings.MinSize, c.settings.DictMinSize), 1)
	}
	return c, nil
}

// Compresses reports whether new values may be compressed.
func (c *Codec) Compresses() bool { return c.algorithm != None }

// Encrypts reports whether new values are encrypted, all of them.
func (c *Codec) Encrypts() bool { return c.settings.Keys.Writes() }

// Streams reports whether the values of stream fields are sealed too.
func (c *Codec) Streams() bool { return c.settings.Streams }

// SetDicts replaces the tenant's dictionaries; nil: none.
func (c *Codec) SetDicts(d *Dicts) { c.dicts.Store(d) }

// Dicts is the tenant's dictionaries, or nil.
func (c *Codec) Dicts() *Dicts { return c.dicts.Load() }

// SetSampler has f called with every value that a dictionary could compress, before it is compressed. It
// runs within Seal, must not keep what it is given, and may be called by many goroutines at once. nil ends it.
func (c *Codec) SetSampler(f func(name Name, plain []byte)) {
	if f == nil {
		c.sampler.Store(nil)
		return
	}
	c.sampler.Store(&f)
}
