package tests

import (
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// Tenants do not meet what is counted, and can not reach it.
func TestCountHidden(t *testing.T) {
	t.Parallel()
	r, fleet := startFleet(t, 1, "connections: 20, pinned: 5")
	c := fleet[0].Connect(t, harness.Acme)
	for want, call := range map[string]string{
		":0\r\n": "DBSIZE", "*0\r\n": "KEYS *", "$-1\r\n": "RANDOMKEY", "+none\r\n": "TYPE counts", "*2\r\n$1\r\n0\r\n*0\r\n": "SCAN 0 COUNT 1000", "+OK\r\n": "FLUSHALL",
	} {
		expect(t, c, want, strings.Fields(call)...)
	}
	for _, script := range []string{"return redis.call('HGETALL', 't:acme:counts')", "return redis.call('HGETALL', '../counts')"} {
		expect(t, c, "*0\r\n", "EVAL", script, "0")
	}
	up, err := harness.Dial(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	expect(t, up, ":1\r\n", "EXISTS", "t:acme:counts")
}
