package netloop

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// event says what a descriptor is ready for. failed is a hang-up or an error
// in both directions, which the kernel reports whether asked for or not. ended
// tells that the peer sends no more, of a descriptor that is not being read.
type event struct {
	fd                                int
	readable, writable, failed, ended bool
}

// poller is one epoll set, level-triggered. It reports a bounded number of
// descriptors at a time: with a thousand busy ones a turn over all of them would
// leave the peers idle by turns, which shows in the slowest percent.
type poller struct {
	fd     int
	events [64]unix.EpollEvent
	ready  [64]event
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &poller{fd: fd}, nil
}

func (p *poller) close() { unix.Close(p.fd) }

func (p *poller) add(fd int, r, w bool) error { return p.ctl(unix.EPOLL_CTL_ADD, fd, r, w) }

// set replaces the interest of a descriptor; hadR and hadW are what it was.
func (p *poller) set(fd int, hadR, hadW, r, w bool) error {
	return p.ctl(unix.EPOLL_CTL_MOD, fd, r, w)
}

// remove ends all reports of a descriptor.
func (p *poller) remove(fd int) { unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil) }

func (p *poller) ctl(op, fd int, r, w bool) error {
	ev := unix.EpollEvent{Fd: int32(fd), Events: unix.EPOLLRDHUP}
	if r {
		ev.Events = unix.EPOLLIN
	}
	if w {
		ev.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(p.fd, op, fd, &ev)
}

// hush ends the reports that the peer of a descriptor which is not being read
// has ended, until its interest is set again.
func (p *poller) hush(fd int, w bool) {
	ev := unix.EpollEvent{Fd: int32(fd)}
	if w {
		ev.Events = unix.EPOLLOUT
	}
	unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, &ev)
}

// wait returns the ready descriptors, valid until the next call. millis below
// zero waits without limit.
func (p *poller) wait(millis int) ([]event, error) {
	var n uintptr
	var errno syscall.Errno
	if millis == 0 {
		// Does not block, so the scheduler need not hear of it.
		n, _, errno = syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	} else {
		n, _, errno = syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), uintptr(millis), 0, 0)
	}
	if errno != 0 {
		if errno == unix.EINTR {
			return nil, nil
		}
		return nil, errno
	}
	for i := range p.events[:n] {
		e := &p.events[i]
		p.ready[i] = event{
			fd:       int(e.Fd),
			readable: e.Events&unix.EPOLLIN != 0,
			writable: e.Events&unix.EPOLLOUT != 0,
			failed:   e.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0,
			ended:    e.Events&unix.EPOLLRDHUP != 0,
		}
	}
	return p.ready[:n], nil
}
