package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 15 * time.Second

// beMain is set in the environment of a test binary that is to be the program.
const beMain = "RIPTIDE_TEST_BE_MAIN"

// TestMain makes the test binary serve as riptide-proxy too, so that what is
// tested is main itself, under the race detector if the tests are.
func TestMain(m *testing.M) {
	if os.Getenv(beMain) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program is a running riptide-proxy.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}

	mu     sync.Mutex
	lines  []string      // of both outputs
	more   chan struct{} // closed when there are further lines
	stdout bytes.Buffer
}

// start runs riptide-proxy with these arguments.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(os.Args[0], args...), done: make(chan struct{}), more: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), beMain+"=1")
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { p.read(io.TeeReader(stdout, lockedWriter{p})) })
	readers.Go(func() { p.read(stderr) })
	go func() {
		readers.Wait()
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("it printed:\n%s", p.output())
		}
	})
	return p
}

// lockedWriter keeps what came on standard output.
type lockedWriter struct{ p *program }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.p.stdout.Write(b)
}

func (p *program) read(r io.Reader) {
	for s := bufio.NewScanner(r); s.Scan(); {
		p.mu.Lock()
		p.lines = append(p.lines, s.Text())
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

func (p *program) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stdout.String()
}

// line waits for a line that contains what is wanted; ok is false when the
// program ended without one.
func (p *program) line(want string) (line string, ok bool) {
	p.t.Helper()
	deadline := time.After(patience)
	ended := false
	for from := 0; ; {
		p.mu.Lock()
		lines, more := p.lines[from:], p.more
		from = len(p.lines)
		p.mu.Unlock()
		for _, l := range lines {
			if strings.Contains(l, want) {
				return l, true
			}
		}
		if ended {
			return "", false
		}
		select {
		case <-more:
		case <-p.done:
			ended = true
		case <-deadline:
			p.t.Fatalf("waited in vain for a line with %q", want)
		}
	}
}

// field is the value of a field of the log line that contains what is wanted.
func (p *program) field(want, name string) string {
	p.t.Helper()
	line, ok := p.line(want)
	if !ok {
		p.t.Fatalf("it ended without a line with %q", want)
	}
	_, rest, _ := strings.Cut(line, " "+name+"=")
	value, _, _ := strings.Cut(rest, " ")
	return strings.Trim(value, `"`)
}

// exit waits for the end and returns the exit code, -1 after a signal.
func (p *program) exit() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatal("it does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}
