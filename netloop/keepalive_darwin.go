package netloop

import "golang.org/x/sys/unix"

// tcpKeepIdle is the option for how long a connection may be idle, in seconds,
// before the kernel asks whether its peer is still there.
const tcpKeepIdle = unix.TCP_KEEPALIVE
