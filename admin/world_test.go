package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/control"
	"riptide-proxy/proxy"
)

// applier is a proxy that runs with anything, unless it is told not to.
type applier struct {
	mu  sync.Mutex
	err error
}

func (a *applier) Apply(context.Context, *config.Config) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// world is a listener with a configuration of its own.
type world struct {
	t       *testing.T
	dir     string
	proxy   *stub
	applier *applier
	manager *control.Manager
	api     *api
	url     string

	mu     sync.Mutex
	events []Event
}

// hashOf is what configurations have for a secret.
func hashOf(secret string) string { return config.HashSecret(secret) }

// principals are tokens of the world by name; the secret is the name with -token behind it.
const principals = `
    - {name: viewer, role: viewer, sha256: %s}
    - {name: operator, role: operator, sha256: %s}
    - {name: admin, role: admin, sha256: %s}
    - {name: acme-viewer, role: viewer, tenant: acme, sha256: %s}
    - {name: acme-operator, role: operator, tenant: acme, sha256: %s}
    - {name: acme-admin, role: admin, tenant: acme, sha256: %s}
    - {name: gone-admin, role: admin, tenant: gone, sha256: %s}
`

var names = []any{"viewer", "operator", "admin", "acme-viewer", "acme-operator", "acme-admin", "gone-admin"}

func newWorld(t *testing.T, more string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), applier: &applier{}}
	w.proxy = &stub{ready: true, stats: &proxy.Stats{Tenants: map[string]*proxy.TenantStats{"acme": {Hits: 3, Misses: 1}, "globex": {Hits: 1}}}}
	hashes := make([]any, len(names))
	for i, n := range names {
		hashes[i] = hashOf(n.(string) + "-token")
	}
	w.file("riptide.yaml", "upstream: {addresses: [127.0.0.1:6379]}\nadmin:\n  listen: 127.0.0.1:9380\n  requests_per_second: 100000\n  tokens:"+
		fmt.Sprintf(principals, hashes...)+"plans:\n  small: {memory: 1MiB, ops_per_second: 10}\ntenants_dir: tenants.d\ntenants:\n  static: {users: {default: {sha256: ["+hashOf("static")+"]}}}\n"+more)
	if err := os.Mkdir(filepath.Join(w.dir, "tenants.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.file("tenants.d/acme.yaml", "# the first one\nplan: small # for now\nusers:\n  default: {sha256: ["+hashOf("acme")+"]}\n  people: {argon2id: [\""+phc+"\"]}\n")
	w.file("tenants.d/globex.yaml", "users: {default: {sha256: ["+hashOf("globex")+"]}}\ntags: {owner: hidden-owner}\n")
	files, cfg, warnings, err := config.ReadFiles(filepath.Join(w.dir, "riptide.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w.manager = control.New(w.applier, files, cfg, warnings)
	o := Options{
		Proxy: w.proxy, State: w.manager, File: filepath.Join(w.dir, "riptide.yaml"), Usage: &usages{}, Dictionaries: dicts{"acme": nil}, Checkpoints: &checkpoints{},
		Audit: func(e Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	}
	w.api = newAPI(&o)
	server := httptest.NewServer(w.api)
	w.url = server.URL
	t.Cleanup(func() {
		server.Close()
		w.api.jobs.close()
	})
	return w
}

const phc = "$argon2id$v=19$m=19456,t=2,p=1$4E00Wa+4ss0npLgbjFMJoQ$rskJLqor8p9kL3U1uimg8NeBc4fXeDDQkmJsgzBqUY8"

// checkpoints are those that a test has.
type checkpoints struct{}

func (checkpoints) Save(context.Context) (Checkpoint, error) { return Checkpoint{Number: 8}, nil }

func (checkpoints) Restore(_ context.Context, n uint64) (Checkpoint, error) {
	if n > 8 {
		return Checkpoint{}, ErrNoCheckpoint
	}
	return Checkpoint{Number: n}, nil
}

func (checkpoints) List() ([]Checkpoint, error) { return []Checkpoint{{Number: 8}}, nil }

func (w *world) file(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		return ""
	}
	return string(b)
}

// reply is what was answered.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r *reply) problem() (p Problem) {
	_ = json.Unmarshal([]byte(r.body), &p)
	return p
}

// do asks as somebody; "" is nobody. header is of names and values in turn.
func (w *world) do(who, method, path, body string, header ...string) *reply {
	w.t.Helper()
	r, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who+"-token")
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, resp.Body); err != nil {
		w.t.Fatal(err)
	}
	return &reply{resp.StatusCode, resp.Header, b.String()}
}

// want asks and expects a status.
func (w *world) want(status int, who, method, path, body string, header ...string) *reply {
	w.t.Helper()
	r := w.do(who, method, path, body, header...)
	if r.status != status {
		w.t.Fatalf("%s %s %s: %d %s, want %d", who, method, path, r.status, r.body, status)
	}
	return r
}

func unmarshal(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}
