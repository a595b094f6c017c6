package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// pidFile says which process uses a folder. It is locked as long as that process lives, so that
// nobody takes the number of another process for its.
type pidFile struct {
	path string

	mu sync.Mutex
	f  *os.File // nil: it is not this process's
}

func newPIDFile(dir string) *pidFile {
	return &pidFile{path: filepath.Join(dir, "riptide-proxy.pid")}
}

var errNotRunning = errors.New("no proxy is running with this state_dir")

// owner is the process that uses the folder. The error is errNotRunning if there is none.
func (p *pidFile) owner() (pid int, err error) {
	f, err := os.Open(p.path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, errNotRunning
	}
	if err != nil {
		return 0, err
	}
	defer f.Close() // gives the lock back
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); {
	case err == nil:
		return 0, errNotRunning
	case err != unix.EWOULDBLOCK:
		return 0, fmt.Errorf("lock %s: %w", p.path, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0, err
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil || pid <= 1 {
		return 0, fmt.Errorf("%s has no number of a process", p.path)
	}
	return pid, nil
}

// free returns an error if another process than the parent uses the folder.
func (p *pidFile) free() error {
	pid, err := p.owner()
	switch {
	case errors.Is(err, errNotRunning):
		return nil
	case err != nil:
		return err
	case pid == os.Getppid():
		return nil
	}
	return fmt.Errorf("another proxy uses the folder (process %d)", pid)
}

// claim makes this process the one that uses the folder, or returns the error of free. On a full disk the file is there without
// the number: nobody else gets the folder, and only `riptide-proxy upgrade` does not find the process.
func (p *pidFile) claim() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	dir, err := os.Open(filepath.Dir(p.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	// Of two that have begun at the same time one comes first.
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir.Name(), err)
	}
	if err := p.free(); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir.Name(), ".pid-*")
	if err != nil {
		return err
	}
	if _, err = fmt.Fprintln(f, os.Getpid()); errors.Is(err, unix.ENOSPC) {
		slog.Warn("the number of this process could not be written to state_dir", "error", err)
		err = f.Truncate(0)
	}
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		err = os.Rename(f.Name(), p.path)
	}
	if err != nil {
		os.Remove(f.Name())
		f.Close()
		return err
	}
	p.f = f
	return nil
}

// release removes the file, unless it is another process's by now.
func (p *pidFile) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.f == nil {
		return
	}
	defer p.f.Close()
	mine, err := p.f.Stat()
	if now, gone := os.Stat(p.path); err == nil && gone == nil && os.SameFile(mine, now) {
		os.Remove(p.path)
	}
	p.f = nil
}
