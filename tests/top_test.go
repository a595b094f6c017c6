package tests

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	goredis "github.com/redis/go-redis/v9"
	"golang.org/x/term"

	"riptide-proxy/tests/harness"
)

// screen is riptide-proxy top on a terminal.
type screen struct {
	t    *testing.T
	cmd  *exec.Cmd
	ptmx *os.File // our end of the terminal
	tty  *os.File // the program's, kept open to see what it leaves behind
	was  *term.State

	vt  vt10x.Terminal // what a person would see
	mu  sync.Mutex
	all bytes.Buffer // that was written
}

// openScreen starts top on a terminal of a size.
func openScreen(t *testing.T, width, height uint16, env []string, args ...string) *screen {
	t.Helper()
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, ptmx: ptmx, tty: tty, vt: vt10x.New(vt10x.WithSize(int(width), int(height)))}
	s.resize(width, height)
	if s.was, err = term.GetState(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s.cmd = exec.CommandContext(ctx, harness.Binary(t), append([]string{"top"}, args...)...)
	s.cmd.Env = append(append(s.cmd.Environ(), "TERM=xterm-256color", "NO_COLOR="), env...)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		part := make([]byte, 4<<10)
		for {
			n, err := ptmx.Read(part)
			s.mu.Lock()
			s.vt.Write(part[:n])
			s.all.Write(part[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		s.cmd.Wait()
		tty.Close()
		ptmx.Close()
		<-read
	})
	return s
}

func (s *screen) resize(width, height uint16) {
	s.t.Helper()
	s.vt.Resize(int(width), int(height))
	if err := pty.Setsize(s.ptmx, &pty.Winsize{Cols: width, Rows: height}); err != nil {
		s.t.Fatal(err)
	}
}

// await waits until a line on the screen matches.
func (s *screen) await(pattern string) {
	s.t.Helper()
	want := regexp.MustCompile("(?m)" + pattern)
	for deadline := time.Now().Add(20 * time.Second); !want.MatchString(s.vt.String()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s is not on the screen:\n%s", pattern, s.vt.String())
		}
	}
}

// written is all that came, once something has.
func (s *screen) written(what string) (all string) {
	s.t.Helper()
	harness.Eventually(s.t, "it writes "+what, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		all = s.all.String()
		return strings.Contains(all, what)
	})
	return all
}

func (s *screen) press(keys string) {
	s.t.Helper()
	if _, err := s.ptmx.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// ends waits for the program's end, and looks at what it has left behind.
func (s *screen) ends() string {
	s.t.Helper()
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("it ends with %v", err)
	}
	now, err := term.GetState(int(s.tty.Fd()))
	if err != nil || !reflect.DeepEqual(now, s.was) {
		s.t.Errorf("the terminal is left as %+v, it was %+v (%v)", now, s.was, err)
	}
	text := s.written("\x1b[?1049l") // back to the screen that there was
	if !strings.Contains(text, "\x1b[?1049h") || strings.LastIndex(text, "\x1b[?25h") < strings.LastIndex(text, "\x1b[?25l") {
		s.t.Error("the cursor stays hidden")
	}
	return text
}

// keepBusy has a tenant run commands until the test ends.
func keepBusy(t *testing.T, c *goredis.Client) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			c.Set(ctx, "there", "x", 0)
			c.Get(ctx, "there")
			c.Get(ctx, "not there")
			time.Sleep(time.Millisecond)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// On a terminal top shows tenants of several proxies, takes keys, follows the terminal's size, and leaves it as it was.
