package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 15 * time.Second // from exec to the first PONG
	stopTimeout  = 5 * time.Second  // from SIGTERM to SIGKILL
	toolTimeout  = 60 * time.Second // for one run of a load generator
)

// process is a server that this program started and will stop.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // file with all it printed
	done chan struct{} // closed when it has ended and has been reaped
}

func startProcess(name, log, path string, args ...string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = childAttr()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop asks, waits, and then insists. It returns when the process is gone.
func (p *process) stop() {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.signal(syscall.SIGKILL)
		<-p.done
	}
}

// signal goes to the process group. While the process has not been reaped its
// number cannot have been given to another.
func (p *process) signal(s syscall.Signal) {
	if p.alive() {
		syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

func (p *process) cpu() (time.Duration, error) { return cpuTime(p.cmd.Process.Pid) }

// died explains why a process is gone with the last lines that it printed.
func (p *process) died() error {
	text, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s ended: %s: %s", p.name, p.cmd.ProcessState, tail(string(text), 5))
}

// tail returns the last n lines of text on one line.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}

// command prepares a tool that runs to its end, in its own process group and
// killed with it when ctx ends.
func command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = childAttr()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// output runs a tool and returns what it printed to standard output; what it
// printed to standard error becomes part of the error if it failed.
func output(ctx context.Context, path string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeoutCause(ctx, toolTimeout,
		fmt.Errorf("did not finish within %s", toolTimeout))
	defer cancel()
	cmd := command(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return "", fmt.Errorf("%w: %s", err, tail(stderr.String(), 3))
	}
	return stdout.String(), nil
}

// missing is the error of a target that this machine does not have.
type missing string

func (m missing) Error() string { return string(m) }

func isMissing(err error) bool {
	var m missing
	return errors.As(err, &m)
}
