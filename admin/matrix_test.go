package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"riptide-proxy/config"
)

// policy is who may do what, written down a second time, by hand: a slip in the table of routes shows as a
// difference. open needs no token, fleet a token for all tenants, own one that is for the tenant in the path or for
// all, part gets a token for one tenant to see its part.
var policy = map[string]string{
	"GET /healthz":                          "open",
	"GET /readyz":                           "open",
	"GET /admin/openapi.json":               "part viewer",
	"GET /metrics":                          "fleet viewer",
	"GET /stats/tenants":                    "part viewer",
	"GET /admin/tenants":                    "part viewer",
	"POST /admin/tenants":                   "fleet admin",
	"GET /admin/tenants/{id}":               "own viewer",
	"PATCH /admin/tenants/{id}":             "fleet admin",
	"DELETE /admin/tenants/{id}":            "fleet admin",
	"POST /admin/tenants/{id}/purge":        "fleet admin",
	"POST /admin/tenants/{id}/suspend":      "fleet operator",
	"POST /admin/tenants/{id}/resume":       "fleet operator",
	"POST /admin/tenants/{id}/rotate-key":   "own admin",
	"GET /admin/tenants/{id}/connections":   "own viewer",
	"GET /admin/tenants/{id}/slowlog":       "own viewer",
	"GET /admin/tenants/{id}/hotkeys":       "own viewer",
	"GET /admin/tenants/{id}/usage":         "own viewer",
	"GET /admin/tenants/{id}/billing":       "own viewer",
	"GET /admin/plans":                      "fleet viewer",
	"GET /admin/plans/{plan}":               "fleet viewer",
	"GET /admin/cache/stats":                "part viewer",
	"POST /admin/cache/invalidate":          "part operator",
	"POST /admin/cache/clear":               "part admin",
	"GET /admin/jobs":                       "part viewer",
	"GET /admin/jobs/{job}":                 "part viewer",
	"GET /admin/state/current":              "fleet viewer",
	"POST /admin/state/reload":              "fleet operator",
	"POST /admin/state/rollback":            "fleet admin",
	"POST /admin/state/checkpoint":          "fleet operator",
	"POST /admin/state/restore":             "fleet admin",
	"GET /usage":                            "part viewer",
	"GET /billing":                          "part viewer",
	"POST /billing/close":                   "fleet admin",
	"GET /tenants/{id}/usage":               "own viewer",
	"GET /tenants/{id}/billing":             "own viewer",
	"GET /tenants/{id}/dictionaries":        "own viewer",
	"GET /tenants/{id}/dictionaries/{dict}": "own viewer",
}

// bearer is somebody in the matrix.
type bearer struct {
	name   string // of the token; "" is none, "wrong" one that there is not
	role   config.Role
	tenant string
	known  bool
}

func bearers() []bearer {
	all := []bearer{{name: ""}, {name: "wrong"}, {name: "jwt-expired"}, {name: "jwt-none"}}
	for _, from := range []string{"", "jwt-"} {
		for _, role := range []config.Role{config.Viewer, config.Operator, config.Administrator} {
			all = append(all, bearer{from + string(role), role, "", true}, bearer{from + "acme-" + string(role), role, "acme", true})
		}
		all = append(all, bearer{from + "gone-admin", config.Administrator, "gone", true})
	}
	return all
}

// issued are signed tokens: those of bearers that begin with jwt-. One that is expired is an error to whoever looks at it, and
// one may have no role.
type issued struct{}

func (issued) Operators() bool { return true }

func (issued) Operator(_ context.Context, token string) (string, config.Role, string, error) {
	name := strings.TrimSuffix(token, "-token")
	if name == "jwt-none" {
		return name, "", "", nil
	}
	for _, b := range bearers() {
		if b.known && b.name == name && strings.HasPrefix(name, "jwt-") {
			return name, b.role, b.tenant, nil
		}
	}
	return "", "", "", errors.New("it is no token, or it is over")
}

