package config

import (
	"strings"
	"time"
)

// Duration is a span of time, written as time.ParseDuration reads it: 500ms,
// 30s, 5m, 1h30m. A number without a unit is refused, since nobody could tell
// what it counts; so is a negative one.
type Duration time.Duration

// ParseDuration reads a duration as the documentation of Duration says.
func ParseDuration(text string) (Duration, error) {
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || d < 0 {
		return 0, &invalid{text, "is not a duration (examples: 500ms, 30s, 5m, 1h30m)"}
	}
	return Duration(d), nil
}

// String writes 1h30m where time.Duration writes 1h30m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// UnmarshalText lets YAML and JSON read a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	duration, err := ParseDuration(string(text))
	if err == nil {
		*d = duration
	}
	return err
}

// MarshalText writes what String writes.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
