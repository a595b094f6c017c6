package harness

import (
	"fmt"
	"net/http"
	"os/exec"
	"testing"
)

// promTool is a program that the tests need, by its name on the PATH; Debian has it in the package prometheus.
func promTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("the tests need %s (Debian: apt-get install prometheus): %v", name, err)
	}
	return path
}

// Promtool is Prometheus's tool for checking rules and configurations.
func Promtool(t testing.TB) string { return promTool(t, "promtool") }

// StartPrometheus runs a real Prometheus with a configuration file. Addr is its HTTP API's address.
func StartPrometheus(t testing.TB, config string) *Process {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	p := start(t, addr, nil, promTool(t, "prometheus"), "--config.file="+config, "--storage.tsdb.path="+t.TempDir(),
		"--web.listen-address="+addr, "--log.level=warn")
	Eventually(t, "Prometheus is ready", func() bool {
		if !p.Running() {
			t.Fatalf("Prometheus ended: %v\n%s", p.err, p.Log())
		}
		r, err := http.Get("http://" + addr + "/-/ready")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return p
}
