package control

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"riptide-proxy/config"
)

// edited is a Manager of a folder with two tenants, and what writes a file of it.
func edited(t *testing.T) (m *Manager, p *running, write func(name, text string)) {
	t.Helper()
	dir := t.TempDir()
	write = func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "t.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("riptide.yaml", "upstream: {addresses: [127.0.0.1:6379]}\ntenants_dir: t.d\n")
	write("t.d/one.yaml", "databases: 1\n")
	write("t.d/two.yaml", "databases: 2\n")
	files, cfg, warnings, err := config.ReadFiles(filepath.Join(dir, "riptide.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p = &running{}
	return New(p, files, cfg, warnings), p, write
}

// An edit is taken over alone; what else has changed waits for whoever looks at the files.
func TestEdit(t *testing.T) {
	t.Parallel()
	m, _, write := edited(t)
	write("t.d/two.yaml", "databases: 20\n")
	write("t.d/one.yaml", "databases: 10\n")
	if err := m.Edit(t.Context(), "api", "one", []byte("databases: 10\n")); err != nil {
		t.Fatal(err)
	}
	cfg := m.Current().Config
	if cfg.Tenants["one"].Databases != 10 || cfg.Tenants["two"].Databases != 2 {
		t.Errorf("%+v", cfg.Tenants)
	}
	if err := m.reload(t.Context(), "file", false); err != nil {
		t.Fatal(err)
	}
	if cfg := m.Current().Config; cfg.Tenants["one"].Databases != 10 || cfg.Tenants["two"].Databases != 20 {
		t.Errorf("%+v", cfg.Tenants)
	}
	if err := m.Edit(t.Context(), "api", "one", nil); err != nil || m.Current().Config.Tenants["one"] != nil {
		t.Error(err)
	}
	write("t.d/three.yaml", "{}\n")
	if err := m.Edit(t.Context(), "api", "three", []byte("{}\n")); err != nil || m.Current().Config.Tenants["three"] == nil {
		t.Error(err)
	}
}

// After an edit the files are what is running, and nobody takes them over again.
func TestEditIsSeen(t *testing.T) {
	t.Parallel()
	m, _, write := edited(t)
	write("t.d/one.yaml", "databases: 10\n")
	if err := m.Edit(t.Context(), "api", "one", []byte("databases: 10\n")); err != nil {
		t.Fatal(err)
	}
	if err := m.reload(t.Context(), "file", false); err != errUnchanged {
		t.Error(err)
	}
}

// An edit that can not be taken over changes nothing, and says nothing about the files; while they are wrong all are read.
func TestEditFails(t *testing.T) {
	t.Parallel()
	m, _, write := edited(t)
	if err := m.Edit(t.Context(), "api", "one", []byte("databases: none\n")); err == nil {
		t.Error("it was taken over")
	}
	if _, err := m.LastError(); err != nil || m.Count(Failed) != 1 || m.Current().Number != 1 {
		t.Errorf("%v, %d failed", err, m.Count(Failed))
	}
	success := func() string {
		text, err := testutil.CollectAndFormat(m.Metrics(), expfmt.TypeTextPlain, "riptide_config_last_reload_success")
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text[bytes.LastIndexByte(bytes.TrimSpace(text), ' ')+1:]))
	}
	if got := success(); got != "1" {
		t.Error("an edit that was refused looks like files that are wrong:", got)
	}
	write("t.d/two.yaml", "databases: none\n")
	if m.reload(t.Context(), "file", false) == nil {
		t.Error("it was taken over")
	}
	for range 2 {
		if err := m.Edit(t.Context(), "api", "one", []byte("databases: 1\n")); err == nil {
			t.Error("it was taken over, beside a file that is wrong")
		}
	}
	if _, err := m.LastError(); err == nil || success() != "0" {
		t.Error("nothing is wrong any more")
	}
	write("t.d/two.yaml", "databases: 3\n")
	if err := m.Edit(t.Context(), "api", "one", []byte("databases: 1\n")); err != nil || m.Current().Config.Tenants["two"].Databases != 3 {
		t.Error(err)
	}
}
