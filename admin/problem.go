package admin

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"riptide-proxy/config"
)

// Problem is an error as RFC 9457 describes it: what every request is answered
// that is not done.
type Problem struct {
	Type     string  `json:"type"`             // urn:riptide:problem:<code>
	Title    string  `json:"title"`            // what the type means, always the same
	Status   int     `json:"status"`           // of HTTP
	Detail   string  `json:"detail,omitempty"` // what it is about this time
	Instance string  `json:"instance"`         // what was asked for: its path
	Errors   []Fault `json:"errors,omitempty"` // of a configuration

	retry time.Duration // when to try again; 0: not said
	allow string        // methods that there are
}

// Fault is something wrong at one place of a configuration.
type Fault struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Path string `json:"path,omitempty"` // the key, as in quotas.memory
	Text string `json:"text"`
}

func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Title + ": " + p.Detail
	}
	return p.Title
}

// The types of problems, by code.
var problems = map[string]struct {
	status int
	title  string
}{
	"unauthorized":          {http.StatusUnauthorized, "A valid token is needed"},
	"forbidden":             {http.StatusForbidden, "The token does not allow this"},
	"not-found":             {http.StatusNotFound, "There is no such thing"},
	"method-not-allowed":    {http.StatusMethodNotAllowed, "There is no such method here"},
	"bad-request":           {http.StatusBadRequest, "The request can not be understood"},
	"bad-media-type":        {http.StatusUnsupportedMediaType, "The body is not JSON"},
	"too-large":             {http.StatusRequestEntityTooLarge, "The request is too long"},
	"too-slow":              {http.StatusRequestTimeout, "The request did not arrive in time"},
	"rate-limited":          {http.StatusTooManyRequests, "Too many requests"},
	"busy":                  {http.StatusTooManyRequests, "Too much is under way"},
	"invalid":               {http.StatusUnprocessableEntity, "The configuration would not be valid"},
	"conflict":              {http.StatusConflict, "The present state does not allow this"},
	"exists":                {http.StatusConflict, "It exists already"},
	"changed":               {http.StatusPreconditionFailed, "It has changed meanwhile"},
	"precondition-required": {http.StatusPreconditionRequired, "If-Match is needed"},
	"upstream":              {http.StatusBadGateway, "The upstream can not be asked"},
	"unavailable":           {http.StatusServiceUnavailable, "The proxy can not answer now"},
	"storage":               {http.StatusInsufficientStorage, "The tenants' folder can not be written"},
	"internal":              {http.StatusInternalServerError, "Something went wrong in the proxy"},
}

func typeOf(code string) string { return "urn:riptide:problem:" + code }

// problem makes one of a known type.
func problem(code, detail string) *Problem {
	p := problems[code]
	return &Problem{Type: typeOf(code), Title: p.title, Status: p.status, Detail: detail}
}

// faults are the problems of a configuration.
func faults(errs []config.Problem) []Fault {
	all := make([]Fault, len(errs))
	for i, e := range errs {
		all[i] = Fault{e.File, e.Line, e.Path, e.Text}
	}
	return all
}

// problemOf is what is answered for an error. What is not a Problem is the
// proxy's own fault and goes to the log instead of to whoever asked.
func problemOf(err error) *Problem {
	var p *Problem
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &tooLong):
		return problem("too-large", "the body may have "+strconv.FormatInt(tooLong.Limit, 10)+" bytes")
	}
	slog.Error("a request to the admin listener failed", "error", err)
	return problem("internal", "")
}

// write answers with the problem.
func (p *Problem) write(w http.ResponseWriter, q *http.Request) {
	said := *p
	said.Instance = instanceOf(q)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Del("ETag")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="riptide-proxy"`)
	}
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retry+time.Second-1)/time.Second)))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(&said) // a client that has gone away
}

// longestInstance bounds what is sent back of a path, in bytes.
const longestInstance = 256

func instanceOf(q *http.Request) string {
	path := q.URL.EscapedPath()
	return path[:min(len(path), longestInstance)]
}
