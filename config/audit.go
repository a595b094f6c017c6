package config

import "time"

// Audit is the log of who did what: logins, refusals, changes by operators, and
// commands.
type Audit struct {
	// Dir is the folder that it is kept in; a relative path starts at the folder of the
	// configuration file. Empty, the default: there is no such log.
	Dir string `yaml:"dir"`

	// Level says which commands of tenants are recorded: none, admin (those that the upstream's
	// access control counts as @admin or @dangerous), write (those and whatever may change
	// data) or all. Default admin. Everything else that the log has does not depend on it.
	Level AuditLevel `yaml:"level"`

	// Keys says how the names of keys and channels are recorded: plain, hashed (with Secret) or not at
	// all (none). Default plain.
	Keys AuditKeys `yaml:"keys"`

	// Secret makes the log's chain one that nobody can make without it, and is what names of keys are
	// hashed with. At least 16 characters. Empty, the default: the chain is of plain SHA-256.
	Secret Password `yaml:"secret"`

	// Buffer is how much may wait to be written, over all event loops. What there is no room for is
	// dropped and counted. 1MiB to 1GiB; default 8MiB.
	Buffer Size `yaml:"buffer"`

	// Sync is how often what was written is forced to the disk. 10ms to 1h; default 1s. 0s: when the
	// operating system likes.
	Sync Duration `yaml:"sync"`

	// RotateSize is the size at which another file is begun. 1MiB to 1TiB; default 100MiB.
	RotateSize Size `yaml:"rotate_size"`

	// RotateEvery is the age at which another file is begun. At least 1m; default 24h. 0s: files are never
	// too old.
	RotateEvery Duration `yaml:"rotate_every"`

	// KeepFiles is how many files are kept, the one that is written to included. Default 0: any number.
	KeepFiles int `yaml:"keep_files"`

	// KeepFor is how long a file is kept after it was written to last. At least 1h; default 2160h, which is 90
	// days. 0s: for ever.
	KeepFor Duration `yaml:"keep_for"`
}

// AuditLevel says which commands the audit log has.
type AuditLevel string

const (
	AuditNone  AuditLevel = "none"
	AuditAdmin AuditLevel = "admin"
	AuditWrite AuditLevel = "write"
	AuditAll   AuditLevel = "all"
)

// AuditKeys says how the audit log names keys.
type AuditKeys string

const (
	PlainKeys  AuditKeys = "plain"
	HashedKeys AuditKeys = "hashed"
	NoKeys     AuditKeys = "none"
)

func (a *AuditLevel) UnmarshalText(text []byte) error {
	return choose(a, text, AuditNone, AuditAdmin, AuditWrite, AuditAll)
}

func (a *AuditKeys) UnmarshalText(text []byte) error {
	return choose(a, text, PlainKeys, HashedKeys, NoKeys)
}

func defaultAudit() Audit {
	return Audit{
		Level: AuditAdmin, Keys: PlainKeys, Buffer: 8 * MiB, Sync: Duration(time.Second),
		RotateSize: 100 * MiB, RotateEvery: Duration(24 * time.Hour), KeepFor: Duration(2160 * time.Hour),
	}
}

// leastAuditSecret is as short as a secret may be that nobody guesses.
const leastAuditSecret = 16

func (l *loader) checkAudit() {
	s, a := l.main, &l.config.Audit
	if a.Dir == "" && s.has("audit") && !s.bad["audit"] && !s.bad["audit.dir"] {
		s.errorf("audit", "there is no audit log without audit.dir")
		return
	}
	if n := len(a.Secret.Reveal()); n > 0 && n < leastAuditSecret {
		s.errorf("audit.secret", "is shorter than %d characters", leastAuditSecret)
	}
	if a.Keys == HashedKeys && a.Secret == "" && !s.bad["audit.keys"] && !s.bad["audit.secret"] {
		s.errorf("audit.keys", "hashed needs audit.secret: without one, names are found again by hashing likely ones")
	}
	within(s, "audit.buffer", a.Buffer, MiB, GiB)
	within(s, "audit.rotate_size", a.RotateSize, MiB, TiB)
	within(s, "audit.keep_files", a.KeepFiles, 0, 1_000_000)
	for _, d := range []struct {
		key   string
		value Duration
		least Duration
		most  Duration
	}{
		{"sync", a.Sync, shortest, Duration(time.Hour)},
		{"rotate_every", a.RotateEvery, Duration(time.Minute), Duration(10000 * time.Hour)},
		{"keep_for", a.KeepFor, Duration(time.Hour), Duration(1000000 * time.Hour)},
	} {
		if d.value != 0 {
			within(s, join("audit", d.key), d.value, d.least, d.most)
		}
	}
}
