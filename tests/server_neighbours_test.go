package tests

import (
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// What one tenant does changes nothing of what another is told, but for clocks
// and for what asking itself counts.
func TestServerNeighboursDoNotShow(t *testing.T) {
	t.Parallel()
	p, upstream, _ := startPair(t, harness.Options{})
	const token = "zq-neighbour"
	acme, stranger := p.Connect(t, harness.Acme), connectNamed(t, p, harness.Globex, token)
	diffMust(t, acme, "SET", "k", "v")
	ask := []string{
		"INFO everything", "CLIENT LIST", "CLIENT INFO", "SLOWLOG GET -1", "SLOWLOG LEN", "LATENCY LATEST", "LATENCY HISTORY command",
		"LATENCY DOCTOR", "MEMORY STATS", "MEMORY DOCTOR", "CONFIG GET *", "ACL WHOAMI", "ACL CAT", "ROLE", "LASTSAVE", "FUNCTION LIST", "COMMAND COUNT",
	}
	tell := func() map[string]string {
		all := make(map[string]string)
		for _, call := range ask {
			all[call] = diffMust(t, acme, strings.Fields(call)...)
		}
		return all
	}
	tell() // so that every command has been counted once
	before := tell()

	var crowd []*harness.Conn
	for i := range 10 {
		c := connectNamed(t, p, harness.Globex, fmt.Sprint(token, i))
		crowd = append(crowd, c)
		for k := range 30 {
			diffMust(t, c, "SET", fmt.Sprint(token, k), strings.Repeat(token, 100), "EX", "1000")
			diffMust(t, c, "GET", "k")
			c.Do("LPUSH", fmt.Sprint(token, k), "x")
			c.Do("NOPE", token)
		}
	}
	admin := diffDial(t, upstream.Addr, "")
	admin.Send("DEBUG", "SLEEP", "0.05")
	diffMust(t, stranger, "GET", token)
	admin.Reply()
	diffMust(t, stranger, "CLIENT", "PAUSE", "100000", "ALL")
	crowd[0].Send("GET", "k")

	after := tell()
	// This tenant's own commands may be slow, too.
	timed := func(call string) bool {
		return strings.HasPrefix(call, "SLOWLOG") || strings.HasPrefix(call, "LATENCY")
	}
	own := func(field string) bool {
		for _, prefix := range []string{
			"server_time_usec", "uptime_in_seconds", "lru_clock", "total_commands_processed", "instantaneous_", "total_net_", "cmdstat_", "latency_percentiles",
			"quota_ops_per_second_used", "quota_bytes_in_per_second_used", "quota_bytes_out_per_second_used",
		} {
			if strings.HasPrefix(field, prefix) {
				return true
			}
		}
		return false
	}
	for _, call := range ask {
		if strings.Contains(after[call], token) {
			t.Errorf("%s names the neighbour: %q", call, after[call])
		}
		if call != "INFO everything" && !strings.HasPrefix(call, "CLIENT") && !timed(call) && before[call] != after[call] {
			t.Errorf("%s: %q, and after the neighbour's doings %q", call, before[call], after[call])
		}
	}
	is, was := fieldsOf(after["INFO everything"]), fieldsOf(before["INFO everything"])
	for section, fields := range is {
		for name, value := range fields {
			if old := was[section][name]; old != value && !own(name) {
				t.Errorf("%s: %s was %q, and is %q after the neighbour's doings", section, name, old, value)
			}
		}
		if len(fields) != len(was[section]) {
			t.Errorf("%s had %d fields and has %d", section, len(was[section]), len(fields))
		}
	}
	if n := strings.Count(after["CLIENT LIST"], "id="); n != strings.Count(before["CLIENT LIST"], "id=") {
		t.Errorf("CLIENT LIST: %q, before %q", after["CLIENT LIST"], before["CLIENT LIST"])
	}
	diffMust(t, stranger, "CLIENT", "UNPAUSE")
}
