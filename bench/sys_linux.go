package main

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime reads the processor time, user and system, that all threads of a
// process have used so far, including threads that have ended. The figures in
// /proc/<pid>/stat have a hundredth of a second as their unit, which is too
// coarse for runs of a second; the process's clock counts nanoseconds.
func cpuTime(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED of the whole process
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &ts); err != nil {
		return 0, err
	}
	return time.Duration(ts.Nano()), nil
}

// childAttr puts a child in its own process group, so that Ctrl-C reaches
// only this program, which then stops the children in order, and has the
// kernel kill the child if this program dies without doing so. (The kernel
// watches the thread that started the child; Go ends a thread only when a
// goroutine exits while locked to it, which nothing here does.)
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// raiseFileLimit lets the children have as many descriptors as the system
// allows: a proxy with 1000 clients may need more than 2000. Go resets the
// soft limit for children unless the program has set it explicitly.
func raiseFileLimit() error {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return err
	}
	lim.Cur = lim.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim)
}

func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) +
		" " + unix.ByteSliceToString(u.Machine[:])
}
