package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Of those that want the same folder one gets it, also when nobody had it when they began.
func TestPIDFile(t *testing.T) {
	dir := t.TempDir()
	one, other := newPIDFile(dir), newPIDFile(dir)
	if one.free() != nil || other.free() != nil {
		t.Fatal("somebody has it")
	}
	if err := one.claim(); err != nil {
		t.Fatal(err)
	}
	if pid, err := other.owner(); err != nil || pid != os.Getpid() {
		t.Error(pid, err)
	}
	if err := other.claim(); err == nil || !strings.Contains(err.Error(), "another proxy uses the folder") {
		t.Error(err)
	}
	one.release()
	if err := other.claim(); err != nil {
		t.Error(err)
	}
	other.release()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}

// The file of one that could not write its number is taken all the same.
func TestPIDFileWithoutNumber(t *testing.T) {
	p := newPIDFile(t.TempDir())
	f, err := os.Create(p.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := p.claim(); err == nil || !strings.Contains(err.Error(), "has no number of a process") {
		t.Error(err)
	}
	f.Close()
	if err := p.claim(); err != nil {
		t.Error(err)
	}
	p.release()
	if _, err := os.Stat(filepath.Join(filepath.Dir(p.path), filepath.Base(p.path))); !os.IsNotExist(err) {
		t.Error(err)
	}
}
