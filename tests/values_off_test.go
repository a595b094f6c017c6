package tests

import (
	"strings"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// TestValuesEncryptionOff reads encrypted values once encryption is turned off in the configuration.
func TestValuesEncryptionOff(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	run := func(yaml string) (*harness.Proxy, *harness.Conn) {
		p := harness.StartProxy(t, r.Addr, harness.Options{
			Top:     "encryption_keys:\n  test: {env: RIPTIDE_VALUES_KEY}\n",
			Env:     []string{"RIPTIDE_VALUES_KEY=" + config.HashSecret("a key of these tests")},
			Tenants: []harness.Tenant{valuesTenant("one", yaml)},
		})
		p.Ready(t)
		return p, p.Connect(t, valuesTenant("one", yaml))
	}
	do := func(c *harness.Conn, words string) string {
		t.Helper()
		reply, err := c.Do(strings.Fields(words)...)
		if err != nil {
			t.Fatalf("%s: %v", words, err)
		}
		return reply
	}
	reads := []string{
		"GET s", "MGET s n none s", "GETRANGE s 1 3", "STRLEN s", "GETEX s", "HGET h f", "HMGET h f g", "HGETALL h", "HVALS h", "HSTRLEN h f",
		"SORT l BY nosort GET *", "SORT l BY nosort GET h->f", "SORT l BY * ALPHA", "XRANGE x - +", "OBJECT ENCODING n", "DUMP s",
	}
	p, c := run("    encryption: {algorithm: aes-256-gcm, key: test}\n    compression: {algorithm: none, streams: true}\n")
	upstream, err := harness.Dial(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	noted := func() bool {
		return do(upstream, "GET t:one:values") == "$9\r\nencrypted\r\n" && do(upstream, "HEXISTS t::values one") == ":1\r\n"
	}
	harness.Eventually(t, "the upstream knows who has encrypted values", noted)
	do(upstream, "FLUSHALL") // by the operator: what the proxies have noted there is lost, too
	harness.Eventually(t, "the upstream knows it again", noted)
	for _, words := range []string{"SET s secret", "SET n 41", "SET m again", "HSET h f one g two", "RPUSH l s n", "XADD x 1-1 f v"} {
		do(c, words)
	}
	var want []string
	for _, words := range reads {
		want = append(want, do(c, words))
	}
	p.Kill()
	for _, yaml := range []string{"", "    encryption: {algorithm: none}\n", "    compression: {algorithm: zstd}\n"} {
		p, c := run(yaml)
		for i, words := range reads {
			if got := do(c, words); got != want[i] {
				t.Errorf("with %q %s answers %q, not %q", yaml, words, got, want[i])
			}
		}
		for _, words := range []string{"MULTI", "GET s", "HGETALL h"} {
			do(c, words)
		}
		if got := do(c, "EXEC"); !strings.Contains(got, "secret") || !strings.Contains(got, "two") {
			t.Errorf("with %q a transaction reads %q", yaml, got)
		}
		p.Kill()
	}
	_, c = run("")
	for _, step := range [][2]string{
		{"INCR n", ":42\r\n"}, {"APPEND s x", ":7\r\n"}, {"GET s", "$7\r\nsecretx\r\n"}, {"RENAME m m2", "+OK\r\n"}, {"GET m2", "$5\r\nagain\r\n"},
	} {
		if got := do(c, step[0]); got != step[1] {
			t.Errorf("%s answers %q", step[0], got)
		}
	}
}

// TestValuesEncryptionOn has one of two proxies encrypt what was only compressed. The other one reads it.
func TestValuesEncryptionOn(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	run := func(yaml string) *harness.Conn {
		p := harness.StartProxy(t, r.Addr, harness.Options{
			Top:     "encryption_keys:\n  test: {env: RIPTIDE_VALUES_KEY}\n",
			Env:     []string{"RIPTIDE_VALUES_KEY=" + config.HashSecret("a key of these tests")},
			Tenants: []harness.Tenant{valuesTenant("one", yaml)},
		})
		p.Ready(t)
		return p.Connect(t, valuesTenant("one", yaml))
	}
	const compressed = "    compression: {algorithm: zstd}\n"
	first := run(compressed)
	time.Sleep(1500 * time.Millisecond) // by then it has announced what it does
	second := run(compressed + "    encryption: {algorithm: aes-256-gcm, key: test}\n")
	for _, step := range []struct {
		c           *harness.Conn
		words, want string
	}{
		{second, "SET s secret", "+OK\r\n"}, {first, "GET s", "$6\r\nsecret\r\n"}, {first, "RENAME s s2", "+OK\r\n"}, {second, "GET s2", "$6\r\nsecret\r\n"},
	} {
		if got, err := step.c.Do(strings.Fields(step.words)...); err != nil || got != step.want {
			t.Errorf("%s answers %q, %v", step.words, got, err)
		}
	}
}

// TestValuesUpstreamLater has a tenant log in while the upstream is down. Its sealed values are
// opened once it is back, also in a proxy that has no section for them any more.
func TestValuesUpstreamLater(t *testing.T) {
	t.Parallel()
	port, dir := harness.FreePort(t), t.TempDir()
	r := harness.StartRedisOn(t, port, "--dir", dir)
	tenant := valuesTenant("one", "    compression: {algorithm: zstd, min_size: 1}\n")
	text := strings.Repeat("again ", 100)
	p := harness.StartProxy(t, r.Addr, harness.Options{Tenants: []harness.Tenant{tenant}})
	p.Ready(t)
	if reply, err := p.Connect(t, tenant).Do("SET", "k", text); reply != "+OK\r\n" {
		t.Fatal(reply, err)
	}
	p.Kill()
	c, err := harness.Dial(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if reply, err := c.Do("SAVE"); reply != "+OK\r\n" {
		t.Fatal(reply, err)
	}
	r.Kill()
	tenant.YAML = "    compression: {algorithm: none}\n"
	p = harness.StartProxy(t, r.Addr, harness.Options{Tenants: []harness.Tenant{tenant}})
	if c, err = harness.Dial(p.Addr); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if reply, err := c.Do("AUTH", tenant.ID, tenant.Secret); reply != "+OK\r\n" {
		t.Fatal(reply, err)
	}
	harness.StartRedisOn(t, port, "--dir", dir)
	harness.Eventually(t, "the value is opened", func() bool {
		reply, err := c.Do("GET", "k")
		return err == nil && strings.Contains(reply, text)
	})
}
