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
