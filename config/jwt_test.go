package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	thirtyTwo = "0123456789abcdef0123456789abcdef"
	// corp is an issuer with what must be there: 7 lines, then more of its own.
	corp = rest + "jwt:\n  issuers:\n    corp:\n      issuer: i\n      audience: [a]\n"
)

// Every key of the section, and the defaults of those that are left out.
func TestJWT(t *testing.T) {
	c, warnings := parsed(t, rest+`jwt:
  issuers:
    corp:
      issuer: https://id.example.com
      audience: [riptide, other]
      algorithms: [HS256, RS256, ES256, EdDSA]
      keys:
        - {id: k1, algorithm: HS256, secret: `+thirtyTwo+`}
        - {id: k1, algorithm: ES256, file: e.pem}
        - {algorithm: ES256, file: e2.pem}
      jwks: {url: "https://id.example.com/keys", ca: ca.pem}
      refresh: 5m
      max_age: 48h
      tenant_claim: /riptide/tenant
      tenants: [acme]
      user_claim: user
      role_claim: https://riptide/role
      roles: {ops: admin, dev: viewer}
      leeway: 1m
    fixed:
      issuer: i
      audience: [a]
      algorithms: [RS256]
      jwks: {file: keys.json}
      tenant: acme
    local: {issuer: l, audience: [a], algorithms: [EdDSA], jwks: {url: "http://127.0.0.1:8080/keys"}, role_claim: r, operators: true}
`)
	want := JWT{Issuers: map[string]*JWTIssuer{
		"corp": {
			Issuer: "https://id.example.com", Audience: []string{"riptide", "other"}, Algorithms: []JWTAlgorithm{HS256, RS256, ES256, EdDSA},
			Keys: []JWTKey{{ID: "k1", Algorithm: HS256, Secret: thirtyTwo}, {ID: "k1", Algorithm: ES256, File: "e.pem"}, {Algorithm: ES256, File: "e2.pem"}},
			JWKS: JWKS{URL: "https://id.example.com/keys", CA: "ca.pem"}, Refresh: Duration(5 * time.Minute), MaxAge: Duration(48 * time.Hour),
			TenantClaim: "/riptide/tenant", Tenants: []string{"acme"}, UserClaim: "user", RoleClaim: "https://riptide/role",
			Roles: map[string]Role{"ops": Administrator, "dev": Viewer}, Leeway: Duration(time.Minute),
		},
		"fixed": {
			Issuer: "i", Audience: []string{"a"}, Algorithms: []JWTAlgorithm{RS256}, JWKS: JWKS{File: "keys.json"}, Tenant: "acme",
			Refresh: Duration(15 * time.Minute), MaxAge: Duration(24 * time.Hour), TenantClaim: "tenant", Leeway: Duration(30 * time.Second),
		},
		"local": {
			Issuer: "l", Audience: []string{"a"}, Algorithms: []JWTAlgorithm{EdDSA}, JWKS: JWKS{URL: "http://127.0.0.1:8080/keys"}, RoleClaim: "r", Operators: true,
			Refresh: Duration(15 * time.Minute), MaxAge: Duration(24 * time.Hour), TenantClaim: "tenant", Leeway: Duration(30 * time.Second),
		},
	}}
	if !reflect.DeepEqual(c.JWT, want) {
		t.Errorf("%+v", c.JWT)
	}
	if len(warnings) > 0 {
		t.Error(warnings)
	}
	locateJWT(&c.JWT, "/etc/riptide")
	i := c.JWT.Issuers["corp"]
	if i.Keys[0].File != "" || i.Keys[1].File != "/etc/riptide/e.pem" || i.JWKS.CA != "/etc/riptide/ca.pem" || i.JWKS.File != "" || c.JWT.Issuers["fixed"].JWKS.File != "/etc/riptide/keys.json" {
		t.Errorf("files: %+v %+v", i, c.JWT.Issuers["fixed"])
	}
}

