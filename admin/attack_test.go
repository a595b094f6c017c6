package admin

import (
	"bufio"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/control"
	"riptide-proxy/tests/harness"
)

// Whatever stands where a tenant's id belongs, nothing outside the folder is read or written.
func TestTraversal(t *testing.T) {
	w := newWorld(t, "")
	w.file("outside.yaml", "databases: 3\n")
	before := tree(t, w.dir)
	ids := []string{
		"../outside", "..%2foutside", "..%2Foutside", "%2e%2e%2foutside", "..%5coutside", "....//outside", "%252e%252e%252foutside", ".", "..", "%2e", "%00",
		"acme%00.yaml", "acme.yaml", "acme%2f..%2f..%2foutside", "./acme", "%2fetc%2fpasswd", "ACME", "acme%20", "%ff", "%c0%ae%c0%ae%c0%afoutside",
		strings.Repeat("a", 64), strings.Repeat("a", 5000), "default", "-a", "_a", "a.b", "a:b", "{acme}", "*", "acme%0a", "acme%0d%0aX-Evil:1", "~root", "con.", "acme;x", "acme%3Fx", "😀",
	}
	for _, id := range ids {
		for _, r := range w.api.routes {
			if !strings.Contains(r.path, "{id}") || strings.HasPrefix(r.path, "/tenants/") {
				continue
			}
			path := strings.Replace(r.path, "{id}", id, 1)
			req := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin-token\r\nIf-Match: *\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", r.method, path)
			status, _ := raw(t, w.url, req, "")
			// Paths that lead elsewhere lead to a page that there may be; nothing is done there.
			if status/100 == 2 && r.method != "GET" || status >= 500 || status == 0 {
				t.Errorf("%s %.100s: %d", r.method, path, status)
			}
		}
		// As text in JSON.
		for _, text := range []string{id, strings.NewReplacer("%2f", "/", "%2e", ".", "%00", `\u0000`).Replace(id)} {
			if r := w.do("admin", "POST", "/admin/tenants", `{"id":"`+text+`"}`); r.status != 422 && r.status != 400 {
				t.Errorf("%q: %d %s", text, r.status, r.body)
			}
		}
	}
	if after := tree(t, w.dir); after != before {
		t.Errorf("%s\nwas %s", after, before)
	}
}

// tree is all files of a folder, with what is in them.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		fmt.Fprintf(&b, "%s: %q\n", path, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// raw sends bytes, then slowly a rest a byte at a time, and returns the status and how long it took.
func raw(t *testing.T, url, request, rest string) (status int, took time.Duration) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	begun := time.Now()
	if _, err := c.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range len(rest) {
			if _, err := c.Write([]byte(rest[i : i+1])); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	took = time.Since(begun)
	c.Close()
	<-done
	if err != nil {
		return 0, took
	}
	resp.Body.Close()
	return resp.StatusCode, took
}

