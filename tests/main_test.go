// Package tests holds the end-to-end tests: the built binary, real clients, and
// a real redis-server.
package tests

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"riptide-proxy/tests/harness"
)

// together is how many tests run at once unless -parallel says it: they wait for servers more than they compute.
const together = 6

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", fmt.Sprint(together))
	}
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}