// Each case is what comes after an issuer's first lines, and all of the errors.
func TestJWTErrors(t *testing.T) {
	const at = "jwt.issuers.corp."
	key := func(more string) string {
		return "      algorithms: [ES256, HS256]\n      keys:\n        - " + more + "\n"
	}
	url := func(u string) string { return "      algorithms: [ES256]\n      jwks: {url: \"" + u + "\"}\n" }
	es := "      algorithms: [ES256]\n      keys: [{algorithm: ES256, file: k}]\n"
	for name, c := range map[string]struct{ more, want string }{
		"no algorithms":           {"", "f:5: " + at + "algorithms: is missing: list those that tokens may be signed with (HS256, RS256, ES256, EdDSA)"},
		"none":                    {"      algorithms: [none]\n      jwks: {file: k}\n", "f:8: " + at + `algorithms[0]: "none" is not one of HS256, RS256, ES256, EdDSA`},
		"another algorithm":       {"      algorithms: [ES512]\n      jwks: {file: k}\n", "f:8: " + at + `algorithms[0]: "ES512" is not one of HS256, RS256, ES256, EdDSA`},
		"an algorithm twice":      {"      algorithms: [ES256, ES256]\n      jwks: {file: k}\n", "f:8: " + at + "algorithms[1]: ES256 stands there already"},
		"no keys":                 {"      algorithms: [ES256]\n", "f:8: " + at + "algorithms[0]: there is no key for ES256, neither in keys nor in jwks"},
		"no key for one":          {"      algorithms: [ES256, RS256]\n      keys: [{algorithm: ES256, file: k}]\n", "f:8: " + at + "algorithms[1]: there is no key for RS256, neither in keys nor in jwks"},
		"a secret at a URL":       {"      algorithms: [HS256]\n      jwks: {url: \"https://h/k\"}\n", "f:8: " + at + "algorithms[0]: there is no key for HS256: its secret belongs in keys or in jwks.file, and is not read from a URL"},
		"a key without algorithm": {key("{file: k}"), "f:8: " + at + "algorithms[0]: there is no key for ES256, neither in keys nor in jwks\nf:8: " + at + "algorithms[1]: there is no key for HS256: its secret belongs in keys or in jwks.file, and is not read from a URL\nf:10: " + at + "keys[0]: the key has no algorithm, and is used with one only"},
		"a key that is not used":  {"      algorithms: [ES256]\n      keys: [{algorithm: ES256, file: k}, {algorithm: RS256, file: k}]\n", "f:9: " + at + "keys[1].algorithm: RS256 is not among the algorithms of the issuer"},
		"a key from nowhere":      {"      algorithms: [ES256]\n      keys:\n        - {algorithm: ES256}\n", "f:10: " + at + "keys[0]: wants either file or secret"},
		"a key from both":         {"      algorithms: [HS256]\n      keys:\n        - {algorithm: HS256, file: k, secret: " + thirtyTwo + "}\n", "f:10: " + at + "keys[0]: wants either file or secret"},
		"a public key's secret":   {"      algorithms: [ES256]\n      keys:\n        - {algorithm: ES256, secret: " + thirtyTwo + "}\n", "f:10: " + at + "keys[0].secret: is for HS256; the public key for ES256 stands in a file"},
		"a short secret":          {"      algorithms: [HS256]\n      keys:\n        - {algorithm: HS256, secret: hunter2}\n", "f:10: " + at + "keys[0].secret: has less than 32 bytes, so that it could be guessed from any token"},
		"a key's id twice":        {"      algorithms: [ES256]\n      keys:\n        - {id: k, algorithm: ES256, file: k}\n        - {id: k, algorithm: ES256, file: l}\n", "f:11: " + at + `keys[1].id: "k" is also that of another key for ES256`},
		"no set":                  {es + "      jwks: {}\n", "f:10: " + at + "jwks: wants either file or url"},
		"two sets":                {es + "      jwks: {file: k, url: \"https://h/k\"}\n", "f:10: " + at + "jwks: wants either file or url"},
		"a CA for nothing":        {es + "      jwks: {file: k, ca: c}\n", "f:10: " + at + "jwks.ca: is of no use without url"},
		"http":                    {url("http://id.example.com/keys"), "f:9: " + at + "jwks.url: must be https: whoever can change what is read on the way can log in as anybody"},
		"http to what looks near": {url("http://localhost.example.com/keys"), "f:9: " + at + "jwks.url: must be https: whoever can change what is read on the way can log in as anybody"},
		"a file's URL":            {url("file:///etc/keys"), "f:9: " + at + "jwks.url: is not a URL like https://host/path"},
		"a password in a URL":     {url("https://u:hunter2@h/k"), "f:9: " + at + "jwks.url: has a user or password in it"},
		"no URL":                  {url("hunter2 %zz"), "f:9: " + at + "jwks.url: is not a URL like https://host/path"},
		"two tenants":             {es + "      tenant: acme\n      tenant_claim: t\n      tenants: [acme]\n", "f:11: " + at + "tenant_claim: has no meaning where tenant says whose all tokens are\nf:12: " + at + "tenants: has no meaning where tenant says whose all tokens are"},
		"not a tenant":            {es + "      tenant: ACME\n", "f:10: " + at + `tenant: "ACME" is not a tenant id (` + tenantIDGrammar + ")"},
		"an empty claim":          {es + "      tenant_claim: \"\"\n", "f:10: " + at + "tenant_claim: is empty"},
		"half a path":             {es + "      user_claim: /a//b\n", "f:10: " + at + `user_claim: "/a//b" is not a path like /claim/member (in a name write ~1 for / and ~0 for ~)`},
		"an escape that is none":  {es + "      role_claim: /a~2\n", "f:10: " + at + `role_claim: "/a~2" is not a path like /claim/member (in a name write ~1 for / and ~0 for ~)`},
		"roles of nothing":        {es + "      roles: {a: admin}\n      operators: true\n", "f:10: " + at + "roles: has no effect without role_claim\nf:11: " + at + "operators: has no effect without role_claim"},
		"a role that is none":     {es + "      role_claim: r\n      roles: {a: root, b: }\n", "f:11: " + at + `roles.a: "root" is not one of viewer, operator, admin` + "\nf:11: " + at + "roles.b: has no role (viewer, operator or admin)"},
		"operators of one tenant": {es + "      role_claim: r\n      tenants: [acme]\n      operators: true\n", "f:12: " + at + "operators: is not for an issuer that is kept to some tenants"},
		"leeway":                  {es + "      leeway: 6m\n", "f:10: " + at + "leeway: 6m is out of range (0s to 5m)"},
		"refresh":                 {es + "      refresh: 1ms\n", "f:10: " + at + "refresh: 1ms is out of range (1s to 24h)"},
		"max_age":                 {es + "      max_age: 1m\n", "f:10: " + at + "max_age: 1m is out of range (15m to 10000h)"},
		"an issuer twice":         {es + "    more: {issuer: i, audience: [a], algorithms: [ES256], jwks: {file: k}}\n", "f:10: jwt.issuers.more.issuer: is also that of jwt.issuers.corp"},
		"an empty issuer":         {es + "    more:\n", "f:10: jwt.issuers.more.issuer: is missing: give the claim iss of its tokens\nf:10: jwt.issuers.more.audience: is missing: without what the proxy is called in the claim aud, tokens made for other services would log in\nf:10: jwt.issuers.more.algorithms: is missing: list those that tokens may be signed with (HS256, RS256, ES256, EdDSA)"},
		"a name":                  {es + "    A B: {issuer: j, audience: [\"\"], algorithms: [ES256], jwks: {file: k}}\n", `f:10: jwt.issuers."A B": "A B" is not an issuer's name (` + tenantIDGrammar + ")\n" + `f:10: jwt.issuers."A B".audience[0]: is empty`},
		"a misspelt key":          {es + "      tenant_clam: x\n", "f:10: " + at + `tenant_clam: unknown key (did you mean "tenant_claim"?)`},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Parse("f", []byte(corp+c.more), nil)
			if err == nil {
				t.Fatal("accepted")
			}
			sameLines(t, strings.Split(err.Error(), "\n"), strings.Split(c.want, "\n")...)
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("a secret is in the message")
			}
		})
	}
}

