package admin

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/control"
)

// Which token comes close, or that none does, does not show in what is compared: every one is, as a whole, by a
// comparison that takes the same time whatever differs. What is compared is a hash, so that nobody can choose how much of it is right.
func TestTokenTiming(t *testing.T) {
	var list []config.Token
	for i := range 50 {
		list = append(list, config.Token{Name: fmt.Sprint(i), Role: config.Viewer, SHA256: hashOf(fmt.Sprint("token", i))})
	}
	known := newTokens(&config.Config{Admin: config.Admin{Tokens: list}})
	compared, lengths := 0, map[int]bool{}
	equal = func(a, b []byte) int {
		compared++
		lengths[len(a)], lengths[len(b)] = true, true
		return subtle.ConstantTimeCompare(a, b)
	}
	defer func() { equal = subtle.ConstantTimeCompare }()
	for text, want := range map[string]string{"token0": "0", "token25": "25", "token49": "49", "token": "", "": "", "token49 ": "", "TOKEN49": "", strings.Repeat("x", 10000): ""} {
		compared = 0
		if who, ok := known.find(text); who.Name != want || ok != (want != "") {
			t.Errorf("%q is %+v", text, who)
		}
		if compared != len(list) || len(lengths) != 1 || !lengths[32] {
			t.Errorf("%.10q: %d comparisons of %v bytes", text, compared, lengths)
		}
	}
}

// What is no token, or an odd way to give one, is refused.
func TestAuthorization(t *testing.T) {
	w := newWorld(t, "")
	for header, want := range map[string]int{
		"Bearer viewer-token": 200, "bearer viewer-token": 200, "BEARER  viewer-token ": 200,
		"": 401, "Bearer": 401, "Bearer ": 401, "viewer-token": 401, "Basic viewer-token": 401, "Bearer viewer-token,admin-token": 401, "Bearer \"viewer-token\"": 401,
		"Bearer " + hashOf("viewer-token"): 401, "Bearer " + strings.Repeat("x", 30000): 401, "Bearer viewer-token\x00": 400,
	} {
		status, _ := raw(t, w.url, "GET /admin/tenants HTTP/1.1\r\nHost: x\r\nAuthorization: "+header+"\r\n\r\n", "")
		if status != want {
			t.Errorf("%.40q: %d, want %d", header, status, want)
		}
	}
	two := "GET /admin/tenants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer viewer-token\r\nAuthorization: Bearer admin-token\r\n\r\n"
	if status, _ := raw(t, w.url, two, ""); status != 401 {
		t.Errorf("two tokens: %d", status)
	}
	r := w.want(401, "", "GET", "/admin/nosuch", "") // what there is, is nobody's business
	if r.header.Get("WWW-Authenticate") == "" || r.problem().Type != "urn:riptide:problem:unauthorized" {
		t.Errorf("%v %s", r.header, r.body)
	}
	w.want(401, "", "PUT", "/admin/tenants", "")
	w.want(404, "viewer", "GET", "/admin/nosuch", "")
	if r := w.want(405, "viewer", "PUT", "/admin/tenants", ""); r.header.Get("Allow") != "GET, HEAD, POST" {
		t.Error(r.header)
	}
	// In the address it is not looked for.
	w.want(401, "", "GET", "/admin/tenants?token=viewer-token&access_token=viewer-token", "")
}

// A token that was taken out of the configuration, or has another role now, is so at once.
func TestTokensChange(t *testing.T) {
	w := newWorld(t, "")
	w.want(200, "operator", "POST", "/admin/state/reload", "")
	w.file("riptide.yaml", strings.Replace(w.read("riptide.yaml"), "{name: operator, role: operator", "{name: operator, role: viewer", 1))
	w.want(200, "operator", "POST", "/admin/state/reload", "")
	w.want(403, "operator", "POST", "/admin/state/reload", "")
	w.file("riptide.yaml", strings.Replace(w.read("riptide.yaml"), hashOf("viewer-token"), hashOf("another"), 1))
	if err := w.manager.Reload(t.Context(), "file"); err != nil {
		t.Fatal(err)
	}
	w.want(401, "viewer", "GET", "/admin/tenants", "")
}

