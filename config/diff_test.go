package config

import (
	"slices"
	"strings"
	"testing"
)

func good(t *testing.T, text string) *Config {
	t.Helper()
	c, _, err := Parse("f", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDiff(t *testing.T) {
	before := good(t, "upstream: {addresses: [a:1], password: hunter2, username: u}\nadmin: {tokens: [{name: ops, role: admin, sha256: "+hashA+"}]}\n"+
		"plans: {free: {keys: 1}}\ntenants:\n  acme: {users: {default: {sha256: ["+hashB+"]}}, quotas: {memory: 1MiB}}\n  gone: {suspended: true}\n")
	if d := Diff(before, before); len(d) != 0 {
		t.Error(d)
	}
	after := good(t, "upstream: {addresses: [b:1], password: hunter3, username: u}\nplans: {free: {keys: 2}}\naudit: {dir: log, secret: 0123456789abcdef}\n"+
		"tenants:\n  acme: {users: {default: {sha256: ["+HashSecret("x")+"]}, more: {quotas: {ops_per_second: 5}}}, quotas: {memory: 2MiB}}\n  came: {plan: free}\n")
	got := Diff(before, after)
	for _, want := range []Difference{
		{"upstream.addresses", "[a:1]", "[b:1]"}, {"upstream.password", "***", "***"}, {"admin.tokens[0].name", "ops", ""}, {"admin.tokens[0].sha256", "***", ""},
		{"plans.free.keys", "1", "2"}, {"tenants.acme.quotas.memory", "1MiB", "2MiB"}, {"tenants.acme.users.default.sha256", "***", "***"},
		{"tenants.acme.users.more.quotas.ops_per_second", "", "5"}, {"tenants.came.plan", "", "free"}, {"tenants.gone.suspended", "true", ""},
		{"audit.dir", "", "log"}, {"audit.secret", "", "***"},
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%+v is not in %+v", want, got)
		}
	}
	for _, d := range got {
		for _, secret := range []string{"hunter", hashA, hashB, "0123456789abcdef", HashSecret("x")} {
			if strings.Contains(d.Before+d.After, secret) {
				t.Errorf("%+v", d)
			}
		}
	}
}
