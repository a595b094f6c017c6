package config

import (
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	good := map[string]Size{
		"0": 0, "65536": 65536, "7B": 7, "7 b": 7, " 1k ": 1000, "1kB": 1000, "1KB": 1000, "1Ki": 1024, "1kib": 1024,
		"64MiB": 64 << 20, "512MB": 512e6, "512 mb": 512e6, "5m": 5e6, "1GiB": 1 << 30, "1g": 1e9, "2TiB": 2 << 40,
		"2T": 2e12, "9223372036854775807": 1<<63 - 1, "8388607TiB": 8388607 << 40, "007k": 7000,
	}
	for text, want := range good {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%d prints as %s, which reads as %d, %v", got, got, again, err)
		}
	}
	bad := []string{"", " ", "B", "KiB", "-1", "-1KiB", "+1", "1.5GiB", "1e3", "0x10", "12XB", "1 K B", "1KBs", "1,000", "unlimited",
		"9223372036854775808", "99999999999999999999", "8388608TiB", "9007199254740992k KiB", "٣k", "1K\x00"}
	for _, text := range bad {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestSizeString(t *testing.T) {
	for size, want := range map[Size]string{
		0: "0B", 1: "1B", 1023: "1023B", 1000: "1kB", 1024: "1KiB", 1536: "1536B", 64 << 20: "64MiB", 512e6: "512MB",
		1 << 30: "1GiB", 1 << 50: "1024TiB", 3e12: "3TB", 1500e3: "1500kB",
	} {
		if got := size.String(); got != want {
			t.Errorf("Size(%d) prints as %s, want %s", int64(size), got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]struct {
		d    time.Duration
		name string
	}{
		"30s": {30 * time.Second, "30s"}, "5m": {5 * time.Minute, "5m"}, "1h30m": {90 * time.Minute, "1h30m"},
		"60s": {time.Minute, "1m"}, "24h": {24 * time.Hour, "24h"}, "500ms": {500 * time.Millisecond, "500ms"},
		"1.5s": {1500 * time.Millisecond, "1.5s"}, "0": {0, "0s"}, "0s": {0, "0s"}, "1h0m5s": {time.Hour + 5*time.Second, "1h0m5s"},
		"10m": {10 * time.Minute, "10m"}, "10h": {10 * time.Hour, "10h"},
	} {
		d, err := ParseDuration(text)
		if err != nil || time.Duration(d) != want.d || d.String() != want.name {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, d, err, want.name)
		}
	}
	for _, text := range []string{"", "30", "-1s", "s", "1d", "1 s", "1h-5m", "9999999h"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, d)
		}
	}
}

func TestExpand(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"A": "one", "EMPTY": "", "NESTED": "${A}", "a_1": "lower"}[name]
		return v, ok
	}
	for text, want := range map[string]string{
		"":                     "",
		"plain":                "plain",
		"${A}":                 "one",
		"x${A}y${a_1}z":        "xoneylowerz",
		"${EMPTY}":             "",
		"${EMPTY:-d}":          "d",
		"${NONE:-}":            "",
		"${NONE:-d e:f}":       "d e:f",
		"${NONE:-$A}":          "$A",
		"${A:-d}":              "one",
		"${NESTED}":            "${A}", // inserted text is not expanded again
		"$A $ $$ pa$$word $":   "$A $ $$ pa$$word $",
		"$${A}":                "${A}",
		"$${A}${A}$${":         "${A}one${",
		"$argon2id$v=19$m=8,t": "$argon2id$v=19$m=8,t",
	} {
		if got, err := expand(text, env); err != nil || got != want {
			t.Errorf("expand(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"${NONE}", "${", "${A", "${}", "${1A}", "${A:d}", "${A:-", "${ A}", "x${A}${B}", "${A${A}}"} {
		if got, err := expand(text, env); err == nil {
			t.Errorf("expand(%q) = %q, want an error", text, got)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	right := []string{"listen", "limits", "tls", "tenants", "tenants_dir"}
	for word, want := range map[string]string{
		"lisen": "listen", "Listen": "listen", "tenant": "tenants", "limit": "limits", "lsit": "", "tsl": "tls", "xyz": "",
		"tenants-dir": "tenants_dir", "unrelated": "", "": "",
	} {
		text := ""
		if want != "" {
			text = ` (did you mean "` + want + `"?)`
		}
		if got := didYouMean(word, right); got != text {
			t.Errorf("didYouMean(%q) = %q, want %q", word, got, text)
		}
	}
}
