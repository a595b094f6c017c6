package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// secretOf is a user with one SHA-256 secret.
func secretOf(secret string) *User { return &User{SHA256: []string{HashSecret(secret)}} }

// TestFull reads a file with every key that is accepted, field by field.
func TestFull(t *testing.T) {
	t.Setenv("AUDIT_SECRET", "0123456789abcdef")
	t.Setenv("REDIS_PASSWORD", "p: [a]\nloops: 7")
	got, warnings, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	people := got.Tenants["acme"].Users["people"]
	if len(people.Argon2id) != 1 || !VerifyArgon2id(people.Argon2id[0], "correct horse") {
		t.Errorf("argon2id = %q", people.Argon2id)
	}
	reader := secretOf("reader-secret")
	reader.ACL = "+@all ~* &*"
	lz4 := newCompression()
	lz4.Algorithm = LZ4
	want := &Config{
		Listen:          "127.0.0.1:6380",
		Loops:           2,
		ShutdownTimeout: Duration(45 * time.Second),
		StateDir:        "testdata/state",
		Checkpoint:      Checkpoint{Interval: Duration(time.Minute), Keep: 9},
		Limits: Limits{
			Clients: 20000, Bulk: 256 * MiB, Request: 512 * MiB, OutputBuffer: 32 * MiB, AuthTimeout: Duration(10 * time.Second),
		},
		Admin: Admin{
			Listen: "127.0.0.1:9380",
			Tokens: []Token{{Name: "ops", Role: Administrator, SHA256: HashSecret("ops-token")}},

			RequestsPerSecond: 200, RequestSize: 256 * KiB,
		},
		Upstream: Upstream{
			Mode: Standalone, Addresses: []string{"127.0.0.1:6379"}, Username: "riptide", Password: "p: [a]\nloops: 7",
			ConnectTimeout: Duration(2 * time.Second), Timeout: Duration(time.Minute), SubscriberConnections: 100,
		},
		Accounting: Accounting{Unreachable: Share, CommandsPerSecond: 5000, Interval: Duration(time.Minute)},
		Usage:      Usage{Flush: Duration(10 * time.Second), Grace: Duration(20 * time.Minute), Retention: Duration(24000 * time.Hour), Spool: "testdata/spool"},
		Billing:    Billing{Currency: "EUR", Digits: 4},
		Audit: Audit{
			Dir: "testdata/audit", Level: AuditWrite, Keys: HashedKeys, Secret: "0123456789abcdef", Buffer: 16 * MiB,
			RotateSize: GiB, RotateEvery: Duration(time.Hour), KeepFiles: 10, KeepFor: Duration(720 * time.Hour),
		},
		Log: Log{Level: LogWarn, Format: LogJSON},
		Tracing: Tracing{
			Endpoint: "https://collector.example:4318", Headers: map[string]Password{"authorization": "p: [a]\nloops: 7"},
			Sample: 0.05, Slow: Duration(20 * time.Millisecond),
		},
		ProxyProtocol: ProxyProtocol{Timeout: Duration(5 * time.Second)},

		Plans: map[string]*Plan{
			"free": {Quotas: Quotas{Rates: Rates{Rate: Rate{OpsPerSecond: 100}}, Memory: 16 * MiB, Connections: 20}},
			"pro": {
				Quotas:   Quotas{Rates: Rates{Rate: Rate{OpsPerSecond: 10000}}, Memory: GiB},
				Prices:   map[string]Amount{"base": {"20"}, "operations": {"0.35"}, "memory": {"0.0125"}},
				Included: map[string]Amount{"operations": {"10.5"}},
			},
		},
		EncryptionKeys: map[string]*MasterKey{
			"2026-11": {File: "testdata/keys/2026-11"},
			"2026-05": {File: "/etc/riptide/2026-05"},
			"env":     {Env: "RIPTIDE_KEY"},
			"kms":     {Command: []string{"kms-decrypt", "--key", "p: [a]\nloops: 7"}},
		},
		TenantsDir: "tenants.d",
		Tenants: map[string]*Tenant{
			"acme": {
				Tags:   map[string]string{"cost_center": "0815", "team": "=web"},
				Plan:   "pro",
				Users:  map[string]*User{"default": secretOf("acme-secret"), "reader": reader, "people": people},
				Quotas: Quotas{Memory: 100 * MiB},
				Compression: Compression{
					Algorithm: Zstd, Level: Better, MinSize: 2 * KiB, MinSaving: 5, Exclude: []string{"img:*", "raw:?"}, Streams: true,
					Dictionaries: Dictionaries{Enabled: true, MinSize: 100, Patterns: []string{"session:*"}, Size: 32 * KiB},
				},
				Encryption: Encryption{AES256GCM, "2026-11"},
				Databases:  32, HashTag: true, Scripts: TrustedScripts,
			},
			"globex": {
				Plan:        "free",
				Users:       map[string]*User{"default": secretOf("globex-secret")},
				Compression: lz4,
				Encryption:  Encryption{ChaCha20Poly1305, "kms"},
				Databases:   16, Scripts: IsolatedScripts,
			},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	sameLines(t, lines(warnings))
}

// folder writes files for a test and gives the path of the first.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0])
}

const embeddedWithDir = "upstream: {mode: embedded}\ntenants_dir: d\n"

func TestTenantsDir(t *testing.T) {
	path := folder(t, "riptide.yaml", embeddedWithDir,
		"d/one.yaml", "users: {default: {sha256: ["+HashSecret("one")+"]}}\n",
		"d/two.yaml", "{}\n", // no users, but a tenant
		"d/README.md", "{{{",
		"d/.hidden.yaml", "{{{",
		"d/three.yml", "{{{",
		"d/sub/four.yaml", "{{{",
	)
	dir := filepath.Dir(path)
	c, warnings, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Tenants) != 2 || c.Tenants["one"].Databases != 16 || c.Tenants["one"].Users["default"].SHA256[0] != HashSecret("one") {
		t.Errorf("tenants: %v", c.Tenants)
	}
	sameLines(t, relative(dir, lines(warnings)),
		"d/two.yaml:1: tenant \"two\" has no users, so nobody can log in to it",
		"d/three.yml: is ignored: the name of a tenant's file ends in .yaml",
	)
}

