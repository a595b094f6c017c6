package admin

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"riptide-proxy/config"
)

// reach is of whom a route tells, and so which tokens may use it.
type reach uint8

const (
	// everybody needs no token.
	everybody reach = iota
	// fleet is for tokens that are for all tenants.
	fleet
	// named is about the tenant in the path: a token for one tenant gets no other's.
	named
	// seen tells a token for one tenant of that one only.
	seen
)

var reachNames = map[reach]string{everybody: "everybody", fleet: "fleet", named: "tenant", seen: "visible"}

// route is one thing that can be asked for. The table of them, in routes.go, is what the
// listener serves, what its OpenAPI document lists, and what the tests walk.
type route struct {
	method, path string
	name         string      // in the document
	summary      string      // likewise
	role         config.Role // at least
	reach        reach
	query        []parameter
	body         any    // an example of its type; nil: there is none
	status       int    // when it is done; 0: 200
	answer       any    // an example of its type; nil: none, or not JSON
	media        string // of the answer; empty: JSON
	cond         bool   // takes If-Match
	tagged       bool   // takes If-None-Match
	run          func(a *api, w http.ResponseWriter, c *call) error
}

// parameter is one of a query.
type parameter struct {
	name, about string
	many        bool
}

// call is a request that was let in.
type call struct {
	*http.Request
	route *route
	who   Principal
	cfg   *config.Config // that the proxy runs with

	tenant        string // that it is about
	before, after any    // what it changed
}

// api is the listener's state.
type api struct {
	o       *Options
	gate    *gate
	routes  []*route
	mux     *http.ServeMux
	files   *tenantFiles
	jobs    *jobs
	seen    *seenRequests
	refused refusals
	doc     []byte // of OpenAPI

	metrics http.Handler
	reports chan struct{} // has one in it for each that is being made
}

// handle registers the routes, and answers for whatever is none of them.
func (a *api) handle() {
	methods := map[string][]string{}
	for _, r := range a.routes {
		a.mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, q *http.Request) { a.serve(w, q, r) })
		methods[r.path] = append(methods[r.path], r.method)
		if r.method == http.MethodGet {
			methods[r.path] = append(methods[r.path], http.MethodHead)
		}
	}
	for path, list := range methods {
		slices.Sort(list)
		a.mux.HandleFunc(path, func(w http.ResponseWriter, q *http.Request) {
			p := problem("method-not-allowed", "")
			p.allow = strings.Join(list, ", ")
			a.refuse(w, q, p)
		})
	}
	a.mux.HandleFunc("/", func(w http.ResponseWriter, q *http.Request) { a.refuse(w, q, problem("not-found", "")) })
}

// refuse answers for what is no route, but only those who have a token.
func (a *api) refuse(w http.ResponseWriter, q *http.Request, p *Problem) {
	if who, refused := a.gate.admit(q); refused != nil {
		p = refused
		a.auditRefused(q, Event{Who: who, Remote: q.RemoteAddr, Status: p.Status}, p)
	}
	a.seen.count("", p.Status)
	p.write(w, q)
}

// unread are the statuses of requests whose body was not read to its end.
var unread = map[int]bool{
	http.StatusUnauthorized: true, http.StatusForbidden: true, http.StatusTooManyRequests: true, http.StatusRequestTimeout: true, http.StatusRequestEntityTooLarge: true,
}

// serve lets a request in, runs it and answers if it fails.
func (a *api) serve(w http.ResponseWriter, q *http.Request, r *route) {
	if len(q.TransferEncoding) > 0 {
		w.Header().Set("Connection", "close") // there may have been a Content-Length too: whatever follows could be somebody else's (RFC 9112, 6.1)
	}
	out := &answered{ResponseWriter: w}
	c := &call{Request: q, route: r, cfg: a.o.State.Current().Config, tenant: q.PathValue("id")}
	var p *Problem
	if err := a.run(out, c); err != nil {
		p = problemOf(err)
		if !out.begun {
			if q.ContentLength != 0 && unread[p.Status] {
				out.Header().Set("Connection", "close") // or the server would wait for the body before it answers
			}
			p.write(out, q)
		}
	}
	a.seen.count(r.name, out.status)
	a.audit(c, out.status, p)
}

func (a *api) run(w *answered, c *call) (err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic in the admin listener", "route", c.route.name, "panic", p, "stack", string(debug.Stack()))
			err = problem("internal", "")
		}
	}()
	if c.route.reach == everybody {
		if p := a.gate.limits.byAddress(address(c.RemoteAddr), c.cfg.Admin.RequestsPerSecond); p != nil {
			return p
		}
		return c.route.run(a, w, c)
	}
	who, refused := a.gate.admit(c.Request)
	if c.who = who; refused != nil {
		return refused
	}
	if !who.Role.Includes(c.route.role) {
		return problem("forbidden", "it needs the role "+string(c.route.role))
	}
	if who.Tenant != "" && (c.route.reach == fleet || c.route.reach == named && c.tenant != who.Tenant) {
		return problem("forbidden", "it is a token for one tenant")
	}
	if strings.Contains(c.route.path, "{id}") && !config.ValidTenantID(c.tenant) {
		return noTenant()
	}
	// The server has to know its own writer again, so that it does not wait for the rest of what is too long.
	c.Body = http.MaxBytesReader(w.ResponseWriter, c.Body, int64(c.cfg.Admin.RequestSize))
	if err := c.checkQuery(); err != nil {
		return err
	}
	if c.route.body == nil && c.route.method != http.MethodGet {
		if err := c.decode(&struct{}{}, false); err != nil {
			return err
		}
	}
	return c.route.run(a, w, c)
}

func noTenant() *Problem { return problem("not-found", "there is no such tenant") }

// answered notes what was answered.
type answered struct {
	http.ResponseWriter
	status int
	begun  bool
}

func (w *answered) WriteHeader(status int) {
	if !w.begun {
		w.status, w.begun = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answered) Write(b []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *answered) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// quoted shows what somebody has sent.
func quoted(text string) string {
	const most = 60
	if len(text) > most {
		text = text[:most] + "..."
	}
	b, err := json.Marshal(text)
	if err != nil {
		return "?"
	}
	return string(b)
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := bodyOf(v)
	if err != nil {
		return err
	}
	writeBody(w, status, body)
	return nil
}

// bodyOf is a value as answers have it.
func bodyOf(v any) ([]byte, error) {
	body, err := json.MarshalIndent(v, "", "  ")
	return append(body, '\n'), err
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone away
}
