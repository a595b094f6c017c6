package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// noted lists what Manager.reload came to.
func noted(t *testing.T, m *Manager, what string) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- m.Reload(t.Context(), "test") }()
	select {
	case err := <-done:
		if err == nil {
			t.Errorf("%s: was taken over", what)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: hangs", what)
	}
}

// Whatever takes the place of the file or of the folder, nothing waits for it and the configuration stays; and when
// they are back they are taken over without anybody's saying so.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	sparse := func(name string) error {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		return errors.Join(f.Truncate(4<<30), f.Close())
	}
	places := map[string]func(name string) error{
		"a pipe":       func(name string) error { return syscall.Mkfifo(name, 0o600) },
		"a folder":     func(name string) error { return os.Mkdir(name, 0o700) },
		"a device":     func(name string) error { return os.Symlink("/dev/zero", name) },
		"a loop":       func(name string) error { return os.Symlink(filepath.Base(name), name) },
		"nowhere":      func(name string) error { return os.Symlink("nowhere", name) },
		"a huge file":  sparse,
		"an empty one": func(name string) error { return os.WriteFile(name, nil, 0o600) },
		"binary":       func(name string) error { return os.WriteFile(name, []byte("\x7fELF\x00"), 0o600) },
		"in UTF-16":    func(name string) error { return os.WriteFile(name, []byte("\xff\xfea\x00"), 0o600) },
		"a bomb": func(name string) error {
			bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
			for c := 'b'; c < 'j'; c++ {
				bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 9))
			}
			return os.WriteFile(name, []byte(bomb+"tenants: *i\nusers: *i\n"), 0o600)
		},
	}
	for what, place := range places {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m, p, name := start(t)
			one := filepath.Join(filepath.Dir(name), "tenants.d", "one.yaml")
			write(t, one, tenant("one"))
			if err := m.Reload(t.Context(), "test"); err != nil {
				t.Fatal(err)
			}
			watched(t, m)
			for _, file := range []string{name, one} {
				if err := os.Rename(file, file+"~"); err != nil {
					t.Fatal(err)
				}
				if err := place(file); err != nil {
					t.Fatal(err)
				}
				n := m.Count(Failed)
				noted(t, m, what)
				if !p.has("one") || m.Count(Failed) == n {
					t.Error("the tenant is gone")
				}
				if err := os.Rename(file+"~", file); err != nil {
					if err = errors.Join(os.Remove(file), os.Rename(file+"~", file)); err != nil {
						t.Fatal(err)
					}
				}
				harness.Eventually(t, "it is back", func() bool { _, err := m.LastError(); return err == nil })
			}
		})
	}
}

