package tests

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const bullmq = "software/bullmq"

// BullMQ, a job queue on Node.js of some fifty Lua scripts. See job.js.
func TestSoftwareBullMQ(t *testing.T) {
	t.Parallel()
	node := program(t, "node")
	modules := nodeModules(t)
	job, err := filepath.Abs(filepath.Join(bullmq, "job.js"))
	if err != nil {
		t.Fatal(err)
	}
	eachAccount(t, func(t *testing.T, a account) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, node, job)
		cmd.Env = append(os.Environ(), append(a.environ(), "NODE_PATH="+modules)...)
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("all done\n")) {
			t.Fatalf("job.js as %s: %v\n%s", a.name, err, out)
		}
		t.Logf("%s:\n%s", a.name, out)
	})
}

// program finds a program that the tests need.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("the test needs %s (to install it: scripts/need %s): %v", name, name, err)
	}
	return path
}

// nodeModules returns a directory with what package.json names, taken from the
// npm registry the first time and from the user's cache later.
func nodeModules(t *testing.T) string {
	t.Helper()
	npm := program(t, "npm")
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	manifest, err := os.ReadFile(filepath.Join(bullmq, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(manifest)
	dir := filepath.Join(cache, "riptide-proxy-tests", fmt.Sprintf("bullmq-%x", sum[:8]))
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(dir); err == nil {
		return modules
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "installing-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	if err := os.WriteFile(filepath.Join(fresh, "package.json"), manifest, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	// All versions are exact, also those that the packages leave open. What is
	// optional is a compiled decoder, for which a machine may have no compiler.
	cmd := exec.CommandContext(ctx, npm, "install", "--omit=optional", "--no-package-lock", "--ignore-scripts",
		"--no-audit", "--no-fund", "--fetch-retries=1")
	cmd.Dir = fresh
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm install: %v (is the npm registry reachable?)\n%s", err, strings.TrimSpace(string(out)))
	}
	// It is complete or not there at all. Another run may have been faster.
	if err := os.Rename(fresh, dir); err != nil {
		if _, missing := os.Stat(modules); missing != nil {
			t.Fatal(err)
		}
	}
	return modules
}
