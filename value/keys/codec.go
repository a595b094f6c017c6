package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"riptide-proxy/config"
	"riptide-proxy/value"
)

// Codec seals a tenant's values as the configuration says now, and opens
// whatever it said before, given the master keys that Load got. It is nil for a
// tenant that has neither compression nor encryption. Dictionaries are not set.
func Codec(cfg *config.Config, id string, masters map[string][]byte) (*value.Codec, error) {
	s, err := Settings(cfg, id, masters)
	if err != nil {
		return nil, err
	}
	if s.Algorithm == config.NoCompression && !s.Keys.Writes() {
		return nil, nil
	}
	return codec(s)
}

// Settings are what Codec makes its codec with. A tenant that has neither compression nor
// encryption has them too, for opening what it had before.
func Settings(cfg *config.Config, id string, masters map[string][]byte) (value.Settings, error) {
	t, known := cfg.Tenants[id]
	if !known {
		return value.Settings{}, fmt.Errorf("there is no tenant %q", id)
	}
	c, e := t.Compression, t.Encryption
	if e.Algorithm == config.NoEncryption {
		e.Key = ""
	}
	ring, err := value.NewKeyring(id, string(e.Algorithm), e.Key, masters)
	if err != nil {
		return value.Settings{}, fmt.Errorf("tenant %s: %w", id, err)
	}
	level, _ := value.Level(string(c.Level)) // both have the same names
	s := value.Settings{
		Tenant:    id,
		Algorithm: c.Algorithm,
		Level:     level,
		MinSize:   int(c.MinSize),
		MinSaving: c.MinSaving,
		Limit:     int(cfg.Limits.Bulk),
		Exclude:   c.Exclude,
		Streams:   c.Streams,
		Keys:      ring,
	}
	if c.Dictionaries.Enabled {
		s.DictMinSize = int(c.Dictionaries.MinSize)
	}
	return s, nil
}

// Opener opens whatever the configuration of a tenant may ever have sealed, and
// neither compresses nor encrypts. Dictionaries are not set.
func Opener(cfg *config.Config, id string, masters map[string][]byte) (*value.Codec, error) {
	ring, err := value.NewKeyring(id, "", "", masters)
	if err != nil {
		return nil, fmt.Errorf("tenant %s: %w", id, err)
	}
	return codec(value.Settings{
		Tenant: id, Algorithm: config.NoCompression, Level: value.DefaultLevel, Limit: int(cfg.Limits.Bulk), Keys: ring,
	})
}

func codec(s value.Settings) (*value.Codec, error) {
	c, err := value.NewCodec(s)
	if err != nil {
		return nil, fmt.Errorf("tenant %s: %w", s.Tenant, err)
	}
	return c, nil
}

// Fingerprint differs between configurations that seal values differently.
func Fingerprint(t *config.Tenant) string {
	text, err := json.Marshal(struct {
		C config.Compression
		E config.Encryption
	}{t.Compression, t.Encryption})
	if err != nil {
		panic(err) // they have nothing that could not be written
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
