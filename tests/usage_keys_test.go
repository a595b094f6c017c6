package tests

import (
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// The ledger lies below the tenant's root, and the tenant can neither see nor
// touch it.
func TestUsageIsOutOfReach(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	p := harness.StartProxy(t, redis.Addr, harness.Options{Top: fastUsage})
	p.Ready(t)
	upstream, err := harness.Dial(redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	exists := func() bool { return do(t, upstream, "EXISTS", "t:acme:usage", "t:acme:usage:open") == ":2\r\n" }
	harness.Eventually(t, "there is a ledger", exists)
	hours := do(t, upstream, "ZRANGE", "t:acme:usage", "0", "-1")
	hour := strings.Split(hours, "\r\n")[2]
	before := do(t, upstream, "HLEN", "t:acme:usage:"+hour)
	c := p.Connect(t, harness.Acme)
	for _, name := range []string{"usage", "usage:open", "usage:" + hour, "t:acme:usage", "../usage"} {
		for _, args := range [][]string{{"DEL", name}, {"UNLINK", name}, {"SET", name, "x"}, {"DEL", name}, {"HSET", name, "closed", "{}"}, {"RENAME", name, "x"}, {"DEL", "x"},
			{"EVAL", "return redis.call('DEL', KEYS[1])", "1", name}} {
			do(t, c, args...)
		}
	}
	if got := do(t, c, "EVAL", "return redis.pcall('DEL', 't:acme:usage')", "0"); strings.HasPrefix(got, ":1") {
		t.Errorf("a script deletes the ledger: %q", got)
	}
	do(t, c, "FLUSHALL")
	do(t, c, "FLUSHDB")
	for want, args := range map[string][]string{
		":0\r\n": {"DBSIZE"}, "*0\r\n": {"KEYS", "*"}, "$-1\r\n": {"RANDOMKEY"},
	} {
		if got := do(t, c, args...); got != want {
			t.Errorf("%q: %q", args, got)
		}
	}
	if got := do(t, c, "SCAN", "0", "COUNT", "1000"); strings.Contains(got, "usage") || !strings.HasSuffix(got, "*0\r\n") {
		t.Errorf("SCAN: %q", got)
	}
	if !exists() || do(t, upstream, "HLEN", "t:acme:usage:"+hour) < before {
		t.Errorf("of the ledger there is left: %q", do(t, upstream, "KEYS", "*usage*"))
	}
	if got := usedBy(t, p, "acme"); got.Operations == 0 || got.Closed {
		t.Errorf("%+v", got)
	}
}