// Without tokens the same machine may read, and nobody else may do anything.
func TestNoTokens(t *testing.T) {
	a := newAPI(&Options{Proxy: sample(), State: control.New(nil, nil, config.Default(), nil)})
	ask := func(method, path, from, host string, header ...string) int {
		r := httptest.NewRequest(method, path, nil)
		r.RemoteAddr, r.Host = from, host
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		return w.Code
	}
	for _, c := range []struct {
		method, path, from, host string
		header                   []string
		want                     int
	}{
		{"GET", "/metrics", "127.0.0.1:5000", "127.0.0.1:9380", nil, 200},
		{"GET", "/metrics", "[::1]:5000", "[::1]:9380", nil, 200},
		{"GET", "/metrics", "[::ffff:127.0.0.1]:5000", "localhost", nil, 200},
		{"GET", "/admin/tenants", "127.0.0.1:5000", "localhost:9380", nil, 200},
		{"POST", "/admin/state/reload", "127.0.0.1:5000", "localhost:9380", nil, 403},
		{"POST", "/admin/tenants", "127.0.0.1:5000", "localhost:9380", nil, 403},
		{"GET", "/metrics", "10.0.0.1:5000", "localhost:9380", nil, 401},
		{"GET", "/metrics", "10.0.0.1:5000", "10.0.0.2:9380", nil, 401},
		{"GET", "/healthz", "10.0.0.1:5000", "10.0.0.2:9380", nil, 200},
		{"GET", "/readyz", "10.0.0.1:5000", "10.0.0.2:9380", nil, 200},
		// A name of a web page's that leads here, and a proxy in between.
		{"GET", "/metrics", "127.0.0.1:5000", "evil.example:9380", nil, 401},
		{"GET", "/metrics", "127.0.0.1:5000", "localhost:9380", []string{"Origin", "http://evil.example"}, 401},
		{"GET", "/metrics", "127.0.0.1:5000", "localhost:9380", []string{"X-Forwarded-For", "127.0.0.1"}, 401},
		{"GET", "/metrics", "127.0.0.1:5000", "localhost:9380", []string{"Forwarded", "for=10.0.0.1"}, 401},
		{"GET", "/metrics", "127.0.0.1:5000", "localhost:9380", []string{"Authorization", "Bearer wrong"}, 401},
		{"GET", "/metrics", "10.0.0.1:5000", "localhost:9380", []string{"X-Forwarded-For", "127.0.0.1"}, 401},
	} {
		if got := ask(c.method, c.path, c.from, c.host, c.header...); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// Who asks too often waits; others do not.
func TestRateLimit(t *testing.T) {
	w := newWorld(t, "")
	w.file("riptide.yaml", strings.Replace(w.read("riptide.yaml"), "requests_per_second: 100000", "requests_per_second: 5", 1))
	w.want(200, "operator", "POST", "/admin/state/reload", "")
	count := func(who, path string) (n int) {
		for range 30 {
			if r := w.do(who, "GET", path, ""); r.status == 429 {
				if r.header.Get("Retry-After") != "1" || r.problem().Title != "Too many requests" {
					t.Errorf("%v %s", r.header, r.body)
				}
				n++
			}
		}
		return n
	}
	if n := count("viewer", "/admin/plans"); n < 5 {
		t.Errorf("%d of 30 were refused", n)
	}
	w.want(200, "admin", "GET", "/admin/plans", "") // somebody else
	if n := count("wrong", "/admin/plans"); n < 5 {
		t.Errorf("%d of 30 with a wrong token were refused", n)
	}
	if n := count("", "/healthz"); n < 20 {
		t.Errorf("%d of 30 strangers were refused", n)
	}
	// Whoever guesses from the same address does not lock out who has a token.
	w.want(200, "operator", "GET", "/admin/plans", "")
}

// Signed tokens are looked at by somebody else, and not for strangers without end.
func TestSigned(t *testing.T) {
	w := newWorld(t, "")
	s := &signed{}
	w.api.gate.signed = s
	w.want(200, "signed", "POST", "/admin/state/reload", "")
	w.want(403, "signed", "POST", "/admin/tenants", "")
	w.want(200, "signed-acme", "GET", "/admin/tenants/acme", "")
	w.want(403, "signed-acme", "GET", "/admin/tenants/globex", "")
	w.want(401, "norole", "GET", "/admin/tenants", "")
	w.want(200, "viewer", "GET", "/admin/tenants", "")
	for range 3 * triesAtOnce {
		w.do("guess", "GET", "/admin/tenants", "")
	}
	if n := s.looked.Load(); n > 2*triesAtOnce {
		t.Errorf("%d were looked at", n)
	}
	w.want(200, "viewer", "GET", "/admin/tenants", "")
	// Nor are those with signed tokens locked out that were good before, who may ask as often as anybody with a token.
	for range 2 * triesAtOnce {
		w.want(200, "signed", "GET", "/admin/plans", "")
	}
}

// signed knows some tokens.
type signed struct{ looked atomic.Int64 }

func (*signed) Operators() bool { return true }

func (s *signed) Operator(_ context.Context, token string) (string, config.Role, string, error) {
	s.looked.Add(1)
	switch token {
	case "signed-token":
		return "jane", config.Operator, "", nil
	case "signed-acme-token":
		return "joe", config.Viewer, "acme", nil
	case "norole-token":
		return "nobody", "", "", nil
	}
	return "", "", "", errors.New("no such token")
}
