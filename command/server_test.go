package command

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startServer runs a server of its own on a free loopback port until the test ends: the program that REDIS_SERVER
// names, or redis-server. A missing server fails the test, since the table is worth only what it was compared with.
func startServer(t *testing.T) *redis.Client {
	t.Helper()
	program := os.Getenv("REDIS_SERVER")
	if program == "" {
		program = "redis-server"
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	listener.Close()

	server := exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(),
		"--save", "", "--appendonly", "no", "--enable-debug-command", "yes")
	if err := server.Start(); err != nil {
		t.Fatalf("these tests need a server, name one in REDIS_SERVER: %v", err)
	}
	client := redis.NewClient(&redis.Options{Addr: address, Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	t.Cleanup(func() {
		client.Close()
		server.Process.Kill()
		server.Wait()
	})
	for range 200 {
		if err = client.Ping(context.Background()).Err(); err == nil {
			return client
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s does not answer: %v", program, err)
	return nil
}

// serverOf asks a server what it is. A build from a development branch calls itself version 255.
func serverOf(t *testing.T, client *redis.Client) Server {
	t.Helper()
	info, err := client.Info(context.Background(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	s := Server{Product: "redis"}
	version := field(info, "redis_version")
	if v := field(info, "valkey_version"); v != "" {
		s.Product, version = "valkey", v
	}
	if _, err := fmt.Sscanf(version, "%d.%d", &s.Major, &s.Minor); err != nil {
		t.Fatalf("version %q: %v", version, err)
	}
	t.Logf("%s %s", s.Product, version)
	return s
}

// field returns the value of one line of INFO.
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && key == name {
			return value
		}
	}
	return ""
}
