package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Whatever way a configuration is written out, its passwords stay in.
func TestPasswordIsNeverPrinted(t *testing.T) {
	const secret = "hunter2"
	c := Default()
	c.Upstream.Password = secret

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T%v"} {
		fmt.Fprintf(&out, verb+"\n", c.Upstream.Password, c.Upstream.Password)
		fmt.Fprintf(&out, verb+"\n", c.Upstream, c)
		fmt.Fprintf(&out, verb+"\n", &c.Upstream, []Password{secret})
	}
	fmt.Fprintln(&out, c.Upstream, map[string]Password{"p": secret})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "p", c.Upstream.Password, "u", c.Upstream, "c", c)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "p", c.Upstream.Password, "u", c.Upstream, "c", c)
	for _, marshal := range []func(any) ([]byte, error){yaml.Marshal, json.Marshal} {
		text, err := marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte("***")) {
			t.Errorf("no *** in %s", text)
		}
		out.Write(text)
	}
	printed := strings.ToLower(out.String())
	for _, leak := range []string{secret, fmt.Sprintf("%x", secret)} {
		if strings.Contains(printed, leak) {
			t.Errorf("%q is in the output:\n%s", leak, printed)
		}
	}
	if c.Upstream.Password.Reveal() != secret {
		t.Error("Reveal does not give the password")
	}
	if s := Password("").String(); s != "" {
		t.Errorf("an empty password prints as %q", s)
	}
}

func TestHashSecret(t *testing.T) {
	const want = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
	if got := HashSecret("secret"); got != want {
		t.Errorf("HashSecret = %s, want %s", got, want)
	}
}

func TestArgon2id(t *testing.T) {
	phc := HashArgon2id("correct horse")
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("HashArgon2id = %s", phc)
	}
	if phc == HashArgon2id("correct horse") {
		t.Error("two hashes have the same salt")
	}
	if !VerifyArgon2id(phc, "correct horse") || VerifyArgon2id(phc, "correct hors") || VerifyArgon2id(phc, "") {
		t.Error("VerifyArgon2id takes the wrong secret or refuses the right one")
	}
	// Made by the reference implementation: argon2 somesalt -id -t 2 -k 256 -p 1 -l 32 -e
	const foreign = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	if !VerifyArgon2id(foreign, "password") {
		t.Error("a hash of the reference implementation is not verified")
	}
}

func TestArgon2idRefused(t *testing.T) {
	const salt, hash = "c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	for name, phc := range map[string]string{
		"empty":          "",
		"argon2i":        "$argon2i$v=19$m=256,t=2,p=1$" + salt + "$" + hash,
		"version":        "$argon2id$v=16$m=256,t=2,p=1$" + salt + "$" + hash,
		"no version":     "$argon2id$m=256,t=2,p=1$" + salt + "$" + hash,
		"order":          "$argon2id$v=19$t=2,m=256,p=1$" + salt + "$" + hash,
		"padding":        "$argon2id$v=19$m=256,t=2,p=1$" + salt + "=$" + hash + "=",
		"short salt":     "$argon2id$v=19$m=256,t=2,p=1$c29t$" + hash,
		"short hash":     "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$nf65EOg",
		"loose bits":     "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + hash[:42] + "5",
		"more after":     "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + hash + "\n",
		"memory":         "$argon2id$v=19$m=4194304,t=2,p=1$" + salt + "$" + hash,
		"little memory":  "$argon2id$v=19$m=15,t=2,p=2$" + salt + "$" + hash,
		"time":           "$argon2id$v=19$m=256,t=1000000,p=1$" + salt + "$" + hash,
		"no time":        "$argon2id$v=19$m=256,t=0,p=1$" + salt + "$" + hash,
		"threads":        "$argon2id$v=19$m=65536,t=2,p=257$" + salt + "$" + hash,
		"no threads":     "$argon2id$v=19$m=256,t=2,p=0$" + salt + "$" + hash,
		"overflow":       "$argon2id$v=19$m=4294967552,t=2,p=1$" + salt + "$" + hash,
		"plain password": "password",
	} {
		if _, err := parseArgon2id(phc); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), hash) {
			t.Errorf("%s: the hash is in the message", name)
		}
		if VerifyArgon2id(phc, "password") {
			t.Errorf("%s: verified", name)
		}
	}
}