// A tenant that an issuer names and that there is not is worth a warning; users need no secret where tokens log in.
func TestJWTWarnings(t *testing.T) {
	text := corp + "      algorithms: [ES256]\n      jwks: {file: k}\n      tenants: [acne, acme]\n"
	_, warnings := parsed(t, strings.Replace(text, "default: {sha256: ["+hashA+"]}", "default: {}", 1))
	sameLines(t, lines(warnings), `f:10: there is no tenant "acne" (did you mean "acme"?)`)
	file := folder(t, "riptide.yaml", "tenants_dir: t\n"+text, "t/acne.yaml", "users: {default: {}}\n")
	_, warnings, err := Load(file)
	if err != nil || len(warnings) > 0 {
		t.Error(warnings, err)
	}
}

// Every key is in the operators' table, with the default that it has.
func TestDocumentedJWT(t *testing.T) {
	text, err := os.ReadFile("../docs/jwt.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []any{JWTIssuer{}, JWTKey{}, JWKS{}} {
		for _, key := range keysOf(reflect.TypeOf(of)) {
			if !regexp.MustCompile("(?m)^\\| `([a-z]+\\.)?" + key + "` \\|").Match(text) {
				t.Errorf("docs/jwt.md has no row for %s", key)
			}
		}
	}
	var d JWTIssuer
	d.setDefaults()
	for key, value := range map[string]string{"refresh": d.Refresh.String(), "max_age": d.MaxAge.String(), "leeway": d.Leeway.String(), "tenant_claim": d.TenantClaim} {
		if !regexp.MustCompile("(?m)^\\| `" + key + "` \\|[^|]*\\| `" + value + "` \\|").Match(text) {
			t.Errorf("docs/jwt.md does not say that the default of %s is %s", key, value)
		}
	}
}