// A folder that goes and comes back empty has no tenants; one that is away keeps what there was.
func TestFolderGone(t *testing.T) {
	t.Parallel()
	m, p, name := start(t)
	folder := filepath.Join(filepath.Dir(name), "tenants.d")
	write(t, filepath.Join(folder, "one.yaml"), tenant("one"))
	if err := m.Reload(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	watched(t, m)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the folder is missed", func() bool { _, err := m.LastError(); return err != nil })
	if !p.has("one") {
		t.Error("the tenant is gone")
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "it is back, and empty", func() bool { return !p.has("one") })
	if _, err := m.LastError(); err != nil {
		t.Error(err)
	}
}

// What editors write beside a file is not the file, and changes nothing.
func TestEditors(t *testing.T) {
	t.Parallel()
	m, p, name := start(t)
	folder := filepath.Join(filepath.Dir(name), "tenants.d")
	one := filepath.Join(folder, "one.yaml")
	write(t, one, tenant("one"))
	if err := m.Reload(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	watched(t, m)
	for _, beside := range []string{"4913", ".one.yaml.swp", ".one.yaml.swx", "one.yaml~", "#one.yaml#", "sedXyZ123", ".goutputstream-ABC", "one.yaml.bak", "one.yaml.tmp"} {
		write(t, filepath.Join(folder, beside), "half: [")
	}
	if err := os.Symlink("user@host.1234:5678", filepath.Join(folder, ".#one.yaml")); err != nil { // emacs's lock
		t.Fatal(err)
	}
	if err := os.Rename(one, one+"~"); err != nil { // vim's backup, and the new file in its place
		t.Fatal(err)
	}
	write(t, one, "\ufeff"+strings.ReplaceAll("suspended: true\nusers:\n  default:\n    sha256: ["+config.HashSecret("x")+"]\n", "\n", "\r\n"))
	harness.Eventually(t, "the new file is taken", func() bool { return m.Current().Config.Tenants["one"].Suspended })
	if !p.has("first") || len(m.Current().Config.Tenants) != 2 || m.Count(Failed) > 0 {
		t.Error(m.Current().Config.Tenants, m.Count(Failed))
	}
}

// What a key names and can not be had is refused with the key's line.
func TestPlaces(t *testing.T) {
	m, _, name := start(t)
	m.Add(func(_ context.Context, c *config.Config) (func(), error) {
		return nil, errors.Join(config.At(errors.New("no such file"), "tls", "cert"), config.At(errors.New("is too short"), "encryption_keys", "a"))
	})
	write(t, name, text()+"tls:\n  listen: 127.0.0.1:2\n  cert: c\n  key: k\nencryption_keys:\n  a: {env: A}\n")
	err := m.Reload(t.Context(), "test")
	if want := name + ":7: tls.cert: no such file\n" + name + ":10: encryption_keys.a: is too short"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// Who says "reload" often does not lose the configuration before.
func TestSameAgain(t *testing.T) {
	m, p, name := start(t)
	write(t, name, text("second"))
	for range 2 * kept {
		if err := m.Reload(t.Context(), "signal"); err != nil {
			t.Fatal(err)
		}
	}
	history := m.History()
	if len(history) != 2 || history[0].Number != 1 || history[1] != m.Current() || history[1].Number != 2*kept+1 {
		t.Fatalf("%d", len(history))
	}
	if err := m.Rollback(t.Context(), history[0].Number); err != nil || p.has("second") {
		t.Error(err)
	}
	if n := len(m.History()); n != 3 {
		t.Error(n)
	}
}

// Many who want different things at once get them one after the other, and nothing is left behind.
func TestStorm(t *testing.T) {
	m, _, name := start(t)
	folder := filepath.Join(filepath.Dir(name), "tenants.d")
	reload := func(n int) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for k := range n {
					write(t, filepath.Join(folder, fmt.Sprintf("t%d.yaml", i)), tenant(fmt.Sprintf("t%d-%d", i, k)))
					if i == 0 && k%2 == 1 {
						if err := m.Rollback(t.Context(), m.Current().Number); err != nil && !errors.Is(err, ErrNoSuch) {
							t.Error(err)
						}
					} else if err := m.Reload(t.Context(), "storm"); err != nil {
						t.Log(err) // a file was half written
					}
				}
			})
		}
		all.Wait()
	}
	reload(10)
	heap, goroutines := held(), runtime.NumGoroutine()
	reload(100)
	if more := held() - heap; more > 4<<20 {
		t.Errorf("%d bytes more are in use after it", more)
	}
	if n := runtime.NumGoroutine(); n > goroutines+3 {
		t.Errorf("%d goroutines, and there were %d", n, goroutines)
	}
	if err := m.Reload(t.Context(), "end"); err != nil || len(m.Current().Config.Tenants) != 9 {
		t.Error(err, len(m.Current().Config.Tenants))
	}
}

func wrote(name string) fsnotify.Event { return fsnotify.Event{Name: name, Op: fsnotify.Write} }

func made(name string) fsnotify.Event { return fsnotify.Event{Name: name, Op: fsnotify.Create} }

func held() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// Files that can not be watched are looked at now and then, which is said once. A log beside them is no reason to read them.
func TestWatchTrouble(t *testing.T) {
	m, _, name := start(t)
	var log bytes.Buffer
	was := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(was)
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{Watcher: w}
	w.Close() // adding a folder is an error from now on
	for range 3 {
		m.follow(f)
	}
	if n := strings.Count(log.String(), "are noticed late"); n != 1 {
		t.Errorf("it is said %d times: %s", n, log.String())
	}
	dir := filepath.Dir(name)
	for _, c := range []struct {
		event fsnotify.Event
		want  bool
	}{
		{wrote(name), true},
		{wrote(filepath.Join(dir, "riptide.log")), false},
		{wrote(filepath.Join(dir, "tenants.d", "x.yaml")), true},
		{made(filepath.Join(dir, "..data")), true},
		{wrote(filepath.Join(dir, "tenants.d")), false},
	} {
		if got := m.concerns(c.event); got != c.want {
			t.Errorf("%v: %t", c.event, got)
		}
	}
}
