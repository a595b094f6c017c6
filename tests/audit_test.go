package tests

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// startAudited runs a proxy with an audit log on the embedded upstream.
func startAudited(t *testing.T, section string) (p *harness.Proxy, dir string) {
	t.Helper()
	dir = t.TempDir()
	p = harness.StartProxy(t, "", harness.Options{Top: fmt.Sprintf("audit: {dir: %q, %s}\n", dir, section)})
	p.Ready(t)
	return p, dir
}

// verifyAudit runs riptide-proxy audit verify.
func verifyAudit(t *testing.T, args ...string) (out string, ok bool) {
	t.Helper()
	cmd := exec.Command(harness.Binary(t), append([]string{"audit", "verify"}, args...)...)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatal(err, b.String())
	}
	return b.String(), err == nil
}

// auditText is all of an audit log.
func auditText(t *testing.T, dir string) (path, text string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "audit-*.jsonl"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	return names[0], string(b)
}

func stop(t *testing.T, p *harness.Proxy) {
	t.Helper()
	p.Cmd.Process.Signal(syscall.SIGTERM)
	if err, ended := p.Wait(15 * time.Second); !ended || err != nil {
		t.Fatal(ended, err)
	}
}

// A line that is deleted, or changed, is found.
func TestAuditVerify(t *testing.T) {
	t.Parallel()
	p, dir := startAudited(t, "level: write, secret: a-secret-of-the-tests")
	c := p.Connect(t, harness.Acme)
	for i := range 200 {
		expect(t, c, "+OK\r\n", "SET", fmt.Sprint("key", i), "v")
	}
	stop(t, p)
	out, ok := verifyAudit(t, "--config", p.Config)
	if !ok || !strings.Contains(out, ": ok, ") || !strings.Contains(out, "head: block ") || strings.Contains(out, "end:") {
		t.Fatal(out)
	}
	path, text := auditText(t, dir)
	lines := strings.SplitAfter(text, "\n")
	number := 0
	for i, line := range lines {
		if strings.Contains(line, `"keys":["key100"]`) {
			number = i
		}
	}
	if number == 0 {
		t.Fatalf("the command is not recorded in %d lines", len(lines))
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a-secret-of-the-tests\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ text, want string }{
		{strings.Join(append(append([]string{}, lines[:number]...), lines[number+1:]...), ""), " records are missing in the block of lines "},
		{strings.Replace(text, `"keys":["key100"]`, `"keys":["key101"]`, 1), " was changed"},
	} {
		if err := os.WriteFile(path, []byte(x.text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, ok = verifyAudit(t, "--secret-file", secret, dir)
		if ok || !strings.Contains(out, "NOT OK") || !strings.Contains(out, path+":") || !strings.Contains(out, x.want) {
			t.Errorf("%v: %s", ok, out)
		}
	}
}

// A configuration that is taken over is recorded with what it changes, one that is not with the reason, and a
// connection that it ends.
func TestAuditReload(t *testing.T) {
	t.Parallel()
	p, dir := startAudited(t, "level: none")
	c := p.Connect(t, harness.Globex)
	good, err := os.ReadFile(p.Config)
	if err != nil {
		t.Fatal(err)
	}
	change := func(text, until string) {
		t.Helper()
		if err := os.WriteFile(p.Config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.Cmd.Process.Signal(syscall.SIGHUP)
		harness.Eventually(t, until, func() bool { _, text := auditText(t, dir); return strings.Contains(text, until) })
	}
	change(string(good)+"nonsense: 1\n", `"outcome":"failed"`)
	change(strings.Replace(string(good), "  globex:\n", "  globex:\n    suspended: true\n", 1), `"tenants.globex.suspended"`)
	if reply, err := c.Do("PING"); err == nil {
		t.Errorf("a connection of a tenant that is suspended: %q", reply)
	}
	change(strings.Replace(string(good), "level: none", "level: all", 1), `"key":"audit.level","before":"none","after":"all"`)
	expect(t, p.Connect(t, harness.Acme), "$-1\r\n", "GET", "seen")
	stop(t, p)
	_, text := auditText(t, dir)
	for _, want := range []string{
		"nonsense: unknown key", `"source":"signal"`, `{"key":"tenants.globex.suspended","after":"true"}`, `"event":"revoked","tenant":"globex"`, `"command":"get","keys":["seen"],"outcome":"ok"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	if out, ok := verifyAudit(t, dir); !ok {
		t.Error(out)
	}
}

// However often the proxy is killed, the log goes on, and what is in it is whole.
func TestAuditKilled(t *testing.T) {
	t.Parallel()
	times := 4
	if full {
		times = 50
	}
	dir := t.TempDir()
	last := 0
	for range times {
		p := harness.StartProxy(t, "", harness.Options{Top: fmt.Sprintf("audit: {dir: %q, level: write}\n", dir)})
		p.Ready(t)
		var clients sync.WaitGroup
		for range 4 {
			c := p.Connect(t, harness.Acme)
			clients.Go(func() {
				request := bytes.Repeat(harness.Request("SET", "key", "value"), 50)
				for {
					if _, err := c.Write(request); err != nil {
						return
					}
					for range 50 {
						if _, err := c.Reply(); err != nil {
							return
						}
					}
				}
			})
		}
		harness.Eventually(t, "some is written", func() bool {
			names, _ := filepath.Glob(filepath.Join(dir, "audit-0-*.jsonl"))
			size := 0
			for _, name := range names {
				if info, err := os.Stat(name); err == nil {
					size += int(info.Size())
				}
			}
			return size > last+64<<10
		})
		p.Kill()
		clients.Wait()
		out, ok := verifyAudit(t, dir)
		if !ok {
			t.Fatal(out)
		}
		_, text := auditText(t, dir)
		last = len(text)
	}
	if _, text := auditText(t, dir); strings.Count(text, `"event":"start"`) != times {
		t.Errorf("%d starts", strings.Count(text, `"event":"start"`))
	}
}