// Links in the folder lead nowhere outside it.
func TestLinks(t *testing.T) {
	w := newWorld(t, "")
	w.file("victim.yaml", "databases: 3\n")
	outside := filepath.Join(w.dir, "victim.yaml")
	if err := os.Remove(filepath.Join(w.dir, "tenants.d/globex.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(w.dir, "tenants.d/globex.yaml")); err != nil {
		t.Fatal(err)
	}
	w.want(200, "operator", "POST", "/admin/state/reload", "")
	w.want(409, "admin", "PATCH", "/admin/tenants/globex", `{"databases":4}`, "If-Match", "*")
	if w.read("victim.yaml") != "databases: 3\n" {
		t.Error(w.read("victim.yaml"))
	}
	w.want(409, "operator", "POST", "/admin/tenants/globex/suspend", "")
	w.want(200, "viewer", "GET", "/admin/tenants/globex", "")
}

func TestBodies(t *testing.T) {
	w := newWorld(t, "")
	w.file("riptide.yaml", strings.Replace(w.read("riptide.yaml"), "requests_per_second", "request_size: 4KiB\n  requests_per_second", 1))
	w.want(200, "operator", "POST", "/admin/state/reload", "")
	long := `{"id":"initech","tags":{"a":"` + strings.Repeat("x", 5000) + `"}}`
	if p := w.want(413, "admin", "POST", "/admin/tenants", long).problem(); p.Detail != "the body may have 4096 bytes" {
		t.Errorf("%+v", p)
	}
	w.want(413, "admin", "POST", "/admin/tenants/acme/rotate-key", `{"user":"`+strings.Repeat("x", 5000)+`"}`)
	// Of unknown length.
	head := "POST /admin/tenants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s-token\r\nContent-Type: application/json\r\n"
	chunk := "1000\r\n" + strings.Repeat(" ", 4096) + "\r\n"
	if status, _ := raw(t, w.url, fmt.Sprintf(head, "admin")+"Transfer-Encoding: chunked\r\n\r\n"+strings.Repeat(chunk, 3), ""); status != 413 {
		t.Errorf("chunks: %d", status)
	}
	// Who has no token need not send the body to be told so, however much it would be.
	if status, took := raw(t, w.url, fmt.Sprintf(head, "nobody")+"Content-Length: 1000000000\r\n\r\n", ""); status != 401 || took > 10*time.Second {
		t.Errorf("an announced gigabyte: %d after %v", status, took)
	}
	w.want(415, "admin", "POST", "/admin/tenants", `{"id":"x"}`, "Content-Type", "text/plain")
	w.want(415, "admin", "POST", "/admin/tenants", `id=x`, "Content-Type", "application/x-www-form-urlencoded")
	if status, _ := raw(t, w.url, "GET /admin/tenants HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 2<<20)+"\r\n\r\n", ""); status != 431 && status != 0 {
		t.Errorf("a header of 2 MiB: %d", status)
	}
}

// A body that does not come is not waited for longer than the listener's time for reading; neither is a
// header. The times here are a twentieth of the real ones.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := httpServer(w.api.mux)
	s.ReadHeaderTimeout, s.ReadTimeout = s.ReadHeaderTimeout/20, s.ReadTimeout/20
	go s.Serve(ln)
	defer s.Close()
	slow := ln.Addr().String()
	head := "POST /admin/tenants HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin-token\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n"
	if status, _ := raw(t, slow, head, strings.Repeat(" ", 500)); status != 408 {
		t.Errorf("a body a byte at a time: %d", status)
	}
	if status, _ := raw(t, slow, "GET /healthz HTTP/1.1\r\nX: ", strings.Repeat("x", 500)); status != 0 && status != 408 {
		t.Errorf("a header a byte at a time: %d", status)
	}
	if status, _ := raw(t, slow, head[:len(head)-20]+"\r\n\r\n", ""); status == 0 {
		t.Error("no answer")
	}
	// Nobody else has waited for them.
	if status, _ := raw(t, slow, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", ""); status != 200 {
		t.Errorf("healthz: %d", status)
	}
}

// Connections that do nothing are bounded.
func TestTooManyConnections(t *testing.T) {
	w := newWorld(t, "")
	s, err := Start("127.0.0.1:0", *w.api.o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range mostConnections {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	over := s.Addr()
	harness.Eventually(w.t, "a further one is closed", func() bool {
		status, _ := raw(t, over, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "")
		return status == 0
	})
	for _, c := range open[:10] {
		c.Close()
	}
	harness.Eventually(w.t, "there is room again", func() bool {
		status, _ := raw(t, over, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "")
		return status == 200
	})
}

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
		a.mux.ServeHTTP(w, r)
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

func FuzzTree(f *testing.F) {
	for _, text := range []string{`{"id":"a","tags":{"a":"${B}"}}`, `{"a":[1,2.5,true,null,"x"]}`, `{"a":"- b: &c\n"}`, `{"on":"no","~":"*x","a b":"#"}`, `{"a":"\r\n\t\u2028"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := treeOf(body)
		if err != nil {
			return
		}
		written, err := text(n)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseTree(written)
		if err != nil {
			t.Fatalf("%q became %q: %v", body, written, err)
		}
		if a, b := saying(n), saying(again); a != b {
			t.Fatalf("%q became %q: %s, %s", body, written, a, b)
		}
	})
}
