package tests

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"riptide-proxy/quota/ledger"
	"riptide-proxy/tests/harness"
)

// fastUsage reports as often as can be.
const fastUsage = "usage: {flush: 100ms, grace: 10m}\n"

// usageOf runs riptide-proxy usage.
func usageOf(t testing.TB, p *harness.Proxy, args ...string) string {
	t.Helper()
	words := []string{"usage", "--config", p.Config}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") { // a subcommand
		words, args = []string{"usage", args[0], "--config", p.Config}, args[1:]
	}
	cmd := exec.Command(harness.Binary(t), append(words, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("usage %q: %v\n%s", args, err, errs.String())
	}
	return out.String()
}

// usedBy is a tenant's usage of this month and the last one.
func usedBy(t testing.TB, p *harness.Proxy, tenant string) ledger.Line {
	t.Helper()
	var lines []ledger.Line
	text := usageOf(t, p, "--tenant", tenant, "--from", "2020", "--to", "2029-12", "--format", "json")
	if err := json.Unmarshal([]byte(text), &lines); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if len(lines) == 0 {
		return ledger.Line{}
	}
	return lines[0]
}

func do(t testing.TB, c *harness.Conn, args ...string) string {
	t.Helper()
	reply, err := c.Do(args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return reply
}

// What a client does is in the ledger a moment later, to the command and the byte.
func TestUsageOfOneProxy(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	p := harness.StartProxy(t, redis.Addr, harness.Options{Top: fastUsage})
	p.Ready(t)
	harness.Eventually(t, "the EXISTS of Ready is reported", func() bool { return usedBy(t, p, "acme").Reads > 0 })
	before := usedBy(t, p, "acme")
	c := p.Connect(t, harness.Acme)
	in, out := 0, 0
	run := func(args ...string) {
		in += len(harness.Request(args...))
		out += len(do(t, c, args...))
	}
	for range 100 {
		run("SET", "a", "0123456789")
	}
	for range 50 {
		run("GET", "a")
	}
	run("EVAL", "return 1", "0")
	run("PUBLISH", "channel", "message")
	run("PING")
	run("MULTI")
	run("INCR", "n")
	run("GET", "n")
	run("EXEC")
	auth := len(harness.Request("AUTH", "acme", "acme-secret")) // counted with the session that it begins
	var got ledger.Line
	harness.Eventually(t, "it is reported", func() bool {
		got = usedBy(t, p, "acme")
		return got.Operations-before.Operations >= 157
	})
	for what, n := range map[string][2]int64{
		"reads":    {got.Reads - before.Reads, 51},
		"writes":   {got.Writes - before.Writes, 101},
		"scripts":  {got.Scripts - before.Scripts, 1},
		"pubsub":   {got.PubSub - before.PubSub, 1},
		"other":    {got.Other - before.Other, 3},
		"in":       {got.In - before.In, int64(in + auth)},
		"out":      {got.Out - before.Out, int64(out + len("+OK\r\n"))},
		"conns":    {got.ConnPeak, 2},
		"unclosed": {got.Hours, 1},
	} {
		if n[0] != n[1] {
			t.Errorf("%s: %d, want %d", what, n[0], n[1])
		}
	}
	if other := usedBy(t, p, "globex"); other.Operations != 0 {
		t.Errorf("globex has done nothing, and has %+v", other)
	}
}

// Commands that the upstream was not there for are nobody's usage.
func TestUsageWithoutUpstream(t *testing.T) {
	t.Parallel()
	port := harness.FreePort(t)
	redis := harness.StartRedisOn(t, port)
	p := harness.StartProxy(t, redis.Addr, harness.Options{Top: fastUsage})
	p.Ready(t)
	c := p.Connect(t, harness.Acme)
	before := usedBy(t, p, "acme").Operations
	run := int64(0)
	count := func(args ...string) bool {
		reply := do(t, c, args...)
		away := strings.HasPrefix(reply, "-UNAVAILABLE ") || strings.HasPrefix(reply, "-UNKNOWN ")
		if !away {
			run++
		}
		return !away
	}
	harness.Eventually(t, "what Ready sent is counted", func() bool {
		now := usedBy(t, p, "acme").Operations
		same := now == before && now > 0
		before = now
		return same
	})
	count("SET", "k", "v")
	redis.Kill()
	harness.Eventually(t, "the upstream is away", func() bool { return !count("GET", "k") })
	for range 50 {
		count("GET", "k")
		count("SET", "k", "v")
		count("EVAL", "return 1", "0")
		count("KEYS", "*")
		count("PUBLISH", "c", "m")
	}
	harness.StartRedisOn(t, port)
	harness.Eventually(t, "the upstream is back", func() bool { return count("GET", "k") })
	count("MULTI")
	count("GET", "k")
	count("EXEC")
	harness.Eventually(t, "all is counted that was run", func() bool { return usedBy(t, p, "acme").Operations >= before+run })
	if n := usedBy(t, p, "acme").Operations; n != before+run {
		t.Errorf("the ledger has %d, and %d were run", n-before, run)
	}
}
