package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// running is a proxy that only remembers what it was told.
type running struct {
	mu  sync.Mutex
	cfg *config.Config
	err error
	n   int
}

func (r *running) Apply(_ context.Context, cfg *config.Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.cfg = cfg
		r.n++
	}
	return r.err
}

func (r *running) has(tenant string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg.Tenants[tenant] != nil
}

// text is a configuration with tenants.
func text(tenants ...string) string {
	t := "upstream: {addresses: [127.0.0.1:1]}\ntenants_dir: tenants.d\ntenants:\n"
	for _, id := range append([]string{"first"}, tenants...) {
		t += "  " + id + ": " + tenant(id)
	}
	return t
}

func tenant(id string) string {
	return "{users: {default: {sha256: [" + config.HashSecret(id+"-secret") + "]}}}\n"
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start returns a Manager of a configuration in a folder of its own.
func start(t *testing.T) (*Manager, *running, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tenants.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "riptide.yaml")
	write(t, name, text())
	files, cfg, warnings, err := config.ReadFiles(name)
	if err != nil {
		t.Fatal(err)
	}
	p := &running{cfg: cfg}
	return New(p, files, cfg, warnings), p, name
}

func TestReload(t *testing.T) {
	m, p, name := start(t)
	var seen []string
	m.OnApply(func(old, now *config.Config) {
		seen = append(seen, fmt.Sprintf("%d to %d", len(old.Tenants), len(now.Tenants)))
	})
	write(t, name, text("second"))
	if err := m.Reload(t.Context(), "api"); err != nil {
		t.Fatal(err)
	}
	g := m.Current()
	if !p.has("second") || g.Number != 2 || g.Source != "api" || g.Config != p.cfg || m.Count(Applied) != 1 || len(g.Restart) != 0 {
		t.Errorf("%+v", g)
	}
	if len(seen) != 1 || seen[0] != "1 to 2" {
		t.Error(seen)
	}

	// Whatever is wrong, all is as it was.
	write(t, name, text("second")+"nonsense: 1\n")
	err := m.Reload(t.Context(), "signal")
	var problems config.Errors
	if !errors.As(err, &problems) || problems[0].Line != 6 || m.Current() != g || p.n != 1 || m.Count(Failed) != 1 {
		t.Errorf("%v, generation %d", err, m.Current().Number)
	}
	if at, last := m.LastError(); last == nil || at.IsZero() {
		t.Error(last, at)
	}
	write(t, name, text("second", "third"))
	p.err = errors.New("no")
	if err := m.Reload(t.Context(), "signal"); err != p.err || m.Current() != g || len(seen) != 1 {
		t.Error(err, seen)
	}
	p.err = nil
	refuses := true
	m.Add(func(context.Context, *config.Config) (func(), error) {
		if refuses {
			return nil, errors.New("no certificate")
		}
		return nil, nil
	})
	if err := m.Reload(t.Context(), "signal"); err == nil || err.Error() != "no certificate" || m.Current() != g || len(seen) != 1 {
		t.Error(err, seen)
	}
	refuses = false
	if err := m.Reload(t.Context(), "signal"); err != nil || !p.has("third") || m.Current().Number != 3 {
		t.Error(err)
	}
	if _, last := m.LastError(); last != nil {
		t.Error(last)
	}
}

