package tests

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

func xadd(stream string, n int) *goredis.XAddArgs {
	return &goredis.XAddArgs{Stream: stream, Values: []any{"n", n}}
}

// terminal is a program that thinks a person is typing.
type terminal struct {
	t    *testing.T
	in   io.Writer
	out  io.Reader
	seen bytes.Buffer
}

// openTerminal runs redis-cli in a terminal until the test ends.
func openTerminal(t *testing.T, a account, args ...string) *terminal {
	t.Helper()
	script, err := exec.LookPath("script")
	if err != nil {
		t.Fatalf("the test needs script, of util-linux: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	line := "stty cols 100 rows 30; exec '" + strings.Join(append([]string{tool(t, "redis-cli")}, a.cliArgs(args...)...), "' '") + "'"
	cmd := exec.CommandContext(ctx, script, "-qec", line, "/dev/null")
	cmd.Env = append(cmd.Environ(), "TERM=xterm", "HOME="+t.TempDir())
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	return &terminal{t: t, in: in, out: out}
}

// await reads until something that matches is on the screen, and forgets all up
// to there. It returns what it has forgotten.
func (s *terminal) await(pattern string) string {
	s.t.Helper()
	want := regexp.MustCompile(pattern)
	part := make([]byte, 4<<10)
	for {
		if at := want.FindIndex(s.seen.Bytes()); at != nil {
			return string(s.seen.Next(at[1]))
		}
		n, err := s.out.Read(part)
		s.seen.Write(part[:n])
		if err != nil {
			s.t.Fatalf("%q does not come: %v: %q", pattern, err, s.seen.String())
		}
	}
}

func (s *terminal) enter(line string) { io.WriteString(s.in, line+"\r") }

// A session: help, a transaction with its prompt, scripts, and listening.
func TestSoftwareRedisCLITerminal(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"-2", "-3"} {
		t.Run("RESP"+protocol[1:], func(t *testing.T) {
			acme, globex := accounts(t)
			s := openTerminal(t, acme, protocol)
			prompt := func(mark string) { t.Helper(); s.await(regexp.QuoteMeta(acme.addr + mark + "> ")) }
			// What is typed before the prompt is there is lost.
			prompt("")
			for _, step := range [][3]string{
				// a line, what it shows, and what the prompt is afterwards
				{"help", `To get help about Redis commands type`, ""},
				{"help set", `summary:`, ""},
				{"help @transactions", `EXEC`, ""},
				{"set greeting hello", `OK`, ""},
				{"multi", `OK`, "(TX)"},
				{"incr n", `QUEUED`, "(TX)"},
				{"get greeting", `QUEUED`, "(TX)"},
				{"exec", `1\) \(integer\) 1\r?\n2\) "hello"`, ""},
				{"multi", `OK`, "(TX)"},
				{"incr n", `QUEUED`, "(TX)"},
				{"discard", `OK`, ""},
				{"get n", `"1"`, ""},
				{"multi", `OK`, "(TX)"},
				{"nosuch", `\(error\) ERR unknown command`, "(TX)"},
				{"exec", `\(error\) EXECABORT`, ""},
				{"watch n", `OK`, ""},
				{"unwatch", `OK`, ""},
				{"blpop none 0.1", `\(nil\)\r?\n\(0\.\d+s\)|\(nil\)`, ""},
				{`eval "return {KEYS[1], redis.call('get', KEYS[1])}" 1 greeting`, `1\) "greeting"\r?\n2\) "hello"`, ""},
				{"select 3", `OK`, "[3]"},
				{"multi", `OK`, "[3](TX)"},
				{"select 4", `QUEUED`, "[4](TX)"},
				{"exec", `1\) OK`, "[4]"},
				{"select 0", `OK`, ""},
				{"client getname", `\(nil\)`, ""},
				{"info server", `redis_version:`, ""},
				{"nosuch", `\(error\) ERR unknown command`, ""},
			} {
				s.enter(step[0])
				// The line itself is drawn again with every letter, prompt and all.
				s.await(step[1])
				prompt(step[2])
			}

			s.enter("subscribe news")
			s.await("Reading messages")
			s.await(`"subscribe"`)
			s.await(`\(integer\) 1`)
			ctx := harness.Context(t)
			globex.goRedis(t).Publish(ctx, "news", "not for you")
			if n, err := acme.goRedis(t).Publish(ctx, "news", "rain").Result(); err != nil || n != 1 {
				t.Errorf("PUBLISH: %d, %v", n, err)
			}
			if shown := s.await(`"rain"`); !strings.Contains(shown, `"message"`) || strings.Contains(shown, "not for you") {
				t.Errorf("a message is shown as %q", shown)
			}
		})
	}
}
