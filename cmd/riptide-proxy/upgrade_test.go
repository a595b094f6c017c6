package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// upgradable is a configuration that needs a server, with what else is given.
func upgradable(t *testing.T, extra string) (file, dir string) {
	t.Helper()
	server := harness.StartRedis(t)
	text := strings.Replace(embedded(extra), "mode: embedded", "addresses: ["+server.Addr+"]", 1)
	file = configFile(t, text)
	return file, filepath.Join(filepath.Dir(file), "state")
}

// successor has a program replaced, and returns the number of the process that has taken over. It ends with the test.
func successor(t *testing.T, file string) (pid, from string) {
	t.Helper()
	up := start(t, "upgrade", "--config", file)
	code := up.exit()
	words := strings.Fields(up.printed())
	if code != 0 || len(words) != 8 {
		t.Fatalf("exit code %d: %q", code, up.printed())
	}
	n, err := strconv.Atoi(words[1])
	if err != nil || n <= 1 {
		t.Fatalf("%q is no process", words[1])
	}
	t.Cleanup(func() { syscall.Kill(n, syscall.SIGKILL) })
	return words[1], words[7]
}

// The signal has a new process take over the addresses, also ports that the system has chosen, and the old one
// ends. The new one can be replaced again, once the first is gone.
func TestUpgrade(t *testing.T) {
	file, dir := upgradable(t, "state_dir: state\nshutdown_timeout: 2s\n")
	p := start(t, "serve", "--config", file)
	address, admin := p.field(" serving ", "listen"), p.field(" serving ", "admin")
	was := p.field(" serving ", "process")
	for range 2 {
		login(t, address, "acme", "acme-secret")
		next, from := successor(t, file)
		if from != was {
			t.Fatalf("%s was replaced, not %s", from, was)
		}
		was = next
		if b, err := os.ReadFile(filepath.Join(dir, "riptide-proxy.pid")); err != nil || strings.TrimSpace(string(b)) != was {
			t.Errorf("the file says %q, %v", b, err)
		}
		login(t, address, "acme", "acme-secret")
		if line, _ := p.line(" process=" + was); !strings.Contains(line, "listen="+address+" ") || !strings.Contains(line, "admin="+admin+" ") {
			t.Errorf("other addresses than %s and %s: %s", address, admin, line)
		}
	}
}

// A new process that does not come up changes nothing.
func TestUpgradeFails(t *testing.T) {
	file, _ := upgradable(t, "state_dir: state\n")
	p := start(t, "serve", "--config", file)
	address := p.field(" serving ", "listen")
	c := login(t, address, "acme", "acme-secret")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(good, "lissen: x\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	// The command does not even try.
	up := start(t, "upgrade", "--config", file)
	if code := up.exit(); code != 1 || !strings.Contains(up.output(), "lissen") {
		t.Errorf("exit code %d", code)
	}
	p.signal(syscall.SIGUSR2)
	if line, ok := p.line("no new process has taken over"); !ok || !strings.Contains(line, "exit status 1") {
		t.Errorf("%q", line)
	}
	expect(t, c, "+PONG\r\n", "PING")
	login(t, address, "acme", "acme-secret")
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	successor(t, file) // it is good again
	login(t, address, "acme", "acme-secret")
}

// What would lose data is not done.
func TestUpgradeEmbedded(t *testing.T) {
	p := start(t, "serve", "--config", configFile(t, embedded("")))
	address := p.field(" serving ", "listen")
	p.signal(syscall.SIGUSR2)
	if _, ok := p.line("the embedded upstream's data would be lost"); !ok {
		t.Error("it does not say so")
	}
	login(t, address, "acme", "acme-secret")
}

func TestUpgradeRefuses(t *testing.T) {
	none := configFile(t, embedded(""))
	idle := configFile(t, embedded("state_dir: state\n"))
	dead := configFile(t, embedded("state_dir: state\n"))
	for file, pid := range map[string]string{idle: "", dead: "1"} {
		dir := filepath.Join(filepath.Dir(file), "state")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if pid == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "riptide-proxy.pid"), []byte(pid), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, file, want string
	}{
		{"no state_dir", none, "without state_dir the running proxy can not be found"},
		{"nobody runs", idle, "no proxy is running with this state_dir"},
		{"whoever ran is dead", dead, "no proxy is running with this state_dir"},
		{"no such file", none + ".none", "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			up := start(t, "upgrade", "--config", c.file)
			if code := up.exit(); code != 1 || !strings.Contains(up.output(), c.want) {
				t.Errorf("exit code %d, want %q", code, c.want)
			}
		})
	}
}

// Two proxies do not share a folder; after a crash it is free again.
func TestStateDirIsOnes(t *testing.T) {
	file := configFile(t, embedded("state_dir: state\n"))
	p := start(t, "serve", "--config", file)
	pid := p.field(" serving ", "process")
	other := start(t, "serve", "--config", file)
	if code := other.exit(); code != 1 || !strings.Contains(other.output(), "another proxy uses the folder (process "+pid+")") {
		t.Errorf("exit code %d", code)
	}
	p.cmd.Process.Kill()
	<-p.done
	p = start(t, "serve", "--config", file)
	login(t, p.field(" serving ", "listen"), "acme", "acme-secret")
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(file), "state", "riptide-proxy.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
}

// A service manager is told when the proxy serves, by which process, and that it stops.
func TestNotify(t *testing.T) {
	socket, said := notifySocket(t)
	t.Setenv("NOTIFY_SOCKET", socket)
	p := start(t, "serve", "--config", configFile(t, embedded("")))
	pid := p.field(" serving ", "process")
	if got, want := <-said, "READY=1\nMAINPID="+pid; got != want {
		t.Errorf("it said %q, want %q", got, want)
	}
	p.signal(syscall.SIGTERM)
	select {
	case got := <-said:
		if got != "STOPPING=1" {
			t.Errorf("it said %q", got)
		}
	case <-time.After(patience):
		t.Error("it said nothing")
	}
}

// notifySocket is one as a service manager has it.
func notifySocket(t *testing.T) (path string, said <-chan string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	lines := make(chan string, 10)
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			lines <- string(b[:n])
		}
	}()
	return path, lines
}
