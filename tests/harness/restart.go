package harness

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Launch starts a proxy that has ended once more, with the same configuration, and does not wait for it.
func (p *Proxy) Launch(t testing.TB) {
	t.Helper()
	p.Process = start(t, p.Addr, p.env, Binary(t), "serve", "--config", p.Config)
}

// Restart does so and waits until it serves.
func (p *Proxy) Restart(t testing.TB) {
	t.Helper()
	p.Launch(t)
	Eventually(t, "the proxy listens", func() bool {
		if !p.Running() {
			t.Fatalf("the proxy ended: %v\n%s", p.err, p.Log())
		}
		return strings.Contains(p.Log(), " serving ") // so that it is not somebody else who listens
	})
}

// Owner is the number of the process that uses a folder for its state; 0: there is none.
func Owner(t testing.TB, stateDir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(stateDir, "riptide-proxy.pid"))
	if os.IsNotExist(err) {
		return 0
	}
	pid, err2 := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || err2 != nil || pid <= 1 {
		t.Fatalf("%q is no process: %v", b, err)
	}
	return pid
}

// EndsWith has a process that a program under test has started end with the test.
func EndsWith(t testing.TB, pid int) {
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
}

// Exists reports whether there is a process with that number.
func Exists(pid int) bool { return syscall.Kill(pid, 0) == nil }
