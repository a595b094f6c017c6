package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What Again returns is what Load returns, whatever has changed since it was asked last.
func TestAgain(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "t.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	main := filepath.Join(dir, "riptide.yaml")
	file("riptide.yaml", upstream+"plans: {small: {keys: 1}}\ntenants_dir: t.d\n")
	files := &Files{Path: main}
	same := func(what string) {
		t.Helper()
		next, got, warnings, err := files.Again()
		files = next
		want, wantWarnings, wantErr := Load(main)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(warnings, wantWarnings) || !reflect.DeepEqual(err, wantErr) {
			t.Errorf("%s: %+v %v %v\nwant %+v %v %v", what, got, warnings, err, want, wantWarnings, wantErr)
		}
	}
	for i := range 5 {
		file(fmt.Sprintf("t.d/t%d.yaml", i), fmt.Sprintf("users: {default: {sha256: [%s]}}\n", HashSecret(fmt.Sprint(i))))
	}
	same("at first")
	same("again")
	file("t.d/t1.yaml", "plan: small\n")
	same("another plan")
	file("t.d/t1.yaml", "plan: smell\n")
	same("no such plan")
	file("riptide.yaml", upstream+"plans: {smell: {keys: 1}}\ntenants_dir: t.d\n")
	same("the plan is there")
	file("t.d/t2.yaml", "users: {default: {sha256: ["+HashSecret("3")+"]}}\n")
	same("a secret twice")
	file("t.d/t2.yaml", "- - [")
	same("no YAML")
	if err := os.Remove(filepath.Join(dir, "t.d/t2.yaml")); err != nil {
		t.Fatal(err)
	}
	same("a file less")
	file("t.d/t2.yaml", "{}\n")
	same("nearly an empty file")
	file("t.d/t3.yaml", "# "+strings.Repeat("x", int(rememberedFile))+"\ndatabases: 3\n")
	same("a long file")
	same("a long file again")
	if len(files.trees) != 5 { // all but the long one, and the main one
		t.Errorf("%d files are remembered", len(files.trees))
	}
	if again, _, err := files.Load(); err != nil || len(again.Tenants) != 5 {
		t.Errorf("%v, %v", again, err)
	}
}

func TestCheckTenant(t *testing.T) {
	c, _ := parsed(t, upstream+"plans: {small: {keys: 1}}\nadmin: {tokens: [{name: ops, role: admin, sha256: "+hashA+"}]}\n"+
		"tenants:\n  acme: {users: {default: {sha256: ["+hashB+"]}}}\n  globex: {users: {default: {sha256: ["+strings.Repeat("c", 64)+"]}}}\n")
	before := fmt.Sprintf("%+v", c)
	own := "users: {default: {sha256: [" + hashB + "]}}\n"
	for _, x := range []struct{ id, text, want string }{
		{"acme", own + "plan: small\n", ""},
		{"initech", "users: {default: {sha256: [" + strings.Repeat("d", 64) + "]}}\n", ""},
		{"initech", own, "f.yaml:1: users.default.sha256[0]: the same secret as that of acme.default"},
		{"initech", "users: {x: {sha256: [" + hashA + "]}}\n", `f.yaml:1: users.x.sha256[0]: the same secret as that of the admin token "ops"`},
		{"acme", own + "plan: smal\n", `f.yaml:2: plan: there is no plan "smal" (did you mean "small"?)`},
		{"acme", "usrs: {}\nplan: x\n", "f.yaml:1: usrs: unknown key (did you mean \"users\"?)\nf.yaml:2: plan: there is no plan \"x\""},
		{"acme", "tags: {a: \"${HOME}\"}\n", "f.yaml:1: tags.a: the environment variable HOME is not set and has no default"},
		{"../x", own, "f.yaml:1: \"../x\" is not a tenant id (" + tenantIDGrammar + ")\nf.yaml:1: users.default.sha256[0]: the same secret as that of acme.default"},
		{"default", "", `f.yaml:1: a tenant cannot be called "default": AUTH default <key> looks the key up among all tenants`},
		{"acme", "a: [", "f.yaml:2: is not YAML: did not find expected node content"},
	} {
		tenant, _, err := c.CheckTenant(x.id, "f.yaml", []byte(x.text), nil)
		switch {
		case x.want == "":
			if err != nil || tenant == nil || len(tenant.Users) != 1 {
				t.Errorf("%s %q: %+v %v", x.id, x.text, tenant, err)
			}
		case err == nil || err.Error() != x.want:
			t.Errorf("%s %q: %v\nwant %s", x.id, x.text, err, x.want)
		}
	}
	if now := fmt.Sprintf("%+v", c); now != before {
		t.Errorf("the configuration has changed: %s\nwas %s", now, before)
	}
}

func TestAdmin(t *testing.T) {
	c, warnings := parsed(t, upstream+"admin: {tokens: [{name: a, role: viewer, sha256: "+hashA+", tenant: nobody}]}\ntenants: {acme: {users: {default: {sha256: ["+hashB+"]}}}}\n")
	if a := c.Admin; a.RequestsPerSecond != 200 || a.RequestSize != 256*KiB || a.Tokens[0].Tenant != "nobody" {
		t.Errorf("%+v", a)
	}
	sameLines(t, lines(warnings), `f:2: there is no tenant "nobody" yet for an admin token to be for`)
	const roles = "jwt: {issuers: {a: {issuer: a, audience: [b], algorithms: [RS256], jwks: {url: \"https://a/\"}, role_claim: r}}}\n"
	for listen, warned := range map[string]bool{"127.0.0.1:1": false, "localhost:1": false, "\"[::1]:1\"": false, "0.0.0.0:1": true, "10.0.0.1:1": true, "admin.example:1": true} {
		for more, but := range map[string]bool{"": warned, roles: false} {
			if _, warnings := parsed(t, rest+more+"admin: {listen: "+listen+"}\n"); (len(warnings) > 0) != but {
				t.Errorf("%s %s: %v", listen, more, warnings)
			}
		}
	}
	for _, x := range []struct {
		role, least Role
		want        bool
	}{
		{Viewer, Viewer, true}, {Viewer, Operator, false}, {Viewer, Administrator, false},
		{Operator, Viewer, true}, {Operator, Operator, true}, {Operator, Administrator, false},
		{Administrator, Viewer, true}, {Administrator, Administrator, true},
		{"", Viewer, false}, {Administrator, "", false}, {"", "", false}, {"root", Viewer, false},
	} {
		if x.role.Includes(x.least) != x.want {
			t.Errorf("%q includes %q: %v", x.role, x.least, !x.want)
		}
	}
}
