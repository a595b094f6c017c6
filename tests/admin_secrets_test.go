package tests

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// No answer, to whatever role, and no line of the log has a secret, its hash or a key: not where things are shown, and not where
// they are refused. Every GET of the document is asked for.
func TestAdminSecrets(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	secrets := map[string]string{
		"a tenant's secret": "secret-of-initech-0123456789", "another": "second-secret-0123456789", "the fleet's": "fleet-secret-0123456789abcdef",
		"that of the audit": "audit-secret-0123456789abcdef", "a token's": "hs256-secret-0123456789abcdef0123456789", "a master key": strings.Repeat("5a", 32),
		"a wrong token": "wrong-that-somebody-sent-token", "the environment's": "value-of-the-environment",
	}
	keys := t.TempDir()
	for name, text := range map[string]string{"master": secrets["a master key"], "hs256": secrets["a token's"]} {
		if err := os.WriteFile(filepath.Join(keys, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, _ := administered(t, redis, fmt.Sprintf("fleet_secret: %s\naudit: {dir: %s, secret: %s}\nencryption_keys: {k1: {file: %s}}\n"+
		"jwt: {issuers: {corp: {issuer: corp, audience: [riptide], algorithms: [HS256], role_claim: role, keys: [{algorithm: HS256, file: %s}]}}}\n",
		secrets["the fleet's"], t.TempDir(), secrets["that of the audit"], filepath.Join(keys, "master"), filepath.Join(keys, "hs256")))
	for name, secret := range secrets {
		secrets["the hash of "+name] = config.HashSecret(secret)
	}
	for _, role := range []string{"viewer", "operator", "admin", "acme-viewer", "acme-operator", "acme-admin"} {
		secrets["the token "+role] = role + "-token"
		secrets["the hash of the token "+role] = config.HashSecret(role + "-token")
	}
	var answers strings.Builder
	ask := func(who, method, path, body string, header ...string) answer {
		a := call(t, p, who, method, path, body, header...)
		fmt.Fprintln(&answers, a.status, a.header, a.body)
		return a
	}
	hash := func(name string) string { return config.HashSecret(secrets[name]) }
	made := ask("admin", "POST", "/admin/tenants", `{"id":"initech","users":{"default":{"sha256":["`+hash("a tenant's secret")+`"]}},"encryption":{"algorithm":"aes-256-gcm","key":"k1"}}`)
	if made.status != 201 {
		t.Fatal(made.body)
	}
	// What is wrong, and has a secret in the wrong place.
	for _, c := range [][3]string{
		{"POST", "/admin/tenants", `{"id":"initech","users":{"default":{"sha256":["` + hash("a tenant's secret") + `"]}}}`},
		{"POST", "/admin/tenants", `{"id":"other","users":{"default":{"sha256":["` + hash("a tenant's secret") + `"]}}}`},
		{"POST", "/admin/tenants", `{"id":"other","users":{"default":{"sha256":["` + secrets["another"] + `"]}}}`},
		{"POST", "/admin/tenants/initech/rotate-key", `{"sha256":"` + secrets["another"] + `"}`},
		{"POST", "/admin/tenants/initech/rotate-key", `{"sha256":"` + hash("another") + `"}`},
		{"PATCH", "/admin/tenants/initech", `{"users":{"default":{"argon2id":["` + secrets["another"] + `"]}}}`},
		{"POST", "/admin/state/reload", ""}, {"POST", "/admin/tenants/initech/suspend", ""}, {"POST", "/admin/tenants/initech/resume", ""},
	} {
		ask("admin", c[0], c[1], c[2], "If-Match", "*")
		ask("acme-admin", c[0], c[1], c[2], "If-Match", "*")
	}
	if reply := refusedLogin(t, p, harness.Tenant{ID: "initech", Secret: secrets["the environment's"]}); !strings.HasPrefix(reply, "-WRONGPASS") {
		t.Error(reply)
	}
	var doc struct {
		Paths map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(asked(t, 200, p, "viewer", "GET", "/admin/openapi.json", "").body), &doc); err != nil {
		t.Fatal(err)
	}
	n := 0
	for path, methods := range doc.Paths {
		if methods["get"] == nil {
			continue
		}
		for _, who := range []string{"", "wrong-that-somebody-sent", "viewer", "operator", "admin", "acme-viewer", "acme-operator", "acme-admin"} {
			for _, id := range []string{"initech", "acme", "nobody"} {
				n++
				ask(who, "GET", strings.NewReplacer("{id}", id, "{plan}", "small", "{job}", "x", "{dict}", "x").Replace(path), "")
			}
		}
	}
	if n < 400 {
		t.Errorf("only %d were asked for", n)
	}
	told, log := answers.String(), p.Log()
	for name, secret := range secrets {
		if i := strings.Index(told, secret); i >= 0 {
			t.Errorf("%s is in an answer: ...%.200s", name, told[max(0, i-100):])
		}
		if i := strings.Index(log, secret); i >= 0 {
			t.Errorf("%s is in the log: ...%.200s", name, log[max(0, i-100):])
		}
	}
}
