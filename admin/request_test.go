package admin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Nothing that a request says is passed over: neither parameters, nor bodies, nor keys, nor what stands twice.
func TestPicky(t *testing.T) {
	w := newWorld(t, "")
	before := tree(t, w.dir)
	sum := hashOf("fresh")
	for _, c := range []struct {
		method, path, body string
		status             int
		detail             string
		header             []string
	}{
		{"POST", "/admin/tenants/acme/suspend?dry_run=true", "", 400, `there is no parameter "dry_run"`, nil},
		{"POST", "/admin/tenants?dry_run=1", `{"id":"x"}`, 400, `there is no parameter "dry_run"`, nil},
		{"PATCH", "/admin/tenants/acme?dry_run=1", `{"databases":3}`, 400, `there is no parameter "dry_run"`, nil},
		{"GET", "/admin/tenants/acme/connections?x=1", "", 400, `there is no parameter "x"`, nil},
		{"GET", "/admin/tenants?%zz=1", "", 400, "the parameters can not be read", nil},
		{"GET", "/admin/tenants?plan=small;limit=1", "", 400, "the parameters can not be read", nil},
		{"GET", "/admin/tenants?limit=1&limit=2", "", 400, "limit is given more than once", nil},
		{"POST", "/admin/tenants/acme/suspend", `{"x":1}`, 400, `line 1, column 2: there is no key "x" (it takes no keys)`, nil},
		{"POST", "/admin/state/reload", `garbage`, 400, "line 1, column 1: invalid character 'g' looking for beginning of value", nil},
		{"DELETE", "/admin/tenants/acme", `{"data":"keep"}`, 400, `line 1, column 2: there is no key "data" (it takes no keys)`, []string{"If-Match", "*"}},
		{"POST", "/admin/state/rollback", "{\n  \"nubmer\": 1}", 400, `line 2, column 3: there is no key "nubmer" (there are number)`, nil},
		{"POST", "/admin/state/rollback", `{"number":1,"number":2}`, 400, `line 1, column 13: the key "number" is given twice`, nil},
		{"POST", "/admin/state/rollback", `{"number":-1}`, 400, `line 1, column 13: "number" is not a whole number from 0 on`, nil},
		{"POST", "/admin/state/rollback", `{"number":1} {}`, 400, "line 1, column 13: there is something after the JSON", nil},
		{"POST", "/admin/tenants/acme/rotate-key", `{"SHA256":"` + sum + `"}`, 400, `line 1, column 2: there is no key "SHA256" (there are user, sha256, revoke)`, nil},
		{"POST", "/admin/tenants/acme/rotate-key", `{"sha256":"` + sum + `","sha256":"` + sum + `"}`, 400, "line 1, column 78: the key \"sha256\" is given twice", nil},
		{"POST", "/admin/tenants/acme/rotate-key", `null`, 400, "the body is not a JSON object", nil},
		{"POST", "/admin/tenants/acme/rotate-key", `["` + sum + `"]`, 400, "the body is not a JSON object", nil},
		{"POST", "/admin/tenants/acme/rotate-key", `{"user":5}`, 400, `line 1, column 10: "user" is not a text`, nil},
		{"POST", "/admin/tenants/acme/rotate-key", ``, 400, "there is no body", nil},
		{"PATCH", "/admin/tenants/acme", ``, 400, "there is no body", []string{"If-Match", "*"}},
		{"POST", "/admin/tenants", ``, 400, "there is no body", nil},
		{"POST", "/admin/tenants", `{"id":"x","tags":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, 400, "line 1, column 35: it is nested more than 16 deep", nil},
		{"POST", "/admin/tenants", "{\"id\":\"x\",\"tags\":{\"a\":\"\xff\"}}", 400, "the body is not UTF-8", nil},
		{"POST", "/admin/tenants", `{"id":"x"}`, 415, "the body is taken as it is, without Content-Encoding", []string{"Content-Encoding", "gzip"}},
		{"POST", "/admin/tenants", `{"id":"x"}`, 415, "JSON is UTF-8", []string{"Content-Type", "application/json; charset=iso-8859-1"}},
		{"POST", "/admin/tenants", `{"id":"x"}`, 415, "Content-Type is application/json", []string{"Content-Type", "text/json"}},
		{"GET", "//admin/tenants", "", 404, "", nil},
		{"GET", "/admin/plans/../tenants", "", 404, "", nil},
		{"POST", "/admin//tenants", `{"id":"x"}`, 404, "", nil},
		{"GET", "/admin/tenants/", "", 404, "", nil},
		{"OPTIONS", "/admin/tenants", "", 405, "", nil},
	} {
		r := w.want(c.status, "admin", c.method, c.path, c.body, c.header...)
		p := r.problem()
		asked, _, _ := strings.Cut(c.path, "?")
		if p.Detail != c.detail || p.Status != c.status || p.Instance != asked || p.Title == "" || !strings.HasPrefix(p.Type, "urn:riptide:problem:") ||
			r.header.Get("Content-Type") != "application/problem+json" || (c.status == http.StatusMethodNotAllowed) != (r.header.Get("Allow") != "") {
			t.Errorf("%s %s %.80s: %+v %v", c.method, c.path, c.body, p, r.header)
		}
	}
	if after := tree(t, w.dir); after != before {
		t.Errorf("%s\nwas %s", after, before)
	}
	// Nobody is led anywhere before a token was asked for.
	w.want(401, "", "GET", "//admin/tenants", "")
	// What is good is taken.
	w.want(200, "operator", "POST", "/admin/tenants/acme/suspend", "{}")
	w.want(200, "operator", "POST", "/admin/tenants/acme/resume", "")
	w.want(201, "admin", "POST", "/admin/tenants", `{"id":"x"}`, "Content-Type", "application/json; charset=UTF-8", "Content-Encoding", "identity")
	w.want(200, "viewer", "GET", "/metrics?name[]=x", "")
}

// What can change has a tag, which those who have it already need not get again.
func TestTags(t *testing.T) {
	w := newWorld(t, "")
	for _, path := range []string{"/admin/tenants", "/admin/tenants/acme", "/admin/plans", "/admin/plans/small", "/admin/state/current"} {
		tag := w.want(200, "viewer", "GET", path, "").header.Get("ETag")
		for header, want := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, `W/"x"`: 200} {
			r := w.want(want, "viewer", "GET", path, "", "If-None-Match", header)
			if r.header.Get("ETag") != tag || (r.body == "") != (want == 304) {
				t.Errorf("%s %s: %v %s", path, header, r.header, r.body)
			}
		}
		if head := w.want(200, "viewer", "HEAD", path, ""); head.header.Get("ETag") != tag || head.body != "" {
			t.Errorf("%s: %v", path, head.header)
		}
	}
	// A token for one tenant is not told by tags that there is anything else.
	own := w.want(200, "acme-viewer", "GET", "/admin/tenants", "").header.Get("ETag")
	w.want(201, "admin", "POST", "/admin/tenants", `{"id":"initech"}`)
	w.want(304, "acme-viewer", "GET", "/admin/tenants", "", "If-None-Match", own)
	// What changes has to be the same to the letter.
	tag := w.want(200, "viewer", "GET", "/admin/tenants/acme", "").header.Get("ETag")
	w.want(412, "admin", "PATCH", "/admin/tenants/acme", `{"databases":3}`, "If-Match", "W/"+tag)
	for _, path := range []string{"suspend", "resume", "rotate-key"} {
		w.want(412, "admin", "POST", "/admin/tenants/acme/"+path, map[bool]string{true: fmt.Sprintf(`{"sha256":%q}`, hashOf("n"))}[path == "rotate-key"], "If-Match", `"old"`)
	}
	w.want(412, "admin", "DELETE", "/admin/tenants/acme", "", "If-Match", `"old"`)
}
