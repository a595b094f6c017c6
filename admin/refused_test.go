package admin

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// told are the events so far, and how many requests each kind of them is about.
func (w *world) told() (events []Event, counts map[string]int) {
	w.api.refused.flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	counts = make(map[string]int)
	for _, e := range w.events {
		counts[fmt.Sprintf("%s %d %s", e.Who.Name, e.Status, e.Action)] += max(1, e.Count)
	}
	return w.events, counts
}

// Requests that are refused are told of, all of them, in few events; whoever tries many things does not have more.
func TestRefusalsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	const n = 100
	for i := range n {
		w.want(401, "wrong", "GET", "/admin/plans", "")
		w.want(401, "", "POST", fmt.Sprintf("/admin/tenants/%s/suspend", strings.Repeat("x", i)), "")
		w.want(401, "wrong", "GET", fmt.Sprint("/nosuch/", i), "")
		w.want(403, "viewer", "POST", "/admin/state/reload", "")
		w.want(403, "acme-viewer", "GET", "/admin/plans", "")
		w.want(403, "acme-viewer", "GET", "/usage?tenant=globex", "")
	}
	w.file("riptide.yaml", strings.Replace(w.read("riptide.yaml"), "requests_per_second: 100000", "requests_per_second: 1", 1))
	w.want(200, "operator", "POST", "/admin/state/reload", "")
	limited := 0
	for range n {
		if w.do("admin", "GET", "/admin/plans", "").status == http.StatusTooManyRequests {
			limited++
		}
	}
	events, counts := w.told()
	strangers := 0
	for what, n := range counts {
		if strings.HasPrefix(what, " 401 ") {
			strangers += n
		}
	}
	if strangers != 3*n {
		t.Errorf("%d of %d with no good token: %v", strangers, 3*n, counts)
	}
	for want, n := range map[string]int{"viewer 403 reloadState": n, "acme-viewer 403 listPlans": n, "acme-viewer 403 usage": n, "admin 429 listPlans": limited} {
		if counts[want] != n {
			t.Errorf("%s: %d, want %d: %v", want, counts[want], n, counts)
		}
	}
	if len(events) > 100 {
		t.Errorf("%d events", len(events))
	}
	for _, e := range events {
		if e.Status >= 400 && (e.Reason == "" || !strings.HasPrefix(e.Remote, "127.0.0.1") || strings.Contains(e.Tenant, "xxx")) {
			t.Errorf("%+v", e)
		}
	}
}

// What is counted is told a second later, without anybody asking.
func TestRefusalsAreToldInTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for range 5 {
		w.want(403, "viewer", "POST", "/admin/state/reload", "")
	}
	harness.Eventually(t, "the others are told", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		sum := 0
		for _, e := range w.events {
			sum += max(1, e.Count)
		}
		return sum == 5
	})
}

// So are connections that are too many.
func TestTooManyConnectionsAreTold(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "")
	b := bounded(ln, w.api.tooMany)
	b.open.Store(mostConnections)
	go b.Accept()
	for range 3 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("it is served")
		}
		c.Close()
	}
	ln.Close()
	if _, counts := w.told(); counts[" 503 connect"]+counts[" 503 "] != 3 {
		t.Errorf("%v", counts)
	}
}
