package admin

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// described is the document that is served, checked.
func described(t *testing.T, w *world) (*openapi3.T, routers.Router) {
	t.Helper()
	r := w.want(200, "acme-viewer", "GET", "/admin/openapi.json", "")
	doc, err := openapi3.NewLoader().LoadFromData([]byte(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	doc.Servers = openapi3.Servers{{URL: w.url}}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

// The document lists exactly what is served, and who may use it.
func TestOpenAPI(t *testing.T) {
	w := newWorld(t, "")
	doc, _ := described(t, w)
	var listed []string
	for path, item := range doc.Paths.Map() {
		methods := item.Operations()
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			o := methods[method]
			name := method + " " + path
			status := w.do("admin", method, strings.NewReplacer("{id}", "nobody", "{plan}", "x", "{job}", "x", "{dict}", "x").Replace(path), "").status
			if (status == http.StatusMethodNotAllowed) != (o == nil) {
				t.Errorf("%s: %d", name, status)
			}
			if o == nil {
				continue
			}
			listed = append(listed, name)
			words := strings.Fields(policy[name])
			reach := map[string]string{"open": "everybody", "fleet": "fleet", "own": "tenant", "part": "visible"}[words[0]]
			if o.Extensions["x-reach"] != reach || len(words) > 1 && o.Extensions["x-role"] != words[1] {
				t.Errorf("%s: %v, want %v", name, o.Extensions, words)
			}
			if o.Summary == "" || o.OperationID == "" {
				t.Errorf("%s is not described", name)
			}
		}
	}
	for name := range policy {
		if !slices.Contains(listed, name) {
			t.Errorf("%s is not listed", name)
		}
	}
	if len(listed) != len(policy) {
		t.Errorf("%d are listed, %d there are", len(listed), len(policy))
	}
}

// What is asked and answered is of the form that the document says, errors too.
func TestAnswersAsDescribed(t *testing.T) {
	w := newWorld(t, "")
	_, router := described(t, w)
	seen := map[string]bool{}
	check := func(who, method, path, body string, header ...string) {
		t.Helper()
		r := w.do(who, method, path, body, header...)
		req, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		route, params, err := router.FindRoute(req)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		if r.status < 300 {
			seen[route.Operation.OperationID] = true
		}
		input := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
			Status:                 r.status, Header: r.header, Body: io.NopCloser(bytes.NewReader([]byte(r.body))),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		}
		if err := openapi3filter.ValidateResponse(t.Context(), input); err != nil {
			t.Errorf("%s %s: %v in %d %s", method, path, err, r.status, r.body)
		}
		if r.status < 300 && r.header.Get("Content-Type") == "application/json" && strings.HasPrefix(strings.TrimSpace(r.body), "{") {
			undescribed(t, route.Operation, r)
		}
	}
	check("", "GET", "/healthz", "")
	check("", "GET", "/readyz", "")
	check("viewer", "GET", "/metrics", "")
	check("viewer", "GET", "/admin/openapi.json", "")
	check("viewer", "GET", "/stats/tenants", "")
	check("admin", "POST", "/admin/tenants", `{"id":"initech","quotas":{"memory":"1GiB","classes":{"read":{"ops_per_second":5}}}}`)
	check("admin", "POST", "/admin/tenants", `{"id":"initech"}`)
	check("admin", "POST", "/admin/tenants", `{"id":"x","plan":"y"}`)
	check("viewer", "GET", "/admin/tenants", "")
	check("viewer", "GET", "/admin/tenants/initech", "")
	check("viewer", "GET", "/admin/tenants/nobody", "")
	check("", "GET", "/admin/tenants", "")
	check("admin", "PATCH", "/admin/tenants/initech", `{"databases":3}`, "If-Match", "*")
	check("admin", "PATCH", "/admin/tenants/initech", `{"databases":3}`)
	check("operator", "POST", "/admin/tenants/initech/suspend", "")
	check("operator", "POST", "/admin/tenants/initech/resume", "")
	check("admin", "POST", "/admin/tenants/acme/rotate-key", `{"sha256":"`+hashOf("y")+`"}`)
	check("admin", "DELETE", "/admin/tenants/initech", "", "If-Match", "*")
	check("admin", "POST", "/admin/tenants/nobody/purge", "")
	for _, path := range []string{"/connections", "/slowlog", "/hotkeys", "/usage", "/billing"} {
		check("viewer", "GET", "/admin/tenants/acme"+path, "")
	}
	check("viewer", "GET", "/admin/tenants/acme/usage?format=csv", "")
	for _, path := range []string{"/tenants/acme/usage", "/tenants/acme/billing", "/tenants/acme/dictionaries", "/usage", "/billing", "/admin/plans", "/admin/plans/small", "/admin/cache/stats", "/admin/jobs", "/admin/state/current"} {
		check("viewer", "GET", path, "")
	}
	check("admin", "POST", "/billing/close?from=2026-01&to=2026-02", "")
	check("admin", "POST", "/billing/close", "")
	check("operator", "POST", "/admin/cache/invalidate", `{"tenant":"acme","pattern":"x*"}`)
	check("admin", "POST", "/admin/cache/clear", `{"tenant":"acme"}`)
	check("viewer", "GET", "/admin/jobs/"+w.api.jobs.seen(Principal{})[0].ID, "")
	check("admin", "POST", "/admin/state/rollback", "")
	check("operator", "POST", "/admin/state/reload", "")
	check("operator", "POST", "/admin/state/checkpoint", "")
	check("admin", "POST", "/admin/state/restore", "")
	schemas := w.want(200, "viewer", "GET", "/admin/openapi.json", "").body
	if !strings.Contains(strings.Join(strings.Fields(schemas), ""), `"connections_avg":{"type":"number"}`) {
		t.Error("an average is described as something else than a number")
	}
	for _, r := range w.api.routes {
		if !seen[r.name] && r.name != "getDictionary" { // there is none
			t.Errorf("%s was not tried", r.name)
		}
	}
}

// undescribed finds keys of an answer that the document does not have.
func undescribed(t *testing.T, o *openapi3.Operation, r *reply) {
	t.Helper()
	var answer map[string]any
	unmarshal(t, r.body, &answer)
	for _, status := range []string{"200", "201", "202"} {
		response := o.Responses.Value(status)
		if response == nil || response.Value.Content["application/json"] == nil {
			continue
		}
		schema := response.Value.Content["application/json"].Schema.Value
		for key := range answer {
			if len(schema.Properties) > 0 && schema.Properties[key] == nil {
				t.Errorf("%s: %s is not described", o.OperationID, key)
			}
		}
	}
}

// Every code of an error is explained to operators.
func TestDocumentedProblems(t *testing.T) {
	text, err := os.ReadFile("../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	for code, p := range problems {
		if !strings.Contains(string(text), "`"+code+"`") || !strings.Contains(string(text), strconv.Itoa(p.status)) {
			t.Errorf("docs/admin.md has no %s (%d)", code, p.status)
		}
	}
}
