package admin

import (
	"bufio"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	s := httpServer(w.api)
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
