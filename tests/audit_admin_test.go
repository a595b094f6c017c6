package tests

import (
	"path/filepath"
	"strings"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// What operators change is in the audit log with what it was before, and no secret is.
func TestAuditAdmin(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	dir := filepath.Join(t.TempDir(), "audit")
	p, _ := administered(t, redis, "audit: {dir: "+dir+"}\n")
	hash := config.HashSecret("one")
	made := asked(t, 201, p, "admin", "POST", "/admin/tenants", `{"id":"initech","users":{"default":{"sha256":["`+hash+`"]}}}`)
	asked(t, 200, p, "admin", "PATCH", "/admin/tenants/initech", `{"quotas":{"connections":7}}`, "If-Match", made.header.Get("ETag"))
	asked(t, 403, p, "viewer", "POST", "/admin/tenants/initech/suspend", "")
	stop(t, p)
	_, text := auditText(t, dir)
	for _, want := range []string{
		`"event":"admin","actor":"admin","role":"admin"`, `"action":"createTenant","outcome":"ok"`,
		`"connections":7`, `"actor":"viewer","role":"viewer"`, `"action":"suspendTenant","outcome":"failed"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, hash) {
		t.Error("a secret's hash is in it")
	}
	if out, ok := verifyAudit(t, dir); !ok {
		t.Error(out)
	}
}
