package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"riptide-proxy/tests/harness"
)

func TestState(t *testing.T) {
	w := newWorld(t, "")
	w.want(409, "admin", "POST", "/admin/state/rollback", "")
	w.want(404, "admin", "POST", "/admin/state/rollback", `{"number":77}`)
	w.want(200, "operator", "POST", "/admin/tenants/acme/suspend", "")
	w.want(200, "admin", "PATCH", "/admin/tenants/acme", `{"databases":4}`, "If-Match", "*")
	w.want(200, "admin", "POST", "/admin/state/rollback", "")
	if got := w.tenant("acme"); got.Databases != 16 || !got.Suspended {
		t.Errorf("%+v", got)
	}
	// A change would bring back what was rolled back.
	if r := w.want(409, "operator", "POST", "/admin/tenants/acme/resume", ""); !strings.Contains(r.body, "reload first") {
		t.Error(r.body)
	}
	r := w.want(200, "admin", "POST", "/admin/state/rollback", "")
	var s StateReport
	if err := json.Unmarshal([]byte(r.body), &s); err != nil || s.Current.Source != "rollback to 1" || w.tenant("acme").Suspended || s.History[0].Number != s.Current.Number {
		t.Errorf("%v %s", err, r.body)
	}
	w.want(200, "operator", "POST", "/admin/state/reload", "")
	if got := w.tenant("acme"); got.Databases != 4 || !got.Suspended {
		t.Errorf("%+v", got)
	}
	w.want(200, "operator", "POST", "/admin/tenants/acme/resume", "")
	w.file("tenants.d/acme.yaml", "plan: [\n")
	if p := w.want(422, "operator", "POST", "/admin/state/reload", "").problem(); len(p.Errors) == 0 || p.Errors[0].Line == 0 {
		t.Errorf("%+v", p)
	}
	if r := w.want(200, "operator", "POST", "/admin/state/checkpoint", ""); !strings.Contains(r.body, `"number": 8`) {
		t.Error(r.body)
	}
	w.want(200, "admin", "POST", "/admin/state/restore", `{"number":7}`)
	w.want(404, "admin", "POST", "/admin/state/restore", `{"number":9}`)
	if r := w.want(200, "viewer", "GET", "/admin/plans/small", ""); !strings.Contains(r.body, `"memory": "1MiB"`) {
		t.Error(r.body)
	}
	w.want(404, "viewer", "GET", "/admin/plans/nosuch", "")
}

// Without tenants_dir there is nowhere to write.
func TestNoTenantsDir(t *testing.T) {
	w := newWorld(t, "")
	w.file("riptide.yaml", strings.Replace(w.read("riptide.yaml"), "tenants_dir: tenants.d\n", "", 1))
	w.want(200, "operator", "POST", "/admin/state/reload", "")
	w.want(409, "admin", "POST", "/admin/tenants", `{"id":"initech"}`)
	w.want(409, "operator", "POST", "/admin/tenants/static/suspend", "")
	w.want(200, "viewer", "GET", "/admin/tenants", "")
}

