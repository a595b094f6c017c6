package main

import (
	"strings"
	"testing"
)

// Whoever asks for usage is told which server it is that can not be asked.
func TestUsageWithoutUpstream(t *testing.T) {
	file := configFile(t, `upstream: {addresses: [127.0.0.1:1], connect_timeout: 10ms}
tenants:
  acme: {users: {default: {sha256: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]}}}
`)
	_, _, err := run(usageCommand(), "", "--config", file)
	if err == nil || !strings.HasPrefix(err.Error(), "the upstream at 127.0.0.1:1 can not be asked: ") {
		t.Error(err)
	}
}

// And so is who asks a proxy that is not there.
func TestUsageWithoutProxy(t *testing.T) {
	t.Setenv("RIPTIDE_ADMIN_TOKEN", "a token")
	for _, args := range [][]string{{"--admin", "127.0.0.1:1"}, {"bill", "--admin", "127.0.0.1:1"}, {"close", "--from", "2025-02", "--to", "2025-03", "--admin", "127.0.0.1:1"}} {
		if _, _, err := run(usageCommand(), "", args...); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Error(args, err)
		}
	}
}