func TestTenantsDirErrors(t *testing.T) {
	one := HashSecret("one")
	path := folder(t, "riptide.yaml", embeddedWithDir+
		"tenants:\n  acme:\n    users: {default: {sha256: ["+one+"]}}\n  twice: {}\n",
		"d/Bad.yaml", "databases: 4\n",
		"d/empty.yaml", "",
		"d/fields.yaml", "plan: gold\nusers:\n  default:\n    sha256:\n      - x\n      - "+one+"\ndatabses: 4\n",
		"d/list.yaml", "- a\n",
		"d/syntax.yaml", "\n\nusers: [\n",
		"d/twice.yaml", "databases: 1\n",
		"d/folder.yaml/x", "",
	)
	_, _, err := Load(path)
	sameLines(t, relative(filepath.Dir(path), lines(err.(Errors))),
		`d/Bad.yaml:1: "Bad" is not a tenant id (1 to 63 of a-z 0-9 _ -, the first a letter or digit)`,
		`d/empty.yaml: is empty (a tenant without anything is written {})`,
		`d/fields.yaml:1: plan: there is no plan "gold"`,
		`d/fields.yaml:5: users.default.sha256[0]: is not a SHA-256 of 64 hexadecimal digits (riptide-proxy hash makes one)`,
		`d/fields.yaml:6: users.default.sha256[1]: the same secret as that of acme.default (riptide.yaml:5)`,
		`d/fields.yaml:7: databses: unknown key (did you mean "databases"?)`,
		`d/folder.yaml: is not a file`,
		`d/list.yaml:1: expected a mapping of keys to values, got a list`,
		`d/syntax.yaml:4: is not YAML: did not find expected node content`,
		`d/twice.yaml:1: tenant "twice" is also defined at riptide.yaml:6`,
	)
}

func TestTenantsDirPlaces(t *testing.T) {
	t.Run("missing", func(t *testing.T) {
		path := folder(t, "riptide.yaml", embeddedWithDir)
		_, _, err := Load(path)
		sameLines(t, relative(filepath.Dir(path), lines(err.(Errors))), "riptide.yaml:2: tenants_dir: open d: no such file or directory")
	})
	t.Run("empty", func(t *testing.T) {
		path := folder(t, "riptide.yaml", embeddedWithDir, "d/README", "")
		_, _, err := Load(path)
		sameLines(t, relative(filepath.Dir(path), lines(err.(Errors))), "riptide.yaml:1: tenants: there are no tenants: nobody could log in")
	})
	t.Run("absolute", func(t *testing.T) {
		dir := filepath.Dir(folder(t, "acme.yaml", "{}\n"))
		path := folder(t, "riptide.yaml", "upstream: {mode: embedded}\ntenants_dir: "+dir+"\n")
		if c, _, err := Load(path); err != nil || c.Tenants["acme"] == nil {
			t.Error(c, err)
		}
	})
}

func TestLoadFiles(t *testing.T) {
	if _, _, err := Load(filepath.Join(t.TempDir(), "none.yaml")); !os.IsNotExist(err) {
		t.Errorf("a missing file: %v", err)
	}
	path := folder(t, "long.yaml", strings.Repeat("#\n", int(maxFile/2)+1))
	if _, _, err := Load(path); err == nil || !strings.HasSuffix(err.Error(), "long.yaml: is longer than 16MiB") {
		t.Errorf("a long file: %v", err)
	}
	if _, _, err := Parse("long.yaml", make([]byte, maxFile+1), nil); err == nil {
		t.Error("Parse takes what Load refuses")
	}
}

func TestDemo(t *testing.T) {
	c, logins := Demo()
	if c.Upstream.Mode != Embedded || len(c.Tenants) != 2 || len(logins) != 2 {
		t.Errorf("%+v %v", c, logins)
	}
	for _, login := range logins {
		if got := c.Tenants[login.Tenant].Users["default"].SHA256[0]; got != HashSecret(login.Secret) {
			t.Errorf("tenant %s has another secret", login.Tenant)
		}
	}
}

// lines are the problems as an operator reads them.
func lines(problems []Problem) []string {
	out := make([]string, len(problems))
	for i, p := range problems {
		out[i] = p.String()
	}
	return out
}

// relative takes the name of the test's folder out of messages.
func relative(dir string, messages []string) []string {
	for i, m := range messages {
		messages[i] = strings.ReplaceAll(m, dir+string(filepath.Separator), "")
	}
	return messages
}

func sameLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("line %d:\n got %s\nwant %s", i+1, g, w)
		}
	}
}
