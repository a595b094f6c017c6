package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// login connects to a proxy as a tenant and has one command answered.
func login(t *testing.T, address, tenant, secret string) *harness.Conn {
	t.Helper()
	c, err := harness.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	expect(t, c, "+OK\r\n", "AUTH", tenant, secret)
	expect(t, c, "+PONG\r\n", "PING")
	return c
}

func expect(t *testing.T, c *harness.Conn, want string, args ...string) {
	t.Helper()
	if got, err := c.Do(args...); got != want || err != nil {
		t.Fatalf("%q: %q and %v, want %q", args, got, err, want)
	}
}

// embedded is a configuration that needs nothing of the machine but free ports.
func embedded(extra string) string {
	return "listen: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\nupstream: {mode: embedded}\n" + extra +
		"tenants:\n  acme: {users: {default: {sha256: [" + config.HashSecret("acme-secret") + "]}}}\n"
}

// Without a configuration the proxy runs a demo, which works as it says. Its
// port is fixed: where something else has it, the error must say so.
func TestServeDemo(t *testing.T) {
	for _, args := range [][]string{nil, {"serve"}} {
		p := start(t, args...)
		if _, ok := p.line("Ctrl-C stops."); !ok {
			if code := p.exit(); code != 1 || !strings.Contains(p.output(), "listen tcp 127.0.0.1:6380: bind: address already in use") {
				t.Fatalf("exit code %d", code)
			}
			t.Log("the port of the demo is in use")
			continue
		}
		_, logins := config.Demo()
		text := p.printed()
		for _, l := range logins {
			try := "redis-cli -h 127.0.0.1 -p 6380 --user " + l.Tenant + " --pass " + l.Secret + " --no-auth-warning"
			for _, line := range []string{try + ` SET greeting "hello from ` + l.Tenant + `"`, try + " GET greeting", try + " KEYS '*'"} {
				if !strings.Contains(text, "  "+line+"\n") {
					t.Errorf("%q does not tell to try %s", text, line)
				}
			}
			c := login(t, "127.0.0.1:6380", l.Tenant, l.Secret)
			expect(t, c, "+OK\r\n", "SET", "greeting", "hello from "+l.Tenant)
		}
		for _, l := range logins {
			c := login(t, "127.0.0.1:6380", l.Tenant, l.Secret)
			value := "hello from " + l.Tenant
			expect(t, c, fmt.Sprintf("$%d\r\n%s\r\n", len(value), value), "GET", "greeting")
			expect(t, c, "*1\r\n$8\r\ngreeting\r\n", "KEYS", "*")
			c.Close()
		}
		p.signal(syscall.SIGINT)
		if code := p.exit(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

// With one it says where it listens, and ends well when it is told to.
func TestServe(t *testing.T) {
	p := start(t, "serve", "--config", configFile(t, embedded("")))
	address, admin := p.field(" serving ", "listen"), p.field(" serving ", "admin")
	c := login(t, address, "acme", "acme-secret")
	expect(t, c, "+OK\r\n", "SET", "k", "v")
	r, err := http.Get("http://" + admin + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if string(body) != "ok\n" || err != nil {
		t.Errorf("/healthz: %q, %v", body, err)
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if b, err := io.ReadAll(c.R); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client got %q, %v", b, err)
	}
	if text := p.printed(); text != "" { // the log is on standard error
		t.Errorf("it printed %q", text)
	}
}

// The root command takes the same flag.
func TestServeIsTheDefault(t *testing.T) {
	p := start(t, "--config", configFile(t, embedded("")))
	login(t, p.field(" serving ", "listen"), "acme", "acme-secret")
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// The embedded upstream is there as soon as the proxy is.
func TestReadyOnTheEmbeddedUpstream(t *testing.T) {
	p := start(t, "serve", "--config", configFile(t, embedded("")))
	admin := p.field(" serving ", "admin")
	harness.Eventually(t, "/readyz is ok", func() bool {
		r, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode == 200
	})
}

func TestServeRefuses(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	bad := configFile(t, "listen: 127.0.0.1:0\nlimits:\n  bulk: 12XB\nupstrem: {mode: embedded}\n")
	inUse := "bind: address already in use"
	for _, c := range []struct {
		name string
		args []string
		want []string // lines that are printed, or parts of them
	}{
		{"bad configuration", []string{"serve", "--config", bad}, []string{
			bad + `:3: limits.bulk: "12XB" is not a size`, bad + ":4: ", "upstrem"}},
		{"the same without serve", []string{"--config", bad}, []string{bad + ":3: ", bad + ":4: "}},
		{"no such file", []string{"serve", "--config", bad + ".none"}, []string{"riptide-proxy: open " + bad + ".none: no such file or directory"}},
		{"address in use", []string{"serve", "--config", configFile(t, strings.Replace(embedded(""), "127.0.0.1:0", busy.Addr().String(), 1))},
			[]string{"riptide-proxy: listen: ", busy.Addr().String(), inUse}},
		{"admin address in use", []string{"serve", "--config", configFile(t, strings.Replace(embedded(""), "admin: {listen: 127.0.0.1:0}", "admin: {listen: "+busy.Addr().String()+"}", 1))},
			[]string{"riptide-proxy: admin.listen: ", busy.Addr().String(), inUse}},
		{"unknown flag", []string{"serve", "--what"}, []string{"riptide-proxy: unknown flag: --what"}},
		{"argument", []string{"serve", "riptide.yaml"}, []string{"riptide-proxy: ", "riptide.yaml"}},
		{"unknown command", []string{"what"}, []string{"riptide-proxy: ", "what"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := start(t, c.args...)
			if code := p.exit(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			for _, want := range c.want {
				if !strings.Contains(p.output(), want) {
					t.Errorf("it does not print %q", want)
				}
			}
			if text := p.printed(); text != "" {
				t.Errorf("errors on standard output: %q", text)
			}
		})
	}
}

// silentUpstream accepts the proxy's connections, answers PING, and then says
// nothing any more; asked is told of the first command.
func silentUpstream(t *testing.T) (address string, asked <-chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	came := make(chan struct{})
	once := sync.OnceFunc(func() { close(came) })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 64<<10)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					if bytes.Contains(b[:n], []byte("t:acme:0:k")) {
						once()
					} else if bytes.Contains(b[:n], []byte("PING")) {
						io.WriteString(c, "+PONG\r\n")
					}
				}
			}()
		}
	}()
	return ln.Addr().String(), came
}

// A shutdown waits for what is in flight, for as long as the configuration
// says; whoever does not want to wait sends the signal again.
func TestShutdownThatWaits(t *testing.T) {
	for _, c := range []struct {
		name, timeout string
		again         bool
	}{
		{"a second signal", "1h", true},
		{"the timeout", "20ms", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			upstream, asked := silentUpstream(t)
			text := strings.Replace(embedded("shutdown_timeout: "+c.timeout+"\n"), "mode: embedded", "addresses: ["+upstream+"]", 1)
			p := start(t, "serve", "--config", configFile(t, text))
			conn := login(t, p.field(" serving ", "listen"), "acme", "acme-secret")
			if err := conn.Send("GET", "k"); err != nil {
				t.Fatal(err)
			}
			select {
			case <-asked:
			case <-time.After(patience):
				t.Fatal("the upstream is not asked")
			}
			p.signal(syscall.SIGTERM)
			if _, ok := p.line("shutting down"); !ok {
				t.Error("it does not say that it is shutting down")
			}
			told := time.Now()
			if c.again {
				p.signal(syscall.SIGTERM)
			}
			// Some commands were not answered, which is no success.
			if code := p.exit(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			// What the proxy itself was asking the upstream is not waited for, which would take 10 s.
			if took := time.Since(told); took > 8*time.Second {
				t.Errorf("it took %v", took)
			}
			if !strings.Contains(p.output(), "riptide-proxy: shutdown timeout: some commands were not answered") {
				t.Error("it does not say what it left undone")
			}
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	for arg, want := range map[string]string{"--version": "riptide-proxy version dev\n", "--help": "One Redis, many isolated tenants"} {
		p := start(t, arg)
		if code := p.exit(); code != 0 || !strings.Contains(p.printed(), want) {
			t.Errorf("%s: exit code %d", arg, code)
		}
	}
}