func TestTopTerminal(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	limited := harness.Acme
	limited.YAML = "    quotas: {connections: 1000}\n"
	o := harness.Options{Tenants: []harness.Tenant{limited, harness.Globex}}
	one, two := harness.StartProxy(t, redis.Addr, o), harness.StartProxy(t, redis.Addr, o)
	one.Ready(t)
	two.Ready(t)
	keepBusy(t, one.Client(t, harness.Acme))
	keepBusy(t, two.Client(t, harness.Globex))
	args := []string{"--admin", one.Admin, "--admin", two.Admin, "--interval", "200ms"}

	s := openScreen(t, 80, 12, nil, args...)
	s.await(`proxies 2/2 `)
	s.await(`OPS/Sv`)
	s.await(`(acme|globex) +[1-9]\d* `) // some rate
	s.press("\x1b[C")                   // right
	s.await(`IN/Sv`)
	s.press("<<")
	s.await(`TENANT\^`)
	s.press("/glo\r")
	s.await(`tenants with glo`)
	s.resize(170, 12)
	s.await(`FULLEST QUOTA`)
	s.press("\x1b")
	s.await(`% connections`)
	s.press("q")
	emphasized := regexp.MustCompile(`\x1b\[[1-9][0-9;]*m`)
	if text := s.ends(); !emphasized.MatchString(text) {
		t.Error("the header is not emphasized")
	}

	s = openScreen(t, 80, 12, []string{"NO_COLOR=1"}, args...)
	s.await(`acme +[1-9]`)
	s.press("\x03") // Ctrl-C
	if text := s.ends(); emphasized.MatchString(text) {
		t.Errorf("colours with NO_COLOR: %q", emphasized.FindString(text))
	}

	s = openScreen(t, 80, 12, nil, args...)
	s.await(`acme +[1-9]`)
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.ends()

	// With a number of tables, and on a dumb one, a terminal gets them plain.
	for _, extra := range [][]string{{"TERM=xterm", "-n", "1"}, {"TERM=dumb"}} {
		s = openScreen(t, 80, 12, extra[:1], append(args, extra[1:]...)...)
		if err := s.cmd.Wait(); err != nil {
			t.Error(err)
		}
		if text := s.written("(no login) "); strings.Contains(text, "\x1b") || !strings.Contains(text, "FULLEST QUOTA\r\n") {
			t.Errorf("%q: %q", extra, text)
		}
	}
}

// topObject is what top --json prints.
type topObject struct {
	Proxies []struct{ Address, Error string }
	Tenants []struct {
		Tenant      string
		Ops         float64                                  `json:"ops_per_second"`
		Connections int                                      `json:"connections"`
		HitRate     *float64                                 `json:"hit_rate"`
		P99         *float64                                 `json:"p99_us"`
		Usage       map[string]struct{ Used, Limit float64 } `json:"usage"`
	}
}

// A proxy that is killed and started again makes no rate negative or absurd.
func TestTopRestart(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	p, other := harness.StartProxy(t, redis.Addr, harness.Options{}), harness.StartProxy(t, redis.Addr, harness.Options{})
	p.Ready(t)
	other.Ready(t)
	keepBusy(t, p.Client(t, harness.Acme))
	keepBusy(t, other.Client(t, harness.Acme))
	cmd := exec.CommandContext(harness.Context(t), harness.Binary(t), "top", "--json", "-n", "1000", "-i", "100ms", "-a", p.Admin, "-a", other.Admin, "-t", "acme")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	lines := json.NewDecoder(out)
	next := func() (o topObject) {
		t.Helper()
		if err := lines.Decode(&o); err != nil {
			t.Fatal(err)
		}
		for _, row := range o.Tenants {
			if row.Ops < 0 || row.Ops > 1e5 || row.HitRate != nil && (*row.HitRate < 0 || *row.HitRate > 1) || row.P99 != nil && *row.P99 < 0 {
				t.Errorf("%+v", row)
			}
		}
		return o
	}
	until := func(what string, ok func(o topObject) bool) {
		t.Helper()
		for range 300 {
			if ok(next()) {
				return
			}
		}
		t.Fatalf("not seen: %s", what)
	}
	both := func(o topObject) bool {
		return o.Proxies[0].Error == "" && len(o.Tenants) == 1 && o.Tenants[0].Ops > 0 && o.Tenants[0].Connections >= 2
	}
	until("both proxies", both)
	p.Kill()
	until("one is gone", func(o topObject) bool {
		return o.Proxies[0].Error != "" && o.Proxies[1].Error == "" && o.Tenants[0].Ops > 0
	})
	again := exec.Command(harness.Binary(t), "serve", "--config", p.Config)
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { again.Process.Kill(); again.Wait() }()
	until("both again", both)
}
