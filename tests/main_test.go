// Package tests holds the end-to-end tests: the built binary, real clients, and
// a real redis-server.
package tests

import (
	"os"
	"testing"

	"riptide-proxy/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}
