//go:build darwin || freebsd || netbsd

package netloop

import (
	"time"

	"golang.org/x/sys/unix"
)

// event says what a descriptor is ready for. failed is an error in both
// directions; kqueue reports an end of input as readable, so ended is never set:
// the end of a descriptor that is not being read goes unnoticed until it is.
type event struct {
	fd                                int
	readable, writable, failed, ended bool
}

// poller is one kqueue, level-triggered.
type poller struct {
	fd     int
	events [64]unix.Kevent_t
	ready  [64]event
}

func newPoller() (*poller, error) {
	fd, err := unix.Kqueue()
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	return &poller{fd: fd}, nil
}

func (p *poller) close() { unix.Close(p.fd) }

func (p *poller) add(fd int, r, w bool) error { return p.set(fd, false, false, r, w) }

// set replaces the interest of a descriptor; hadR and hadW are what it was.
func (p *poller) set(fd int, hadR, hadW, r, w bool) error {
	var changes [2]unix.Kevent_t
	n := 0
	change := func(filter int, had, want bool) {
		if had == want {
			return
		}
		flags := unix.EV_DELETE
		if want {
			flags = unix.EV_ADD
		}
		unix.SetKevent(&changes[n], fd, filter, flags)
		n++
	}
	change(unix.EVFILT_READ, hadR, r)
	change(unix.EVFILT_WRITE, hadW, w)
	if n == 0 {
		return nil
	}
	_, err := unix.Kevent(p.fd, changes[:n], nil, nil)
	return err
}

func (p *poller) hush(int, bool) {}

// remove ends all reports of a descriptor, which is about to be closed: that ends them here.
func (p *poller) remove(int) {}

// wait returns the ready descriptors, valid until the next call. millis below
// zero waits without limit.
func (p *poller) wait(millis int) ([]event, error) {
	var timeout *unix.Timespec
	if millis >= 0 {
		ts := unix.NsecToTimespec(int64(millis) * int64(time.Millisecond))
		timeout = &ts
	}
	n, err := unix.Kevent(p.fd, nil, p.events[:], timeout)
	if err != nil {
		if err == unix.EINTR {
			return nil, nil
		}
		return nil, err
	}
	for i := range p.events[:n] {
		e := &p.events[i]
		p.ready[i] = event{
			fd:       int(e.Ident),
			readable: e.Filter == unix.EVFILT_READ,
			writable: e.Filter == unix.EVFILT_WRITE,
			failed:   e.Flags&unix.EV_ERROR != 0,
		}
	}
	return p.ready[:n], nil
}
