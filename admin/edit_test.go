package admin

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

func (w *world) tenant(id string) *config.Tenant { return w.manager.Current().Config.Tenants[id] }

func TestCreate(t *testing.T) {
	w := newWorld(t, "")
	body := `{"id":"initech","plan":"small","users":{"default":{"sha256":["` + hashOf("initech") + `"]}},"quotas":{"memory":"2MiB","keys":7},
		"tags":{"a":"${HOME} $${x} \"q\"","n":"0815","on":"yes"},"databases":3,"hash_tag":true,"encryption":null}`
	r := w.want(201, "admin", "POST", "/admin/tenants", body)
	if r.header.Get("Location") != "/admin/tenants/initech" || r.header.Get("ETag") == "" {
		t.Error(r.header)
	}
	got := w.tenant("initech")
	if got == nil || got.Plan != "small" || got.Quotas.Memory != 2*config.MiB || got.Quotas.Keys != 7 || got.Databases != 3 || !got.HashTag ||
		!reflect.DeepEqual(got.Tags, map[string]string{"a": `${HOME} $${x} "q"`, "n": "0815", "on": "yes"}) ||
		!reflect.DeepEqual(got.Users["default"].SHA256, []string{hashOf("initech")}) {
		t.Errorf("%+v\n%s", got, w.read("tenants.d/initech.yaml"))
	}
	var answer Tenant
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil || answer.ID != "initech" || !answer.Managed {
		t.Errorf("%v %s", err, r.body)
	}
	if limits := answer.Limits.(map[string]any); limits["memory"] != "2MiB" || limits["ops_per_second"] != 10.0 {
		t.Error(limits)
	}
	if users := answer.Config["users"].(map[string]any)["default"].(map[string]any); users["secrets"] != 1.0 || users["sha256"] != nil {
		t.Error(users)
	}
	// The file is what a person could have written, and means the same at the next start.
	if c, warnings, err := config.Load(filepath.Join(w.dir, "riptide.yaml")); err != nil || !reflect.DeepEqual(c.Tenants["initech"], got) {
		t.Error(warnings, err)
	}
	for _, c := range []struct {
		body   string
		status int
		title  string
	}{
		{`{"id":"initech"}`, 409, "It exists already"},
		{`{"id":"acme"}`, 409, "It exists already"},
		{`{"id":"static"}`, 409, "It exists already"},
		{`{"id":"Acme"}`, 422, "The configuration would not be valid"},
		{`{"id":"default"}`, 422, ""},
		{`{"id":""}`, 422, ""},
		{`{"id":7}`, 400, ""},
		{`{}`, 400, ""},
		{``, 400, ""},
		{`[]`, 400, ""},
		{`null`, 400, ""},
		{`{"id":"x","id":"y"}`, 400, ""},
		{`{"id":"x"} {}`, 400, ""},
		{`{"id":"x"`, 400, ""},
		{`{"id":"x","plan":"smal"}`, 422, ""},
		{`{"id":"x","quota":{}}`, 422, ""},
		{`{"id":"x","quotas":{"memory":-1}}`, 422, ""},
		{`{"id":"x","quotas":{"keys":1.5}}`, 422, ""},
		{`{"id":"x","quotas":{"keys":1e3}}`, 422, ""},
		{`{"id":"x","users":{"../y":{}}}`, 422, ""},
		{`{"id":"x","users":{"default":{"sha256":["` + hashOf("acme") + `"]}}}`, 422, ""},
		{`{"id":"x","tags":{"a":"\u0000"}}`, 422, ""},
		{`{"id":"x","tags":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 41), 400, ""},
	} {
		r := w.want(c.status, "admin", "POST", "/admin/tenants", c.body)
		if c.title != "" && r.problem().Title != c.title {
			t.Errorf("%s: %s", c.body, r.body)
		}
		if c.status == 422 && len(r.problem().Errors) == 0 {
			t.Errorf("%s: %s", c.body, r.body)
		}
		if strings.Contains(r.body, hashOf("acme")) {
			t.Errorf("%s: %s", c.body, r.body)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(w.dir, "tenants.d")); err != nil || len(entries) != 3 {
		t.Error(entries, err)
	}
	r = w.want(422, "admin", "POST", "/admin/tenants", `{"id":"x","plan":"smal"}`)
	want := []Fault{{File: "x.yaml", Line: 1, Path: "plan", Text: `there is no plan "smal" (did you mean "small"?)`}}
	if got := r.problem(); !reflect.DeepEqual(got.Errors, want) || got.Type != "urn:riptide:problem:invalid" || r.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%+v %v", got, r.header)
	}
}

// What is not changed in a file stays as it was written.
func TestUpdate(t *testing.T) {
	w := newWorld(t, "")
	r := w.want(200, "admin", "GET", "/admin/tenants/acme", "")
	etag := r.header.Get("ETag")
	w.want(304, "admin", "GET", "/admin/tenants/acme", "", "If-None-Match", etag)
	w.want(428, "admin", "PATCH", "/admin/tenants/acme", `{"databases":4}`)
	w.want(412, "admin", "PATCH", "/admin/tenants/acme", `{"databases":4}`, "If-Match", `"other"`)
	r = w.want(200, "admin", "PATCH", "/admin/tenants/acme", `{"databases":4,"tags":{"team":"web"},"users":{"people":null,"robot":{"sha256":["`+hashOf("robot")+`"]}}}`, "If-Match", etag)
	if r.header.Get("ETag") == etag {
		t.Error("the tag is as it was")
	}
	want := "# the first one\nplan: small # for now\nusers:\n  default: {sha256: [" + hashOf("acme") + "]}\n  robot:\n    sha256: [" + hashOf("robot") + "]\ndatabases: 4\ntags:\n  team: web\n"
	if got := w.read("tenants.d/acme.yaml"); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	w.want(412, "admin", "PATCH", "/admin/tenants/acme", `{"databases":5}`, "If-Match", etag)
	w.want(200, "admin", "PATCH", "/admin/tenants/acme", `{"databases":null,"tags":null,"plan":null}`, "If-Match", "*")
	if got := w.tenant("acme"); got.Databases != 16 || got.Tags != nil || got.Plan != "" {
		t.Errorf("%+v", got)
	}
	r = w.want(422, "admin", "PATCH", "/admin/tenants/acme", `{"databases":0,"scripts":"maybe"}`, "If-Match", "*")
	if p := r.problem(); len(p.Errors) != 2 {
		t.Errorf("%+v", p)
	}
	w.want(409, "admin", "PATCH", "/admin/tenants/static", `{"databases":2}`, "If-Match", "*")
	w.want(404, "admin", "PATCH", "/admin/tenants/nobody", `{"databases":2}`, "If-Match", "*")
	// Somebody has edited the file by hand, and it is not taken yet.
	etag = w.want(200, "admin", "GET", "/admin/tenants/globex", "").header.Get("ETag")
	w.file("tenants.d/globex.yaml", "databases: 2\n")
	w.want(412, "admin", "PATCH", "/admin/tenants/globex", `{"databases":2}`, "If-Match", etag)
}

func TestSuspendAndRotate(t *testing.T) {
	w := newWorld(t, "")
	for range 2 {
		w.want(200, "operator", "POST", "/admin/tenants/acme/suspend", "")
		if !w.tenant("acme").Suspended {
			t.Fatal("not suspended")
		}
	}
	if n := w.manager.Current().Number; n != 2 {
		t.Errorf("generation %d: a change that changes nothing is one", n)
	}
	w.want(412, "operator", "POST", "/admin/tenants/acme/resume", "", "If-Match", `"other"`)
	w.want(200, "operator", "POST", "/admin/tenants/acme/resume", "")
	if w.tenant("acme").Suspended || strings.Contains(w.read("tenants.d/acme.yaml"), "suspended") {
		t.Error(w.read("tenants.d/acme.yaml"))
	}
	keys := func(user string) []string { return w.tenant("acme").Users[user].SHA256 }
	w.want(200, "acme-admin", "POST", "/admin/tenants/acme/rotate-key", `{"sha256":"`+hashOf("2")+`"}`)
	w.want(200, "admin", "POST", "/admin/tenants/acme/rotate-key", `{"sha256":"`+strings.ToUpper(hashOf("3"))+`"}`)
	if got := keys("default"); !reflect.DeepEqual(got, []string{hashOf("3"), hashOf("2")}) {
		t.Error(got)
	}
	w.want(200, "admin", "POST", "/admin/tenants/acme/rotate-key", `{"sha256":"`+hashOf("4")+`","revoke":true}`)
	if got := keys("default"); !reflect.DeepEqual(got, []string{hashOf("4")}) {
		t.Error(got)
	}
	w.want(200, "admin", "POST", "/admin/tenants/acme/rotate-key", `{"user":"people","sha256":"`+hashOf("5")+`"}`)
	if u := w.tenant("acme").Users["people"]; len(u.SHA256) != 1 || len(u.Argon2id) != 1 {
		t.Errorf("%+v", u)
	}
	w.want(200, "admin", "POST", "/admin/tenants/acme/rotate-key", `{"user":"people","sha256":"`+hashOf("6")+`","revoke":true}`)
	if u := w.tenant("acme").Users["people"]; len(u.SHA256) != 1 || len(u.Argon2id) != 0 {
		t.Errorf("%+v", u)
	}
	for _, body := range []string{`{"sha256":"secret in clear"}`, `{"sha256":""}`, `{"sha256":"` + hashOf("") + `"}`} {
		if r := w.want(422, "admin", "POST", "/admin/tenants/acme/rotate-key", body); strings.Contains(r.body, "in clear") {
			t.Error(r.body)
		}
	}
	w.want(404, "admin", "POST", "/admin/tenants/acme/rotate-key", `{"user":"nobody","sha256":"`+hashOf("7")+`"}`)
	w.want(400, "admin", "POST", "/admin/tenants/acme/rotate-key", `{"user":"../x","sha256":"`+hashOf("7")+`"}`)
	w.want(400, "admin", "POST", "/admin/tenants/acme/rotate-key", `{"secret":"x"}`)
}

func TestDelete(t *testing.T) {
	w := newWorld(t, "")
	w.want(428, "admin", "DELETE", "/admin/tenants/acme", "")
	w.want(409, "admin", "DELETE", "/admin/tenants/static", "", "If-Match", "*")
	w.want(400, "admin", "DELETE", "/admin/tenants/acme?data=burn", "", "If-Match", "*")
	w.proxy.swept.hold = make(chan struct{})
	r := w.want(202, "admin", "DELETE", "/admin/tenants/acme", "", "If-Match", "*")
	if w.tenant("acme") != nil || w.read("tenants.d/acme.yaml") != "" {
		t.Error("it is still there")
	}
	at := r.header.Get("Location")
	job := func() (j Job) {
		_ = json.Unmarshal([]byte(w.want(200, "viewer", "GET", at, "").body), &j)
		return j
	}
	harness.Eventually(w.t, "its keys are being deleted", func() bool { return job().Looked == 5 })
	if j := job(); j.State != "running" || j.Kind != "purge" || j.Tenant != "acme" || j.Keys != 10 || j.Deleted != 1 || j.By != "admin" {
		t.Errorf("%+v", j)
	}
	r = w.want(409, "admin", "POST", "/admin/tenants", `{"id":"acme"}`)
	if !strings.Contains(r.body, "still being deleted") {
		t.Error(r.body)
	}
	close(w.proxy.swept.hold)
	harness.Eventually(w.t, "they are", func() bool { j := job(); return j.State == "done" && j.Deleted == 3 && j.Ended != nil })
	w.want(201, "admin", "POST", "/admin/tenants", `{"id":"acme"}`)

	w.want(204, "admin", "DELETE", "/admin/tenants/acme?data=keep", "", "If-Match", "*")
	w.want(409, "admin", "POST", "/admin/tenants/globex/purge", "")
	w.want(202, "admin", "POST", "/admin/tenants/acme/purge", "")
	w.want(404, "admin", "GET", "/admin/jobs/nosuch", "")
}

// A tenant that is written again while its keys are being deleted keeps what is left.
func TestPurgeStops(t *testing.T) {
	w := newWorld(t, "")
	w.proxy.swept.hold = make(chan struct{})
	w.want(202, "admin", "DELETE", "/admin/tenants/acme", "", "If-Match", "*")
	w.file("tenants.d/acme.yaml", "databases: 2\n")
	w.want(200, "operator", "POST", "/admin/state/reload", "")
	w.proxy.swept.mu.Lock()
	before := len(w.proxy.swept.list)
	w.proxy.swept.mu.Unlock()
	close(w.proxy.swept.hold)
	harness.Eventually(w.t, "it has stopped", func() bool {
		jobs := w.api.jobs.seen(Principal{})
		return len(jobs) == 1 && jobs[0].Ended != nil
	})
	if still, _ := w.proxy.Purging(t.Context(), "acme"); still || before > 1 {
		t.Error("it is still noted")
	}
}

// What another process was deleting is deleted; what is configured again is left.
func TestResume(t *testing.T) {
	w := newWorld(t, "")
	w.proxy.swept.purges = map[string]bool{"acme": true, "gone": true}
	w.api.resume()
	harness.Eventually(w.t, "nothing is left", func() bool {
		ids, _ := w.proxy.Purges(t.Context())
		return len(ids) == 0
	})
	if list := w.proxy.swept.list; len(list) != 1 || list[0].Tenant != "gone" || !list[0].All {
		t.Errorf("%+v", list)
	}
}

// When the configuration can not be taken the file is what it was.
func TestFailedChange(t *testing.T) {
	w := newWorld(t, "")
	w.applier.err = errors.New("no such key")
	before := w.read("tenants.d/acme.yaml")
	w.want(409, "admin", "PATCH", "/admin/tenants/acme", `{"databases":4}`, "If-Match", "*")
	w.want(409, "admin", "POST", "/admin/tenants", `{"id":"initech"}`)
	w.want(409, "admin", "DELETE", "/admin/tenants/acme", "", "If-Match", "*")
	if w.read("tenants.d/acme.yaml") != before || w.read("tenants.d/initech.yaml") != "" || w.tenant("acme") == nil {
		t.Error("something has changed")
	}
	if still, _ := w.proxy.Purging(t.Context(), "acme"); still {
		t.Error("it is noted as being deleted")
	}
	w.applier.err = nil
	// Somebody else's mistake keeps everybody from changing anything, and says where it is.
	w.file("tenants.d/globex.yaml", "databases: none\n")
	if w.manager.Reload(t.Context(), "file") == nil { // which sees to itself in a running proxy
		t.Error("it was taken")
	}
	r := w.want(409, "admin", "PATCH", "/admin/tenants/acme", `{"databases":4}`, "If-Match", "*")
	if p := r.problem(); len(p.Errors) != 1 || !strings.HasSuffix(p.Errors[0].File, "globex.yaml") || p.Errors[0].Line != 1 {
		t.Errorf("%+v", p)
	}
	if w.read("tenants.d/acme.yaml") != before {
		t.Error("it was written")
	}
	r = w.want(200, "viewer", "GET", "/admin/state/current", "")
	var s StateReport
	if err := json.Unmarshal([]byte(r.body), &s); err != nil || s.Failed == nil || len(s.Failed.Errors) != 1 {
		t.Errorf("%v %s", err, r.body)
	}
}
