//go:build !linux

package main

import (
	"errors"
	"runtime"
	"syscall"
	"time"
)

// These stand in so that the module builds everywhere; main refuses to measure.

func cpuTime(int) (time.Duration, error) { return 0, errors.ErrUnsupported }

func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func raiseFileLimit() error { return nil }

func kernel() string { return runtime.GOOS }
