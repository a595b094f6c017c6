package config

import "strings"

// Mode is the kind of upstream.
type Mode string

const (
	// Embedded keeps everything in the memory of the proxy itself: for a first
	// look and for tests; the data ends with the process.
	Embedded Mode = "embedded"
	// Standalone is one server at one address.
	Standalone Mode = "standalone"
	// Sentinel and Cluster are known but refused until they are supported.
	Sentinel Mode = "sentinel"
	Cluster  Mode = "cluster"
)

// Role is what the holder of an admin token may do; each includes the one before.
type Role string

const (
	Viewer        Role = "viewer"
	Operator      Role = "operator"
	Administrator Role = "admin"
)

// Algorithm compresses values.
type Algorithm string

const (
	NoCompression Algorithm = "none"
	LZ4           Algorithm = "lz4"
	S2            Algorithm = "s2"
	Zstd          Algorithm = "zstd"
)

// Level is how much work compression does.
type Level string

const (
	Fastest      Level = "fastest"
	DefaultLevel Level = "default"
	Better       Level = "better"
	Best         Level = "best"
)

// Cipher encrypts values.
type Cipher string

const (
	NoEncryption Cipher = "none"
	// AES256GCM is the faster one on processors with instructions for AES.
	AES256GCM Cipher = "aes-256-gcm"
	// ChaCha20Poly1305 is the faster one on all others.
	ChaCha20Poly1305 Cipher = "chacha20-poly1305"
)

// Scripts is what a tenant's scripts may do.
type Scripts string

const (
	// IsolatedScripts run behind a wall that the upstream itself enforces.
	IsolatedScripts Scripts = "isolated"
	// TrustedScripts may also use what no key pattern confines, like SCAN.
	TrustedScripts Scripts = "trusted"
	// NoScripts refuses every script.
	NoScripts Scripts = "off"
)

// Over is what becomes of a command that is over a rate.
type Over string

const (
	Reject Over = "reject" // it is answered -THROTTLED
	Delay  Over = "delay"  // it waits until it may run
)

// Unreachable is what holds while rates can not be asked for.
type Unreachable string

const (
	Share  Unreachable = "share"
	Open   Unreachable = "open"
	Closed Unreachable = "closed"
)

// Classes are the names of the classes of commands.
var Classes = []string{"read", "write", "script", "pubsub", "other"}

func (o *Over) UnmarshalText(text []byte) error { return choose(o, text, Reject, Delay) }

func (u *Unreachable) UnmarshalText(text []byte) error { return choose(u, text, Share, Open, Closed) }

func (m *Mode) UnmarshalText(text []byte) error {
	return choose(m, text, Embedded, Standalone, Sentinel, Cluster)
}

func (r *Role) UnmarshalText(text []byte) error {
	return choose(r, text, Viewer, Operator, Administrator)
}

func (a *Algorithm) UnmarshalText(text []byte) error {
	return choose(a, text, NoCompression, LZ4, S2, Zstd)
}

func (l *Level) UnmarshalText(text []byte) error {
	return choose(l, text, Fastest, DefaultLevel, Better, Best)
}

func (c *Cipher) UnmarshalText(text []byte) error {
	return choose(c, text, NoEncryption, AES256GCM, ChaCha20Poly1305)
}

func (s *Scripts) UnmarshalText(text []byte) error {
	return choose(s, text, IsolatedScripts, TrustedScripts, NoScripts)
}

// choose sets *to to the choice that text spells.
func choose[T ~string](to *T, text []byte, choices ...T) error {
	names := make([]string, len(choices))
	for i, c := range choices {
		if string(text) == string(c) {
			*to = c
			return nil
		}
		names[i] = string(c)
	}
	return &invalid{string(text), "is not one of " + strings.Join(names, ", ") + didYouMean(string(text), names)}
}
