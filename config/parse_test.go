package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// parsed reads a file that has to be good.
func parsed(t *testing.T, file string) (*Config, []Warning) {
	t.Helper()
	c, warnings, err := Parse("f", []byte(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, warnings
}

func TestDefaults(t *testing.T) {
	c, warnings := parsed(t, rest)
	want := Default()
	want.Upstream.Mode = Embedded
	want.Tenants["acme"] = newTenant()
	want.Tenants["acme"].Users["default"] = &User{SHA256: []string{hashA}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	sameLines(t, lines(warnings))
}

// A key without a value is as good as no key.
func TestEmptyValues(t *testing.T) {
	c, _ := parsed(t, "listen:\ntls: ~\nloops: null\nlimits:\nadmin: {tokens: }\nupstream: {mode: embedded, addresses: , username: ~}\n"+
		"plans:\ntenants_dir:\ntenants:\n  acme:\n  globex: {databases: , users: , quotas: , scripts: }\n")
	want := Default()
	want.Upstream.Mode = Embedded
	want.Tenants["acme"], want.Tenants["globex"] = newTenant(), newTenant()
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

// A value is what the file shows, not what YAML takes it for.
func TestScalarsAsWritten(t *testing.T) {
	for text, want := range map[string]string{
		"0123": "0123", "1e3": "1e3", "yes": "yes", "off": "off", "2001-01-01": "2001-01-01", "0x1F": "0x1F", "'null'": "null",
		`"a\tb"`: "a\tb", "1_000": "1_000", "pa$$word": "pa$$word", "$$$": "$$$", "'*a'": "*a", "|\n    a\n    b\n": "a\nb\n",
	} {
		c, _ := parsed(t, "upstream:\n  addresses: ['[::1]:1']\n  password: "+text+"\n"+tenants)
		if got := c.Upstream.Password.Reveal(); got != want {
			t.Errorf("password: %s reads as %q, want %q", text, got, want)
		}
	}
}

func TestGoodAddresses(t *testing.T) {
	for _, a := range []string{"127.0.0.1:0", "'[::1]:6380'", "0.0.0.0:65535", "localhost:1", "redis-0.redis.svc.cluster.local:6379",
		"'[fe80::1%eth0]:1'", "a_b:1"} {
		parsed(t, rest+"listen: "+a+"\n")
	}
	// Free ports, other ports and other interfaces do not get in each other's way.
	for _, both := range [][2]string{{"127.0.0.1:0", "127.0.0.1:0"}, {"a:1", "a:2"}, {"10.0.0.1:1", "10.0.0.2:1"}} {
		parsed(t, fmt.Sprintf("%slisten: %s\nadmin: {listen: %s}\n", rest, both[0], both[1]))
	}
}

func TestSharedPrefixesThatDoNotClash(t *testing.T) {
	c, _ := parsed(t, upstream+"tenants:\n  a: {}\n  ab: {hash_tag: true}\n  a-b: {}\n  a_: {}\n  '0': {}\n  abc: {hash_tag: true}\n")
	if len(c.Tenants) != 6 {
		t.Error(c.Tenants)
	}
}

func TestHashesAreLowerCase(t *testing.T) {
	c, _ := parsed(t, acme+"    users: {u: {sha256: ["+strings.ToUpper(hashA)+"]}}\n")
	if got := c.Tenants["acme"].Users["u"].SHA256[0]; got != hashA {
		t.Error(got)
	}
}

func TestUnrestrictedACL(t *testing.T) {
	for _, acl := range []string{"+@all ~* &*", "on allkeys allchannels allcommands", "&*  ~*  +@ALL", "+@read -@dangerous %R~cache:* (+set ~mine:*)"} {
		parsed(t, acme+"    users: {u: {sha256: ["+hashA+"], acl: '"+acl+"'}}\n")
	}
}

func TestWarnings(t *testing.T) {
	_, warnings := parsed(t, upstream+`tenants:
  zeta:
    users: {u: {}}
    quotas: {keys: 1}
  acme:
    quotas: {keys: 1}
    scripts: isolated
    compression: {algorithm: lz4}
  beta:
    quotas:
      keys: 2
plans: {}
`)
	sameLines(t, lines(warnings),
		`f:4: user "zeta.u" has no secret, so nobody can log in as it`,
		`f:6: tenant "acme" has no users, so nobody can log in to it`,
		`f:10: tenant "beta" has no users, so nobody can log in to it`,
	)
}

// Parse knows only the file it was given; its tenants may all be elsewhere.
func TestParseDoesNotReadTenantsDir(t *testing.T) {
	if c, _ := parsed(t, upstream+"tenants_dir: /does/not/exist\n"); len(c.Tenants) != 0 {
		t.Error(c.Tenants)
	}
}

// The example of the design, with everything not supported yet left in.
func TestDesignExample(t *testing.T) {
	file := strings.NewReplacer("<a>", hashA, "<b>", hashB, "<c>", strings.Repeat("c", 64)).Replace(`listen: 127.0.0.1:6380
tls: {listen: 127.0.0.1:6390, cert: server.pem, key: server.key, client_ca: ca.pem}
loops: 0                       # 0: chosen from the cores
shutdown_timeout: 30s
limits: {clients: 2000, bulk: 512MiB, request: 1GiB, output_buffer: 64MiB}
admin:
  listen: 127.0.0.1:9380
  tokens: [{name: ops, role: admin, sha256: <a>}]     # viewer, operator, admin
upstream:
  mode: standalone             # embedded, standalone, sentinel, cluster
  addresses: [127.0.0.1:6379]
  username: ""
  password: ""
plans:
  free: {ops_per_second: 100, memory: 16MiB, connections: 20}
  pro: {ops_per_second: 2000, memory: 1GiB}
tenants_dir: tenants.d         # one YAML file per tenant, same fields as below
tenants:
  acme:
    plan: pro
    users:
      default: {sha256: [<b>]}
      reader: {sha256: [<c>], acl: "+@read ~*"}
    quotas: {memory: 100MiB}   # overrides the plan
    compression: {algorithm: zstd, min_size: 1KiB}      # none, lz4, s2, zstd
    databases: 16
    hash_tag: false
    scripts: isolated          # isolated, trusted, off
`)
	_, warnings, err := Parse("riptide.yaml", []byte(file), nil)
	if err != nil || len(warnings) != 0 {
		t.Error(err, lines(warnings))
	}
}

func TestAliases(t *testing.T) {
	c, _ := parsed(t, upstream+"plans: {p: {keys: 1}}\ntenants:\n  a: &a {databases: 2}\n  b: *a\n  c: *a\n")
	if c.Tenants["b"].Databases != 2 || c.Tenants["c"].Databases != 2 || c.Tenants["a"] == c.Tenants["b"] {
		t.Error(c.Tenants)
	}
	// An alias cannot go deeper than the schema, so one to its own surroundings ends.
	_, _, err := Parse("f", []byte(upstream+"tenants: &t\n  a: {users: *t}\n"), nil)
	sameLines(t, strings.Split(err.Error(), "\n"), "f:3: tenants.a.users.a.users: unknown key")
}

// A list of 2000 shared by 2000 tenants would be 4 million values.
func TestAliasBomb(t *testing.T) {
	var file strings.Builder
	file.WriteString(upstream + "tenants:\n  a: {users: {u: {sha256: &l [")
	for i := range 2000 {
		fmt.Fprintf(&file, "%064x,", i)
	}
	file.WriteString("]}}}\n")
	for i := range 2000 {
		fmt.Fprintf(&file, "  t%d: {users: {u: {sha256: *l}}}\n", i)
	}
	_, _, err := Parse("f", []byte(file.String()), nil)
	want := "f:53: tenants.t49.users.u.sha256: the aliases of this file unfold to too much"
	if err == nil || strings.Count(err.Error(), "unfold") != 1 || !strings.Contains(err.Error(), want) {
		t.Error(err.Error()[:200])
	}
}

// Thousands of tenants load at once, and each of their mistakes keeps its line.
func TestManyTenants(t *testing.T) {
	const many = 5000
	var file strings.Builder
	file.WriteString(upstream + "tenants:\n")
	for i := range many {
		fmt.Fprintf(&file, "  t%d: {users: {default: {sha256: [%064x]}}, quotas: {cold_storage: 5}}\n", i, i)
	}
	c, warnings := parsed(t, file.String())
	if len(c.Tenants) != many {
		t.Error(len(c.Tenants))
	}
	sameLines(t, lines(warnings), fmt.Sprintf("f:3: cold_storage is not in effect yet (nor in %d other places)", many-1))
}

// FuzzParse looks for panics and for contradictions: a configuration or errors,
// never both, and every error with a line that the file has.
func FuzzParse(f *testing.F) {
	full, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	for _, c := range errorCases {
		if len(c.file) < 2000 { // long ones are slow to vary
			f.Add([]byte(c.file))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, _, err := Parse("f", data, func(name string) (string, bool) { return name, true })
		if (c == nil) != (err != nil) {
			t.Fatalf("%v and %v", c, err)
		}
		if err == nil {
			return
		}
		most := 2 + strings.Count(string(data), "\n") + strings.Count(string(data), "\r") +
			strings.Count(string(data), "\u0085") + strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029")
		for _, p := range err.(Errors) {
			if p.Line < 1 || p.Line > most || strings.ContainsAny(p.String(), "\n\r") {
				t.Errorf("%q of %d lines", p, most)
			}
		}
	})
}
