package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
)

// Password is a secret which the proxy must know in clear, because it logs in
// elsewhere with it. However it is printed, logged or marshalled it shows as
// "***" (or as nothing when it is empty); only Reveal gives the text.
type Password string

const masked = "***"

// Reveal gives the password itself, to be sent and not to be printed.
func (p Password) Reveal() string { return string(p) }

func (p Password) String() string {
	if p == "" {
		return ""
	}
	return masked
}

// Format covers every verb of fmt, also those (%d, %x) that would look past String.
func (p Password) Format(f fmt.State, verb rune) { fmt.Fprint(f, p.String()) }

// GoString covers those who ask for it without fmt.
func (p Password) GoString() string { return p.String() }

// LogValue covers log/slog.
func (p Password) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalText covers JSON.
func (p Password) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// MarshalYAML covers YAML.
func (p Password) MarshalYAML() (any, error) { return p.String(), nil }

// HashSecret is how a secret of high entropy is stored and looked up: its
// SHA-256 in lower-case hexadecimal.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
