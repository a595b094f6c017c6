package tests

import (
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// Two tenants use the same names and never meet, and the upstream holds
// nothing without a prefix.
func TestTenantsDoNotMeet(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	p := harness.StartProxy(t, r.Addr, harness.Options{})
	p.Ready(t)
	ctx := harness.Context(t)
	acme, globex := p.Client(t, harness.Acme), p.Client(t, harness.Globex)
	if err := acme.Set(ctx, "name", "acme", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := globex.Set(ctx, "name", "globex", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if v := acme.Get(ctx, "name").Val(); v != "acme" {
		t.Errorf("acme reads %q", v)
	}
	if err := globex.FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if n := acme.DBSize(ctx).Val(); n != 1 {
		t.Errorf("acme has %d keys", n)
	}
	raw, err := harness.Dial(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if reply, err := raw.Do("KEYS", "*"); err != nil || reply != "*1\r\n$11\r\nt:acme:0:name\r\n" && !strings.Contains(reply, "t:acme:0:name") {
		t.Errorf("the upstream has %q, %v", reply, err)
	}
}