// allowed is what the policy says of a request.
func allowed(rule string, who bearer, tenant string) (status int, ok bool) {
	reach, least, _ := strings.Cut(rule, " ")
	rank := []string{"viewer", "operator", "admin"}
	switch {
	case reach == "open":
		return 0, true
	case !who.known:
		return http.StatusUnauthorized, false
	case slices.Index(rank, string(who.role)) < slices.Index(rank, least):
		return http.StatusForbidden, false
	case who.tenant != "" && (reach == "fleet" || reach == "own" && who.tenant != tenant):
		return http.StatusForbidden, false
	}
	return 0, true
}

// Every token with every endpoint and every tenant: its own, another one, one that is not there, and what is no
// tenant's name. Requests that are let in fail for want of a body or of If-Match where they would change anything.
func TestMatrix(t *testing.T) {
	w := newWorld(t, "")
	if len(w.api.routes) != len(policy) {
		t.Errorf("there are %d routes, and %d in the policy", len(w.api.routes), len(policy))
	}
	statuses := statusesOf(t, w)
	w.api.gate.signed = issued{}
	cases := 0
	for _, r := range w.api.routes {
		rule, known := policy[r.method+" "+r.path]
		if !known {
			t.Errorf("%s %s is not in the policy", r.method, r.path)
			continue
		}
		tenants := []string{"acme"}
		if strings.Contains(r.path, "{id}") {
			tenants = []string{"acme", "globex", "nobody", "gone", "default", "..%2f..%2friptide", "Acme", "acme%00"}
		}
		for _, who := range bearers() {
			for _, tenant := range tenants {
				cases++
				w.api.gate.limits = newLimits() // signatures are looked at a few times a second
				path := strings.NewReplacer("{id}", tenant, "{plan}", "small", "{job}", "0123456789abcdef", "{dict}", "0000002a").Replace(r.path)
				got := w.do(who.name, r.method, path, "")
				want, ok := allowed(rule, who, tenant)
				switch refused := got.status == 401 || got.status == 403; {
				case !ok && got.status != want:
					t.Errorf("%s: %s %s: %d, want %d", who.name, r.method, path, got.status, want)
				case ok && refused:
					t.Errorf("%s: %s %s: %d, but it is allowed", who.name, r.method, path, got.status)
				case got.status >= 500 && r.path != "/healthz" && r.path != "/readyz":
					t.Errorf("%s: %s %s: %d %s", who.name, r.method, path, got.status, got.body)
				}
				if told := statuses[r.method+" "+r.path]; !told[got.status] {
					t.Errorf("%s: %s %s: %d is not in the document, %v", who.name, r.method, path, got.status, told)
				}
				if who.tenant != "" {
					told := *got
					told.body = strings.ReplaceAll(got.body, `"instance":"`+path+`"`, "") // which is what was asked
					foreign(t, w, fmt.Sprint(who.name, " ", r.method, " ", path), &told)
				}
				if !ok && got.problem().Status != want {
					t.Errorf("%s: %s %s: %s", who.name, r.method, path, got.body)
				}
			}
		}
	}
	t.Logf("%d requests", cases)
}

// statusesOf are the statuses of the document, by method and path.
func statusesOf(t *testing.T, w *world) map[string]map[int]bool {
	t.Helper()
	doc, _ := described(t, w)
	all := map[string]map[int]bool{}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			of := map[int]bool{}
			for status := range o.Responses.Map() {
				n, _ := strconv.Atoi(status)
				of[n] = true
			}
			all[method+" "+path] = of
		}
	}
	return all
}

// foreign looks for what only others may see.
func foreign(t *testing.T, w *world, what string, r *reply) {
	t.Helper()
	for _, word := range []string{"globex", "static", "hidden-owner", hashOf("globex"), hashOf("acme"), "argon2id$", "viewer-token"} {
		if strings.Contains(r.body, word) || strings.Contains(fmt.Sprint(r.header), word) {
			t.Errorf("%s: %q in %s", what, word, r.body)
		}
	}
}

