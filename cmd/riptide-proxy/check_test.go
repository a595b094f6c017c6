package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// run executes a subcommand as the shell would.
func run(cmd *cobra.Command, stdin string, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

// configFile writes a configuration for one test.
func configFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "riptide.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCheckGood(t *testing.T) {
	file := configFile(t, `upstream: {mode: embedded}
tenants:
  acme: {users: {default: {sha256: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]}}}
`)
	out, errs, err := run(checkCommand(), "", "--config", file)
	if err != nil || out != file+": ok, 1 tenant\n" || errs != "" {
		t.Errorf("out %q, err %q, %v", out, errs, err)
	}
}

func TestCheckWarns(t *testing.T) {
	file := configFile(t, "upstream: {mode: embedded}\ntenants:\n  acme: {quotas: {cold_storage: 1}}\n  globex:\n")
	out, errs, err := run(checkCommand(), "", "-c", file)
	want := file + ": ok, 2 tenants\n" +
		file + ":3: tenant \"acme\" has no users, so nobody can log in to it\n" +
		file + ":3: cold_storage is not in effect yet\n" +
		file + ":4: tenant \"globex\" has no users, so nobody can log in to it\n"
	if err != nil || out != want || errs != "" {
		t.Errorf("out %q, err %q, %v", out, errs, err)
	}
}

func TestCheckBad(t *testing.T) {
	file := configFile(t, "upstream: {mode: embedded}\nlimits: {bulk: 12XB}\nloops: x\ntenants: {acme: }\n")
	out, errs, err := run(checkCommand(), "", "--config", file)
	want := file + ":2: limits.bulk: \"12XB\" is not a size (examples: 65536, 512MB, 1GiB)\n" +
		file + ":3: loops: \"x\" is not a whole number\n"
	if err == nil || err.Error() != file+": not ok, errors: 2" || out != "" || errs != want {
		t.Errorf("out %q, err %q, %v", out, errs, err)
	}
}

func TestCheckNeedsAFile(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.yaml")
	out, errs, err := run(checkCommand(), "", "--config", none)
	if err == nil || out != "" || err.Error() != "open "+none+": no such file or directory" {
		t.Errorf("out %q, err %q, %v", out, errs, err)
	}
	if _, errs, err = run(checkCommand(), ""); err == nil || !strings.Contains(errs, `"config" not set`) {
		t.Errorf("without --config: %q, %v", errs, err)
	}
}

func TestCheckKeys(t *testing.T) {
	file := configFile(t, `upstream: {mode: embedded}
encryption_keys: {one: {env: RIPTIDE_TEST_CHECK}, two: {command: [printenv, RIPTIDE_TEST_CHECK]}}
tenants:
  acme: {encryption: {algorithm: aes-256-gcm, key: one}, users: {default: {sha256: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]}}}
`)
	if _, _, err := run(checkCommand(), "", "-c", file); err != nil {
		t.Error("without --keys:", err)
	}
	_, errs, err := run(checkCommand(), "", "-c", file, "--keys")
	if want := file + ":2: encryption_keys.one: the environment variable RIPTIDE_TEST_CHECK is not set\n" +
		file + ":2: encryption_keys.two: printenv failed: exit status 1\n"; err == nil || errs != want {
		t.Errorf("%q, %v", errs, err)
	}
	t.Setenv("RIPTIDE_TEST_CHECK", strings.Repeat("0123456789abcdef", 4))
	out, _, err := run(checkCommand(), "", "-c", file, "--keys")
	if want := file + ": ok, 1 tenant\nencryption keys: ok, 2\n"; err != nil || out != want {
		t.Errorf("%q, %v", out, err)
	}
	tokens := filepath.Join(t.TempDir(), "secret")
	file = configFile(t, `upstream: {mode: embedded}
tenants: {acme: {users: {default: {}}}}
jwt: {issuers: {corp: {issuer: i, audience: [a], algorithms: [HS256], keys: [{algorithm: HS256, file: "`+tokens+`"}]}}}
`)
	_, errs, err = run(checkCommand(), "", "-c", file, "--keys")
	if want := file + ":3: jwt.issuers.corp: " + tokens + ": no such file or directory\n"; err == nil || errs != want {
		t.Errorf("%q, %v", errs, err)
	}
	if err := os.WriteFile(tokens, []byte(strings.Repeat("x", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err = run(checkCommand(), "", "-c", file, "--keys")
	if want := file + ": ok, 1 tenant\nencryption keys: ok, 0\nfiles with keys for tokens: ok, issuers: 1\n"; err != nil || out != want {
		t.Errorf("%q, %v", out, err)
	}
}
