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
	listening := ln.(*net.UnixListener)
	listening.SetUnlinkOnClose(false)
	defer listening.Close()
	if err := os.Chmod(path, mode); err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	fd, err := Detach(listening)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", path, err)
	}
	return &Listener{fd: fd, addr: ln.Addr(), socket: &socketFile{path, info}}, nil
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