func TestRestart(t *testing.T) {
	m, _, name := start(t)
	write(t, name, "listen: 127.0.0.1:7\nloops: 3\n"+text())
	if err := m.Reload(t.Context(), "api"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(m.Current().Restart, " "); got != "listen loops" {
		t.Error(got)
	}
	write(t, name, text())
	if err := m.Reload(t.Context(), "api"); err != nil || len(m.Current().Restart) != 0 {
		t.Error(err, m.Current().Restart)
	}
}

func TestRollback(t *testing.T) {
	m, p, name := start(t)
	for i := range kept + 2 {
		write(t, name, text(fmt.Sprintf("t%d", i)))
		if err := m.Reload(t.Context(), "api"); err != nil {
			t.Fatal(err)
		}
	}
	history := m.History()
	if len(history) != kept || history[0].Number != 4 || history[kept-1] != m.Current() {
		t.Fatal(len(history), history[0].Number)
	}
	if err := m.Rollback(t.Context(), 3); !errors.Is(err, ErrNoSuch) {
		t.Error(err)
	}
	if err := m.Rollback(t.Context(), 5); err != nil || !p.has("t3") || m.Current().Number != kept+4 || m.Current().Hash != history[1].Hash {
		t.Error(err, m.Current().Number)
	}
	// The files are as they were, which is no reason to take them over again.
	if err := m.reload(t.Context(), "file", false); err != errUnchanged || !p.has("t3") {
		t.Error(err)
	}
}

func TestNoFile(t *testing.T) {
	m := New(new(running), nil, config.Default(), nil)
	if err := m.Reload(t.Context(), "api"); err != ErrNoFile {
		t.Error(err)
	}
	if err := m.Rollback(t.Context(), 1); err != ErrNoFile {
		t.Error(err)
	}
	m.Watch(t.Context())
}

// watched runs Watch for the time of the test.
func watched(t *testing.T, m *Manager) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); m.Watch(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func TestWatch(t *testing.T) {
	t.Parallel()
	m, p, name := start(t)
	watched(t, m)
	time.Sleep(10 * time.Millisecond) // it may have begun to watch, or not: it has to notice either way
	dir := filepath.Dir(name)

	write(t, name, text("written"))
	harness.Eventually(t, "a file is written to", func() bool { return p.has("written") })

	write(t, name+".new", text("renamed"))
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "a file takes its place", func() bool { return p.has("renamed") })

	one := filepath.Join(dir, "tenants.d", "one.yaml")
	write(t, one, tenant("one"))
	harness.Eventually(t, "a tenant's file comes", func() bool { return p.has("one") })
	write(t, one, "{suspended: true, "+tenant("one")[1:])
	harness.Eventually(t, "a tenant's file changes", func() bool {
		x := m.Current().Config.Tenants["one"]
		return x != nil && x.Suspended
	})
	if err := os.Remove(one); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "a tenant's file goes", func() bool { return !p.has("one") })

	failed := m.Count(Failed)
	write(t, name, text("wrong:"))
	harness.Eventually(t, "what is wrong is noticed", func() bool { return m.Count(Failed) == failed+1 })
	if !p.has("renamed") {
		t.Error("and was taken over")
	}
	write(t, name, text("right"))
	harness.Eventually(t, "and what is right again", func() bool { return p.has("right") })
	if n := m.Count(Failed); n != failed+1 {
		t.Errorf("one mistake was told of %d times", n-failed)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the file goes", func() bool { return m.Count(Failed) == failed+2 })
	if !p.has("right") {
		t.Error("and with it the configuration")
	}
	write(t, name, text("back"))
	harness.Eventually(t, "it comes back", func() bool { return p.has("back") })
}

// Kubernetes changes a link to the folder that the link to the file leads through.
func TestWatchLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	version := func(name string, tenants ...string) {
		v := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(v, "tenants.d"), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(v, "riptide.yaml"), text(tenants...))
		if err := os.Symlink(name, filepath.Join(dir, "..data.new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data.new"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..v1", "a")
	for _, link := range []string{"riptide.yaml", "tenants.d"} {
		if err := os.Symlink(filepath.Join("..data", link), filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	files, cfg, warnings, err := config.ReadFiles(filepath.Join(dir, "riptide.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p := &running{cfg: cfg}
	m := New(p, files, cfg, warnings)
	watched(t, m)
	for i := range 3 {
		id := fmt.Sprintf("b%d", i)
		version("..v2"+id, id)
		harness.Eventually(t, "the link leads elsewhere", func() bool { return p.has(id) })
	}
}

// A file that is written bit by bit is not taken over before it is whole, though what there is of it could be.
func TestWatchPatience(t *testing.T) {
	t.Parallel()
	m, p, name := start(t)
	watched(t, m)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	whole := text("a", "b", "c")
	for i, line := range strings.SplitAfter(whole, "\n") {
		fmt.Fprint(f, line)
		if i > 0 {
			time.Sleep(settleTime / 4)
		}
	}
	harness.Eventually(t, "it is whole", func() bool { return p.has("c") })
	if m.Current().Number != 2 || m.Count(Failed) != 0 {
		t.Error(m.Current().Number, m.Count(Failed))
	}
}
