//go:build darwin || freebsd || netbsd

package netloop

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func sysRead(fd int, b []byte) (int, syscall.Errno) {
	n, err := unix.Read(fd, b)
	return n, errnoOf(err)
}

func sysWrite(fd int, b []byte) (int, syscall.Errno) {
	n, err := unix.Write(fd, b)
	return n, errnoOf(err)
}

func sysWritev(fd int, iov []iovec) (int, syscall.Errno) {
	total := 0
	for _, v := range iov {
		n, errno := sysWrite(fd, v)
		if errno != 0 {
			if total > 0 {
				return total, 0
			}
			return 0, errno
		}
		total += n
		if n < len(v) {
			break
		}
	}
	return total, 0
}

// iovec: x/sys has writev for macOS only, and in another shape; one write per
// piece is right everywhere.
type iovec = []byte

func setIovec(v *iovec, b []byte) { *v = b }

func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := err.(syscall.Errno); ok {
		return errno
	}
	return syscall.EIO
}

// sysAccept accepts one connection, non-blocking and closed on exec.
func sysAccept(fd int) (int, unix.Sockaddr, error) {
	nfd, sa, err := unix.Accept(fd)
	if err != nil {
		return -1, nil, err
	}
	unix.CloseOnExec(nfd)
	if err := unix.SetNonblock(nfd, true); err != nil {
		unix.Close(nfd)
		return -1, nil, err
	}
	return nfd, sa, nil
}
