package command

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

// startServer runs a server of its own until the test ends. A missing server fails the test, since the table is worth
// only what it was compared with.
func startServer(t *testing.T) *redis.Client {
	t.Helper()
	server := harness.StartRedis(t, "--enable-debug-command", "yes")
	client := redis.NewClient(&redis.Options{Addr: server.Addr, Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	t.Cleanup(func() { client.Close() })
	return client
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
