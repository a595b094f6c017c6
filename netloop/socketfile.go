package netloop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// socketFile is the name that a listening unix socket has in the file system.
type socketFile struct {
	path string
	info fs.FileInfo // to know it again
}

// ListenUnix opens a listening unix socket at a path, for whom the permissions of mode allow
// to connect. A socket that nobody listens on any more is replaced, and nothing
// else. Closing the listener removes it.
func ListenUnix(path string, mode fs.FileMode) (*Listener, error) {
	ln, err := NewUnix(path, mode)
	if err != nil {
		return nil, err
	}
	return TakeOver(ln)
}

// NewUnix makes the socket that ListenUnix listens on, for TakeOver.
func NewUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// Nobody may connect in the moment before the permissions are what they shall be.
	before := unix.Umask(0o777)
	ln, err := new(net.ListenConfig).Listen(context.Background(), "unix", path)
	unix.Umask(before)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// socketOf finds the name of a listening unix socket; nil for one of another kind.
func socketOf(ln net.Listener) (*socketFile, error) {
	u, ok := ln.(*net.UnixListener)
	if !ok {
		return nil, nil
	}
	u.SetUnlinkOnClose(false)
	path := u.Addr().String()
	info, err := os.Lstat(path)
	return &socketFile{path, info}, err
}

// removeStale makes room for a socket where one is that nobody listens on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return nil // listening says what is wrong, if anything is
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return fmt.Errorf("listen unix %s: somebody listens there already", path)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("listen unix %s: it can not be told whether somebody listens there: %w", path, err)
	}
	(&socketFile{path, info}).remove()
	return nil
}

// remove takes the name away, unless it is somebody else's by now: of a process that has taken
// over.
func (s *socketFile) remove() {
	if s == nil {
		return
	}
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.info) {
		os.Remove(s.path)
	}
}
