package proxy

import (
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/quota"
	"riptide-proxy/tests/harness"
)

// limitedTenant is one with quotas, for options.tenants.
func limitedTenant(quotas string) string {
	return "  initech: {users: {default: {sha256: [" + hashOf("initech") + "]}, other: {sha256: [" + hashOf("other") + "]}}, quotas: {" + quotas + "}}\n"
}

// The embedded upstream counts as well, and whose the users are makes no difference.
func TestCountsEmbedded(t *testing.T) {
	s := startEmbedded(t, options{loops: 2, tenants: limitedTenant("connections: 2, subscriptions: 3")})
	a := login(t, s, "initech")
	b := dial(t, s)
	b.expect("+OK\r\n", "AUTH", "initech.other", secretOf("other"))
	full := "-ERR max number of clients reached: tenant initech has its quota of 2 connections\r\n"
	c := login(t, s, "globex")
	for _, words := range [][]string{{"AUTH", "initech", secretOf("initech")}, {"AUTH", "initech.other", secretOf("other")}, {"HELLO", "3", "AUTH", "initech", secretOf("initech")}} {
		c.expect(full, words...)
	}
	c.expect("+OK\r\n", "SET", "k", "globex's")
	c.expect("$8\r\nglobex's\r\n", "GET", "k")
	a.expect("+OK\r\n", "AUTH", "initech.other", secretOf("other")) // the same tenant's
	a.expect("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "AUTH", "initech", "wrong")
	c.expect(full, "AUTH", "initech", secretOf("initech"))
	a.expect("+OK\r\n", "AUTH", "globex", secretOf("globex"))
	c.expect("+OK\r\n", "AUTH", "initech", secretOf("initech"))
	a.expect(full, "AUTH", "initech", secretOf("initech"))
	want := []quota.Usage{{Resource: "connections", Used: 2, Limit: 2}, {Resource: "subscriptions", Used: 0, Limit: 3}}
	if got := s.CountUsage("initech"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v", got)
	}
	if got := s.CountUsage("globex"); got != nil {
		t.Errorf("%+v", got)
	}
	if n := stats(t, s).Tenants["initech"].Refused; n != 5 {
		t.Errorf("%d are counted as refused", n)
	}
}

// Where the upstream does not let the proxy count, each proxy counts by itself,
// and says so once.
func TestCountsNotAllowed(t *testing.T) {
	s, f := startFake(t, options{tenants: limitedTenant("connections: 2")})
	login(t, s, "initech")
	b := login(t, s, "initech")
	c := dial(t, s)
	if reply := c.do("AUTH", "initech", secretOf("initech")); !strings.HasPrefix(reply, "-ERR max number of clients") {
		t.Fatalf("%q", reply)
	}
	b.Close()
	harness.Eventually(t, "there is room", func() bool { return c.do("AUTH", "initech", secretOf("initech")) == "+OK\r\n" })
	if f.count("EVALSHA") == 0 {
		t.Error("the upstream was not asked")
	}
}

// A client that leaves while it waits takes nothing with it.
func TestCountsLeaving(t *testing.T) {
	s, f := startFake(t, options{tenants: limitedTenant("connections: 2")})
	arrived, open := f.gate("EVALSHA", "-ERR no\r\n")
	for range 20 {
		c := dial(t, s)
		c.send("AUTH initech " + secretOf("initech"))
		c.Close()
	}
	await(t, arrived, "the question")
	open()
	harness.Eventually(t, "nothing is counted", func() bool {
		return s.clients.Load() == 0 && s.counts.Tenant("initech").Used(quota.Connections) == 0
	})
}

// What a shape refuses is counted, and leaves no trace.
func TestShapeRefused(t *testing.T) {
	s := startEmbedded(t, options{tenants: limitedTenant("value: 100, reply: 200, keys_per_command: 2, pipeline: 5")})
	c := login(t, s, "initech")
	c.expect("-ERR tenant initech is over its quota of bytes in a value (100)\r\n", "SET", "k", strings.Repeat("x", 101))
	c.expect("-ERR tenant initech is over its quota of keys in a command (2)\r\n", "MGET", "1", "2", "3")
	c.expect("-ERR tenant initech is over its quota of bytes in a reply (200)\r\n", "ECHO", strings.Repeat("x", 200))
	c.send("PING", "PING", "PING", "PING", "PING", "PING", "AUTH initech "+secretOf("initech"))
	c.read(strings.Repeat("+PONG\r\n", 5) + "-ERR tenant initech is over its quota of commands in a pipeline (5)\r\n+OK\r\n")
	c.expect("$-1\r\n", "GET", "k")
	if n := stats(t, s).Tenants["initech"].Refused; n != 4 {
		t.Errorf("%d are counted as refused", n)
	}
	// Before the login and after RESET there are no such limits.
	c.expect("+RESET\r\n", "RESET")
	c.send("PING", "PING", "PING", "PING", "PING", "PING")
	c.read(strings.Repeat("-NOAUTH Authentication required.\r\n", 6))
}
