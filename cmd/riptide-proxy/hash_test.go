package main

import (
	"strings"
	"testing"

	"riptide-proxy/config"
)

func TestHash(t *testing.T) {
	for stdin, secret := range map[string]string{
		"secret": "secret", "secret\n": "secret", "secret\r\n": "secret", "secret\r": "secret\r", "two\n\n": "two\n",
		" a b ": " a b ", strings.Repeat("x", longestSecret) + "\r\n": strings.Repeat("x", longestSecret),
	} {
		out, errs, err := run(hashCommand(), stdin)
		if err != nil || errs != "" || out != config.HashSecret(secret)+"\n" {
			t.Errorf("%q: out %q, err %q, %v", stdin, out, errs, err)
		}
	}
}

func TestHashArgon2id(t *testing.T) {
	out, errs, err := run(hashCommand(), "correct horse\n", "--argon2id")
	if err != nil || errs != "" || !config.VerifyArgon2id(strings.TrimSuffix(out, "\n"), "correct horse") {
		t.Errorf("out %q, err %q, %v", out, errs, err)
	}
}

func TestHashRefuses(t *testing.T) {
	for stdin, want := range map[string]string{
		"":                                     "the secret is empty",
		"\n":                                   "the secret is empty",
		"\r\n":                                 "the secret is empty",
		strings.Repeat("x", longestSecret+1):   "the secret is longer than 4096 bytes",
		strings.Repeat("x", longestSecret*100): "the secret is longer than 4096 bytes",
	} {
		out, errs, err := run(hashCommand(), stdin)
		if err == nil || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%.20q: out %q, err %q, %v", stdin, out, errs, err)
		}
	}
	// A secret on the command line is refused, and not repeated in the message.
	if out, errs, err := run(hashCommand(), "x", "hunter2"); err == nil || strings.Contains(out+err.Error(), "hunter2") || strings.Contains(errs, "hunter2") {
		t.Errorf("out %q, err %q, %v", out, errs, err)
	}
}