// A token for one tenant is refused another one wherever that can be named, and what is refused does not tell
// whether there is one.
func TestScope(t *testing.T) {
	w := newWorld(t, "")
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/stats/tenants?tenant=%s", ""},
		{"GET", "/stats/tenants?tenant=acme&tenant=%s", ""},
		{"GET", "/admin/cache/stats?tenant=%s", ""},
		{"GET", "/usage?tenant=%s", ""},
		{"GET", "/billing?tenant=%s", ""},
		{"GET", "/admin/tenants/%s", ""},
		{"POST", "/admin/cache/invalidate", `{"tenant":"%s","pattern":"*"}`},
		{"POST", "/admin/cache/clear", `{"tenant":"%s"}`},
		{"POST", "/admin/tenants/%s/rotate-key", `{"sha256":"` + hashOf("x") + `"}`},
	} {
		var answers []string
		for _, tenant := range []string{"globex", "nobody"} {
			fill := func(s string) string { return strings.ReplaceAll(s, "%s", tenant) }
			r := w.want(403, "acme-admin", c.method, fill(c.path), fill(c.body))
			answers = append(answers, strings.ReplaceAll(r.body, tenant, ""))
			if r := w.do("admin", c.method, fill(c.path), fill(c.body)); r.status == 403 || r.status == 401 {
				t.Errorf("%s %s of all: %d", c.method, fill(c.path), r.status)
			}
		}
		if answers[0] != answers[1] {
			t.Errorf("%s %s: %s and %s", c.method, c.path, answers[0], answers[1])
		}
	}
	// Without a name it is its own.
	if r := w.want(200, "acme-viewer", "GET", "/admin/cache/stats", ""); !strings.Contains(r.body, `"hits": 3,`) || strings.Contains(r.body, "globex") {
		t.Error(r.body)
	}
	if r := w.want(200, "viewer", "GET", "/admin/cache/stats", ""); !strings.Contains(r.body, `"hits": 4,`) {
		t.Error(r.body)
	}
	if r := w.want(202, "acme-operator", "POST", "/admin/cache/invalidate", `{"pattern":"a*"}`); !strings.Contains(r.body, `"tenant": "acme"`) {
		t.Error(r.body)
	}
	w.want(202, "operator", "POST", "/admin/cache/invalidate", `{"pattern":"a*","tenant":"globex"}`)
	if r := w.want(200, "acme-viewer", "GET", "/admin/jobs", ""); strings.Count(r.body, `"id"`) != 1 || strings.Contains(r.body, "globex") {
		t.Error(r.body)
	}
	var other string
	for _, j := range w.api.jobs.seen(Principal{}) {
		if j.Tenant == "globex" {
			other = j.ID
		}
	}
	w.want(404, "acme-viewer", "GET", "/admin/jobs/"+other, "")
	w.want(200, "viewer", "GET", "/admin/jobs/"+other, "")
	if r := w.want(200, "acme-viewer", "GET", "/admin/tenants", ""); strings.Count(r.body, `"id"`) != 1 {
		t.Error(r.body)
	}
	// A secret of somebody else's is not told as such.
	r := w.want(422, "acme-admin", "POST", "/admin/tenants/acme/rotate-key", `{"sha256":"`+hashOf("globex")+`"}`)
	if !strings.Contains(r.body, "is a secret that is taken") {
		t.Error(r.body)
	}
	// What slow commands have in them is for operators.
	if r := w.want(200, "viewer", "GET", "/admin/tenants/acme/slowlog", ""); strings.Contains(r.body, "value-of") || !strings.Contains(r.body, "SET") {
		t.Error(r.body)
	}
	if r := w.want(200, "acme-operator", "GET", "/admin/tenants/acme/slowlog", ""); !strings.Contains(r.body, "value-of-acme") {
		t.Error(r.body)
	}
	for who, want := range map[string]bool{"viewer": false, "acme-viewer": false, "operator": true, "acme-operator": true} {
		if r := w.want(200, who, "GET", "/admin/tenants/acme/hotkeys", ""); strings.Contains(r.body, "key-of-acme") != want || !strings.Contains(r.body, "960") {
			t.Errorf("%s: %s", who, r.body)
		}
	}
}
