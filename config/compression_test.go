package config

import (
	"path/filepath"
	"testing"
)

// TestDictionariesByDefault: with zstd there are dictionaries unless they are
// switched off, with others there are none.
func TestDictionariesByDefault(t *testing.T) {
	for section, want := range map[string]bool{
		"{}":                                false,
		"":                                  false,
		"{algorithm: zstd}":                 true,
		"{algorithm: s2}":                   false,
		"{algorithm: none}":                 false,
		"{algorithm: zstd, dictionaries: }": true,
		"{algorithm: zstd, dictionaries: {enabled: }}":                         true,
		"{algorithm: s2, dictionaries: {enabled: }}":                           false,
		"{algorithm: zstd, dictionaries: {size: 4KiB, patterns: ['a*', '*']}}": true,
		"{algorithm: zstd, dictionaries: {enabled: true}}":                     true,
		"{algorithm: zstd, dictionaries: {enabled: false}}":                    false,
		"{algorithm: lz4, dictionaries: {enabled: false, min_size: 0}}":        false,
	} {
		c, warnings := parsed(t, acme+"    users: {default: {sha256: ["+hashA+"]}}\n    compression: "+section+"\n")
		if got := c.Tenants["acme"].Compression.Dictionaries.Enabled; got != want || len(warnings) > 0 {
			t.Errorf("compression: %s has dictionaries: %v, %v", section, got, warnings)
		}
	}
}

// TestEncryptionOff: a tenant whose encryption was turned off may keep the rest of the section.
func TestEncryptionOff(t *testing.T) {
	for _, section := range []string{"{}", "{algorithm: none}", "{algorithm: none, key: k}", "{algorithm: none, key: }"} {
		c, _ := parsed(t, "encryption_keys: {k: {env: K}}\n"+acme+"    encryption: "+section+"\n")
		if got := c.Tenants["acme"].Encryption.Algorithm; got != NoEncryption {
			t.Errorf("encryption: %s is %s", section, got)
		}
	}
}

func TestValuesInTenantsDir(t *testing.T) {
	path := folder(t, "riptide.yaml", embeddedWithDir+"encryption_keys: {2026-11: {file: k}, abs: {file: /etc/k}}\n",
		"d/bad.yaml", "compression: {min_size: 1}\nencryption: {algorithm: aes-256-gcm, key: 2026-10}\n",
		"d/good.yaml", "compression: {algorithm: zstd}\nencryption: {algorithm: aes-256-gcm, key: 2026-11}\n",
		"d/list.yaml", "compression:\n  algorithm: lz4\n  exclude:\n    - 'a['\n",
	)
	_, _, err := Load(path)
	sameLines(t, relative(filepath.Dir(path), lines(err.(Errors))),
		`d/bad.yaml:1: compression: has no algorithm (none, lz4, s2 or zstd)`,
		`d/bad.yaml:2: encryption.key: there is no key "2026-10" in encryption_keys (did you mean "2026-11"?)`,
		`d/list.yaml:4: compression.exclude[0]: "a[" has a [ without its ]; write \[ for the character itself`,
	)
}

func TestKeyFilesAreRelativeToTheFile(t *testing.T) {
	path := folder(t, "riptide.yaml", "upstream: {mode: embedded}\ntenants: {a: }\nencryption_keys: {r: {file: keys/r}, a: {file: /etc/k}, e: {env: E}}\n")
	c, _, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"r": filepath.Join(filepath.Dir(path), "keys/r"), "a": "/etc/k", "e": ""} {
		if got := c.EncryptionKeys[name].File; got != want {
			t.Errorf("%s is at %q, want %q", name, got, want)
		}
	}
}
