package netloop

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The descriptors are non-blocking, so these calls return at once and skip
// the bookkeeping with which the runtime hands a blocked thread's work to
// another one. That bookkeeping is a tenth of the cost of a small command.

func sysRead(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	return int(n), errno
}

func sysWrite(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

func sysWritev(fd int, iov []iovec) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(iov))), uintptr(len(iov)))
	return int(n), errno
}

type iovec = syscall.Iovec

func setIovec(v *iovec, b []byte) {
	v.Base = unsafe.SliceData(b)
	v.SetLen(len(b))
}

// sysAccept accepts one connection, non-blocking and closed on exec.
func sysAccept(fd int) (int, unix.Sockaddr, error) {
	return unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
}

// tcpKeepIdle is the option for how long a connection may be idle, in seconds,
// before the kernel asks whether its peer is still there.
const tcpKeepIdle = unix.TCP_KEEPIDLE
