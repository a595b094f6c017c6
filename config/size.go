package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes.
//
// It is written as a whole number and a unit: B, or nothing, for bytes; k, M, G,
// T (also kB, MB, GB, TB) for powers of 1000; KiB, MiB, GiB, TiB (also Ki, Mi,
// Gi, Ti) for powers of 1024. Capitals do not matter and a space may stand
// before the unit. The units mean what they mean everywhere but in redis.conf,
// where 1kb is 1024 bytes.
type Size int64

// The binary units.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

// sizeUnits are the units that String writes, the largest first.
var sizeUnits = []struct {
	name  string
	bytes Size
}{
	{"TiB", TiB}, {"TB", 1e12}, {"GiB", GiB}, {"GB", 1e9},
	{"MiB", MiB}, {"MB", 1e6}, {"KiB", KiB}, {"kB", 1e3},
}

const notASize = "is not a size (examples: 65536, 512MB, 1GiB)"

// ParseSize reads a size as the documentation of Size says.
func ParseSize(text string) (Size, error) {
	trimmed := strings.TrimSpace(text)
	digits := 0
	for digits < len(trimmed) && trimmed[digits] >= '0' && trimmed[digits] <= '9' {
		digits++
	}
	unit, known := unitOf(strings.TrimLeft(trimmed[digits:], " "))
	if digits == 0 || !known {
		return 0, &invalid{text, notASize}
	}
	n, err := strconv.ParseInt(trimmed[:digits], 10, 64)
	if err != nil || n > math.MaxInt64/int64(unit) {
		return 0, &invalid{text, "is too large for a size"}
	}
	return Size(n) * unit, nil
}

// unitOf gives the bytes in a unit. The long form, the one without B and the
// binary one without B are recognised from the names of sizeUnits.
func unitOf(name string) (Size, bool) {
	name = strings.ToLower(name)
	if name == "" || name == "b" {
		return 1, true
	}
	for _, u := range sizeUnits {
		long := strings.ToLower(u.name)
		if name == long || name == strings.TrimSuffix(long, "b") {
			return u.bytes, true
		}
	}
	return 0, false
}

// String writes the size with the largest unit that divides it, so that
// ParseSize gives back the same number.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && s%u.bytes == 0 {
			return fmt.Sprintf("%d%s", int64(s/u.bytes), u.name)
		}
	}
	return fmt.Sprintf("%dB", int64(s))
}

// UnmarshalText lets YAML and JSON read a size.
func (s *Size) UnmarshalText(text []byte) error {
	size, err := ParseSize(string(text))
	if err == nil {
		*s = size
	}
	return err
}

// MarshalText writes what String writes.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