func TestList(t *testing.T) {
	w := newWorld(t, "")
	w.want(200, "operator", "POST", "/admin/tenants/globex/suspend", "")
	for query, want := range map[string]string{
		"": "acme globex static", "?limit=2": "acme globex+", "?limit=2&after=globex": "static", "?plan=small": "acme", "?suspended=true": "globex",
		"?suspended=false": "acme static", "?tag=owner=hidden-owner": "globex", "?tag=owner=x": "", "?plan=": "globex static",
	} {
		var list TenantList
		if err := json.Unmarshal([]byte(w.want(200, "viewer", "GET", "/admin/tenants"+query, "").body), &list); err != nil {
			t.Fatal(err)
		}
		ids := []string{}
		for _, line := range list.Tenants {
			ids = append(ids, line.ID)
		}
		got := strings.Join(ids, " ")
		if list.Next != "" {
			got += "+"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	for _, bad := range []string{"?limit=0", "?limit=x", "?suspended=perhaps", "?tenant=acme", "?plan=a&plan=b"} {
		w.want(400, "viewer", "GET", "/admin/tenants"+bad, "")
	}
}

// Of many edits at once each is made as a whole, and none by who has not seen the one before.
func TestConcurrentEdits(t *testing.T) {
	w := newWorld(t, "")
	etag := w.want(200, "admin", "GET", "/admin/tenants/acme", "").header.Get("ETag")
	const n = 12
	var wait sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range n {
		wait.Go(func() {
			r := w.do("admin", "PATCH", "/admin/tenants/acme", fmt.Sprintf(`{"tags":{"winner":"%d"}}`, i), "If-Match", etag)
			mu.Lock()
			defer mu.Unlock()
			statuses[r.status]++
		})
		wait.Go(func() {
			r := w.do("admin", "POST", "/admin/tenants", `{"id":"twin"}`)
			mu.Lock()
			defer mu.Unlock()
			statuses[r.status]++
		})
		wait.Go(func() {
			// Everybody who tries again in the end has their own key in it.
			for {
				tag := w.do("admin", "GET", "/admin/tenants/globex", "").header.Get("ETag")
				r := w.do("admin", "PATCH", "/admin/tenants/globex", fmt.Sprintf(`{"tags":{"k%d":"v"}}`, i), "If-Match", tag)
				if r.status == 200 {
					return
				}
				if r.status != 412 {
					t.Errorf("%d %s", r.status, r.body)
					return
				}
			}
		})
	}
	wait.Wait()
	if statuses[200] != 1 || statuses[412] != n-1 || statuses[201] != 1 || statuses[409] != n-1 {
		t.Error(statuses)
	}
	if got := w.tenant("globex").Tags; len(got) != n+1 {
		t.Errorf("an edit was lost: %v", got)
	}
	if entries, err := os.ReadDir(filepath.Join(w.dir, "tenants.d")); err != nil || len(entries) != 3 {
		t.Errorf("something was left over: %v %v", entries, err)
	}
}

// What was done is told, with what the tenant was before and after, and without secrets.
func TestAudit(t *testing.T) {
	w := newWorld(t, "")
	w.want(200, "admin", "PATCH", "/admin/tenants/acme", `{"databases":4}`, "If-Match", "*")
	w.want(403, "viewer", "POST", "/admin/tenants", `{"id":"x"}`)
	w.want(401, "nobody", "GET", "/admin/tenants", "")
	w.want(200, "viewer", "GET", "/admin/tenants", "")
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.events) != 3 {
		t.Fatalf("%+v", w.events)
	}
	e := w.events[0]
	if e.Action != "updateTenant" || e.Who.Name != "admin" || e.Tenant != "acme" || e.Status != 200 || e.Reason != "" || e.Remote == "" ||
		e.Before.(map[string]any)["databases"] != 16 || e.After.(map[string]any)["databases"] != 4 {
		t.Errorf("%+v", e)
	}
	if e := w.events[1]; e.Action != "createTenant" || e.Who.Name != "viewer" || e.Status != 403 || e.Reason != "The token does not allow this: it needs the role admin" {
		t.Errorf("%+v", e)
	}
	if e := w.events[2]; e.Status != 401 || e.Who.Name != "" {
		t.Errorf("%+v", e)
	}
	if text, err := json.Marshal(w.events); err != nil || strings.Contains(string(text), hashOf("acme")) {
		t.Errorf("%v %s", err, text)
	}
}

// Jobs are bounded: of one tenant's, and of those that are remembered.
func TestJobsBounded(t *testing.T) {
	w := newWorld(t, "")
	w.proxy.swept.hold = make(chan struct{})
	for range jobsOfOne {
		w.want(202, "acme-operator", "POST", "/admin/cache/invalidate", `{"pattern":"a*"}`)
	}
	w.want(429, "acme-operator", "POST", "/admin/cache/invalidate", `{"pattern":"a*"}`)
	w.want(202, "admin", "POST", "/admin/cache/clear", `{"tenant":"globex"}`)
	close(w.proxy.swept.hold)
	ended := func() bool {
		for _, j := range w.api.jobs.seen(Principal{}) {
			if j.Ended == nil {
				return false
			}
		}
		return true
	}
	harness.Eventually(w.t, "they end", ended)
	for range jobsKept + 50 {
		w.want(202, "admin", "POST", "/admin/cache/clear", `{"tenant":"acme"}`)
		harness.Eventually(w.t, "it ends", ended)
	}
	if n := len(w.api.jobs.seen(Principal{})); n > jobsKept+1 {
		t.Errorf("%d are remembered", n)
	}
	for _, body := range []string{`{"tenant":"acme","pattern":""}`, `{"tenant":"acme","pattern":"` + strings.Repeat("x", 2000) + `"}`, `{"tenant":"acme","pattern":"x","database":16}`, `{"tenant":"acme","pattern":"x","database":-1}`} {
		w.want(400, "admin", "POST", "/admin/cache/invalidate", body)
	}
	w.want(400, "admin", "POST", "/admin/cache/clear", `{"tenant":"acme","pattern":"x"}`)
	w.want(404, "admin", "POST", "/admin/cache/clear", `{"tenant":"nobody"}`)
	w.proxy.swept.fails = errors.New("connection refused to 10.0.0.1")
	r := w.want(202, "admin", "POST", "/admin/cache/clear", `{"tenant":"acme","database":3}`)
	harness.Eventually(w.t, "it has failed", func() bool {
		return strings.Contains(w.want(200, "viewer", "GET", r.header.Get("Location"), "").body, `"state": "failed"`)
	})
	if list := w.proxy.swept.list; list[len(list)-1].Database != 3 {
		t.Errorf("%+v", list[len(list)-1])
	}
}
