package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/control"
	"riptide-proxy/proxy"
)

// stub is a proxy that tells what a test says.
type stub struct {
	ready bool
	stats *proxy.Stats
	err   error
	swept sweeps
}

func (s *stub) Ready() bool { return s.ready }

func (s *stub) Alive(context.Context) error { return s.err }

func (s *stub) Stats(ctx context.Context) (*proxy.Stats, error) { return s.stats, s.err }

// get asks a handler as an HTTP client would.
func get(t *testing.T, p Proxy, method, path string) (status int, body string, header http.Header) {
	t.Helper()
	w := locally(Options{Proxy: p}, method, path)
	return w.Code, w.Body.String(), w.Result().Header
}

// locally asks as somebody on the same machine would, where there are no tokens.
func locally(o Options, method, path string) *httptest.ResponseRecorder {
	if o.State == nil {
		o.State = control.New(nil, nil, config.Default(), nil)
	}
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:40000", "localhost:9380"
	w := httptest.NewRecorder()
	newAPI(&o).mux.ServeHTTP(w, r)
	return w
}

// titled is whether a body is a problem with that title.
func titled(body, title string) bool {
	var p Problem
	return json.Unmarshal([]byte(body), &p) == nil && p.Title == title
}

func TestHandler(t *testing.T) {
	up := &stub{ready: true, stats: &proxy.Stats{}}
	noUpstream := &stub{stats: &proxy.Stats{}}
	stuck := &stub{ready: true, err: context.DeadlineExceeded}
	for _, c := range []struct {
		name, method, path string
		proxy              Proxy
		status             int
		body               string
	}{
		{"alive", "GET", "/healthz", up, 200, "ok\n"},
		// Restarting the proxy would not bring the upstream back.
		{"alive without an upstream", "GET", "/healthz", noUpstream, 200, "ok\n"},
		{"a loop hangs", "GET", "/healthz", stuck, 503, "an event loop does not answer\n"},
		{"ready", "GET", "/readyz", up, 200, "ok\n"},
		{"not ready", "GET", "/readyz", noUpstream, 503, "the upstream does not answer\n"},
		{"HEAD", "HEAD", "/healthz", up, 200, ""},
		{"POST healthz", "POST", "/healthz", up, 405, "There is no such method here"},
		{"PUT readyz", "PUT", "/readyz", up, 405, "There is no such method here"},
		{"POST metrics", "POST", "/metrics", up, 405, "There is no such method here"},
		{"DELETE metrics", "DELETE", "/metrics", up, 405, "There is no such method here"},
		{"root", "GET", "/", up, 404, "There is no such thing"},
		{"below", "GET", "/healthz/x", up, 404, "There is no such thing"},
		{"debug", "GET", "/debug/pprof/", up, 404, "There is no such thing"},
	} {
		status, body, header := get(t, c.proxy, c.method, c.path)
		if status != c.status || c.method != "HEAD" && body != c.body && !titled(body, c.body) {
			t.Errorf("%s: %d %q, want %d %q", c.name, status, body, c.status, c.body)
		}
		if allow := header.Get("Allow"); status == 405 && allow != "GET, HEAD" {
			t.Errorf("%s: Allow: %q", c.name, allow)
		}
	}
}

// A scrape that can not have the numbers fails: half of them would look like a
// proxy that has lost its traffic.
func TestMetricsFailWithoutStats(t *testing.T) {
	status, body, _ := get(t, &stub{err: errors.New("no answer")}, "GET", "/metrics")
	if status != 500 || !strings.Contains(body, "no answer") {
		t.Errorf("%d %q", status, body)
	}
}

func TestStart(t *testing.T) {
	s, err := Start("127.0.0.1:0", Options{Proxy: &stub{ready: true, stats: &proxy.Stats{}}, State: control.New(nil, nil, config.Default(), nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client := &http.Client{Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ok\n", "/metrics": "riptide_upstream_up 0\n"} {
		r, err := client.Get("http://" + s.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != 200 || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d, %v", path, r.StatusCode, err)
		}
	}
	if again, err := Start(s.Addr(), Options{Proxy: &stub{}}); err == nil || !strings.Contains(err.Error(), "admin.listen: ") || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("the address is in use: %v, %v", again, err)
	}
	s.Close()
	if c, err := net.Dial("tcp", s.Addr()); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}

// Without an address there is no listener, and nothing to close.
func TestStartWithoutAnAddress(t *testing.T) {
	s, err := Start("", Options{Proxy: &stub{}})
	if err != nil || s.Addr() != "" {
		t.Errorf("%q, %v", s.Addr(), err)
	}
	s.Close()
}
