package admin

import (
	"strings"
	"testing"
)

// A file with variables that was written by hand can be changed here, and keeps them; a request can not bring any in.
func TestVariables(t *testing.T) {
	t.Setenv("RIPTIDE_TEST_TEAM", "a value of the environment")
	w := newWorld(t, "")
	w.file("tenants.d/globex.yaml", "tags: {team: \"${RIPTIDE_TEST_TEAM}\"}\n")
	w.want(200, "operator", "POST", "/admin/state/reload", "")
	r := w.want(200, "admin", "PATCH", "/admin/tenants/globex", `{"databases":4,"tags":{"own":"${RIPTIDE_TEST_TEAM}"}}`, "If-Match", "*")
	if !strings.Contains(r.body, `"team": "a value of the environment"`) || !strings.Contains(r.body, `"own": "${RIPTIDE_TEST_TEAM}"`) {
		t.Error(r.body)
	}
	if text := w.read("tenants.d/globex.yaml"); !strings.Contains(text, `"${RIPTIDE_TEST_TEAM}"`) || !strings.Contains(text, "$${RIPTIDE_TEST_TEAM}") {
		t.Error(text)
	}
	w.want(200, "operator", "POST", "/admin/tenants/globex/suspend", "")
	// Nor does a tenant's own token find out what the environment has.
	t.Setenv("RIPTIDE_TEST_KEY", hashOf("a key of the environment"))
	for _, name := range []string{"RIPTIDE_TEST_KEY", "RIPTIDE_TEST_TEAM", "RIPTIDE_TEST_NONE"} {
		p := w.want(422, "acme-admin", "POST", "/admin/tenants/acme/rotate-key", `{"sha256":"${`+name+`}"}`).problem()
		if len(p.Errors) != 1 || p.Errors[0].Text != "is not a SHA-256 of 64 hexadecimal digits (riptide-proxy hash makes one)" {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// What is wrong with another tenant's file is shown to whoever may see it.
func TestFaultsOfOthers(t *testing.T) {
	w := newWorld(t, "")
	w.file("tenants.d/globex.yaml", "plan: hidden\n")
	w.want(422, "operator", "POST", "/admin/state/reload", "")
	body := `{"sha256":"` + hashOf("another") + `"}`
	for who, want := range map[string]bool{"acme-admin": false, "admin": true} {
		if r := w.want(409, who, "POST", "/admin/tenants/acme/rotate-key", body); strings.Contains(r.body, "hidden") != want {
			t.Errorf("%s: %s", who, r.body)
		}
	}
}

// Names of certificates that somebody else has are refused before anything is written.
func TestCertificateTaken(t *testing.T) {
	w := newWorld(t, "tls: {listen: 127.0.0.1:0, cert: c.pem, key: k.pem, client_ca: ca.pem}\n")
	w.want(201, "admin", "POST", "/admin/tenants", `{"id":"one","users":{"default":{"certificates":["cn:One"]}}}`)
	p := w.want(422, "admin", "POST", "/admin/tenants", `{"id":"two","users":{"default":{"certificates":["cn:One"]}}}`).problem()
	if len(p.Errors) != 1 || p.Errors[0].Text != "the same certificate as that of one.default" {
		t.Errorf("%+v", p)
	}
}
