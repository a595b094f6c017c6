package admin

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What is no file keeps nobody waiting, neither whoever asks nor those who edit something else.
func TestPipes(t *testing.T) {
	w := newWorld(t, "")
	for _, name := range []string{"initech.yaml", "globex.yaml"} {
		path := filepath.Join(w.dir, "tenants.d", name)
		os.Remove(path)
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.want(409, "admin", "POST", "/admin/tenants", `{"id":"initech"}`)
	w.want(409, "admin", "PATCH", "/admin/tenants/globex", `{"databases":3}`, "If-Match", "*")
	w.want(200, "viewer", "GET", "/admin/tenants/globex", "")
	w.want(200, "admin", "PATCH", "/admin/tenants/acme", `{"databases":3}`, "If-Match", "*")
}

// A folder that can not be written changes nothing, and whoever edits is told so.
func TestUnwritable(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, "no space left on device, so nothing was changed"},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.EROFS}, "read-only file system, so nothing was changed"},
		{os.ErrClosed, "nothing was changed; the log of the proxy has more"},
	} {
		if p := problemOf(unwritable(c.err)); p.Status != 507 || p.Detail != c.want {
			t.Errorf("%v: %+v", c.err, p)
		}
	}
}

// Files that a crash has left between writing and renaming are no tenants', and go after a while.
func TestLeftByCrash(t *testing.T) {
	w := newWorld(t, "")
	left := "tenants.d/.acme." + strings.Repeat("A", 26)
	w.file(left, "databases: 9\n")
	w.file("tenants.d/.acme.swp", "an editor's\n")
	w.want(200, "operator", "POST", "/admin/state/reload", "")
	if d := w.manager.Current().Config.Tenants["acme"].Databases; d != 16 {
		t.Errorf("%d databases", d)
	}
	w.api.files.tidy("tenants.d", time.Now())
	if w.read(left) == "" {
		t.Error("it may be somebody's who writes right now")
	}
	w.api.files.tidy("tenants.d", time.Now().Add(2*temporaryAge))
	if w.read(left) != "" || w.read("tenants.d/.acme.swp") == "" || w.read("tenants.d/acme.yaml") == "" {
		t.Error("not what had to go is gone")
	}
}
