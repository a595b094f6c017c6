package admin

import (
	"fmt"
	"strings"
	"testing"
)

// What changes the state is not done for who has seen another one.
func TestStateConditions(t *testing.T) {
	w := newWorld(t, "")
	seen := func() string { return w.want(200, "viewer", "GET", "/admin/state/current", "").header.Get("ETag") }
	old := seen()
	w.want(200, "admin", "PATCH", "/admin/tenants/acme", `{"databases":4}`, "If-Match", "*")
	now := seen()
	for _, what := range []string{"rollback", "reload", "restore", "checkpoint"} {
		path := "/admin/state/" + what
		for _, tag := range []string{old, `"other"`, "W/" + now} {
			r := w.want(412, "admin", "POST", path, "", "If-Match", tag)
			if r.problem().Type != typeOf("changed") || r.header.Get("ETag") != "" {
				t.Errorf("%s: %v %s", what, r.header, r.body)
			}
		}
		if tag := seen(); tag != now {
			t.Fatalf("%s was done: %s is %s now", what, now, tag)
		}
	}
	w.want(200, "operator", "POST", "/admin/state/checkpoint", "", "If-Match", now)
	w.want(200, "admin", "POST", "/admin/state/restore", "", "If-Match", now)
	r := w.want(200, "admin", "POST", "/admin/state/rollback", "", "If-Match", `"x", `+now)
	if tag := seen(); tag == now || tag != r.header.Get("ETag") {
		t.Errorf("%s after %s, and the answer has %v", tag, now, r.header)
	}
	w.want(412, "admin", "POST", "/admin/state/rollback", "", "If-Match", now)
	w.want(200, "operator", "POST", "/admin/state/reload", "", "If-Match", seen())
	w.want(200, "admin", "POST", "/admin/state/rollback", "", "If-Match", "*")
	w.want(200, "operator", "POST", "/admin/state/reload", "")
}

// Each change honours If-Match, says so in the document, and refuses it where it could be of nothing.
func TestConditionsOfAllChanges(t *testing.T) {
	w := newWorld(t, "")
	doc, _ := described(t, w)
	without := map[string]bool{} // there is nothing that they change which has an ETag
	for _, name := range []string{"createTenant", "purgeTenant", "invalidateCache", "clearCache", "closeBills"} {
		without[name] = true
	}
	bodies := map[string]string{
		"createTenant": `{"id":"new"}`, "updateTenant": `{"databases":3}`, "rotateKey": fmt.Sprintf(`{"sha256":%q}`, hashOf("n")),
		"invalidateCache": `{"tenant":"acme","pattern":"x"}`, "clearCache": `{"tenant":"acme"}`,
	}
	for _, r := range w.api.routes {
		if r.method == "GET" {
			continue
		}
		want := 412
		if without[r.name] {
			want = 400
		}
		path := strings.ReplaceAll(r.path, "{id}", "acme")
		if got := w.do("admin", r.method, path, bodies[r.name], "If-Match", `"other"`); got.status != want {
			t.Errorf("%s: %d %s, want %d", r.name, got.status, got.body, want)
		}
		told := false
		o := doc.Paths.Value(r.path).GetOperation(r.method)
		for _, p := range o.Parameters {
			told = told || p.Value.Name == "If-Match"
		}
		if told == without[r.name] || (o.Responses.Value("412") != nil) == without[r.name] {
			t.Errorf("%s: the document says otherwise", r.name)
		}
	}
}
