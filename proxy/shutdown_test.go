package proxy

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// begin starts a shutdown and returns what it will return.
func begin(ctx context.Context, s *Server) <-chan error {
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	return done
}

// Shutdown answers what is in flight, forwarded and slow, and closes who waits
// for nothing at once; nobody new gets in.
func TestShutdown(t *testing.T) {
	s, f := startFake(t, options{loops: 2})
	gets, openGet := f.gate("GET", "$3\r\nyes\r\n")
	scans, openScan := f.gate("SCAN", string(scanPage("0", "t:acme:0:k")))
	stranger := dial(t, s)
	idle := []*client{stranger, login(t, s, "acme"), login(t, s, "globex"), login(t, s, "acme")}
	reader, slow := login(t, s, "acme"), login(t, s, "acme")
	reader.send("GET a", "PING", "GET b")
	slow.send("KEYS *")
	await(t, gets, "GET")
	await(t, scans, "SCAN")

	done := begin(context.Background(), s)
	for _, c := range idle {
		c.ends()
		c.Close()
	}
	if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
		c.Close()
		t.Error("a new client was let in")
	}
	select {
	case err := <-done:
		t.Fatalf("Shutdown returned %v before all was answered", err)
	default:
	}
	openGet()
	reader.read("$3\r\nyes\r\n+PONG\r\n$3\r\nyes\r\n")
	reader.ends()
	reader.Close()
	openScan()
	slow.read("*1\r\n$1\r\nk\r\n")
	slow.ends()
	slow.Close()
	if err := await(t, done, "Shutdown"); err != nil {
		t.Error(err)
	}
	if _, err := s.Stats(t.Context()); err == nil {
		t.Error("Stats of a proxy that has ended")
	}
}

// What takes longer than the operator grants is broken off, whatever it waits
// for, and Shutdown says so.
func TestShutdownTimeout(t *testing.T) {
	for _, what := range []struct{ name, command, gate, answer string }{
		{"forwarded", "GET k", "GET", ""},
		{"slow", "KEYS *", "SCAN", "-" + errUnavailable + "\r\n"},
	} {
		t.Run(what.name, func(t *testing.T) {
			s, f := startFake(t, options{})
			arrived, _ := f.gate(what.gate, "")
			c, idle := login(t, s, "acme"), login(t, s, "acme")
			c.send(what.command)
			await(t, arrived, what.gate)
			ctx, cancel := context.WithCancel(t.Context())
			done := begin(ctx, s)
			idle.ends()
			cancel() // the timeout
			if err := await(t, done, "Shutdown"); !errors.Is(err, ErrTimeout) {
				t.Errorf("Shutdown: %v", err)
			}
			c.read(what.answer)
			c.ends()
		})
	}
}

// A client that does not read does not hold up the shutdown for longer than
// its timeout.
func TestShutdownOfASlowReader(t *testing.T) {
	s, f := startFake(t, options{})
	f.handle("GET", func([]string) []byte { return bulk(strings.Repeat("x", 16<<20)) })
	c := login(t, s, "acme")
	c.send("GET k")
	c.read("$") // it is on its way
	ctx, cancel := context.WithCancel(t.Context())
	done := begin(ctx, s)
	harness.Eventually(t, "the loop drains", func() (draining bool) {
		onLoop(t, s.workers[0], func() { draining = s.workers[0].draining })
		return draining
	})
	cancel()
	if err := await(t, done, "Shutdown"); !errors.Is(err, ErrTimeout) {
		t.Errorf("Shutdown: %v", err)
	}
}

// One address is good for one proxy, and the error says which.
func TestStartAddressInUse(t *testing.T) {
	s, _ := startFake(t, options{})
	cfg := *s.conf().cfg
	cfg.Listen = s.Addr().String()
	again, err := Start(&cfg, s.target)
	if err == nil {
		again.Shutdown(t.Context())
		t.Fatal("no error")
	}
	if text := err.Error(); !strings.Contains(text, cfg.Listen) || !strings.Contains(text, "address already in use") {
		t.Errorf("error %q", text)
	}
}
