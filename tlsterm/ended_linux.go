package tlsterm

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// ended reports whether the peer of a connection will send no more, whatever of it is still unread.
func ended(conn net.Conn) (yes bool) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	way, err := c.SyscallConn()
	if err != nil {
		return false
	}
	way.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(poll, 0)
		yes = err == nil && n > 0 && poll[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return yes
}
