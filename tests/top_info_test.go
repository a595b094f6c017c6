package tests

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// Reads count as hits and misses as in Redis, wherever the reply tells.
func TestKeyspaceHits(t *testing.T) {
	t.Parallel()
	p, _, plain := startPair(t, harness.Options{})
	direct, err := harness.Dial(plain.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	proxy := p.Connect(t, harness.Acme)
	both := []*harness.Conn{proxy, direct}
	counted := func(c *harness.Conn) [2]int {
		stats := fieldsOf(diffMust(t, c, "INFO", "stats"))["Stats"]
		hits, err1 := strconv.Atoi(stats["keyspace_hits"])
		misses, err2 := strconv.Atoi(stats["keyspace_misses"])
		if err1 != nil || err2 != nil {
			t.Fatal(stats)
		}
		return [2]int{hits, misses}
	}
	for _, proto := range []string{"2", "3"} {
		for _, c := range both {
			diffMust(t, c, "HELLO", proto)
			for line := range strings.Lines(`FLUSHALL
				SET s hello
					HSET h a 1 b 2
				RPUSH l a b
				SADD set a b
				ZADD z 1 a 2 b
				GEOADD g 13 38 a 15 37 b
				XADD x 1-1 a 1
				SET ttl v EX 100`) {
				c.Do(strings.Fields(line)...)
			}
		}
		for line := range strings.Lines(`GET s
			GET none
			MGET s none ttl none
			GETEX s
			GETEX none
			STRLEN s
			STRLEN none
			EXISTS s
			EXISTS none
			TOUCH s
			TOUCH none
			TYPE s
			TYPE none
			TTL s
			TTL ttl
			PTTL none
			EXPIRETIME s
			PEXPIRETIME none
			DUMP s
			DUMP none
			HGET h a
			HGET none a
			HMGET h a c
			HMGET none a b
			HGETALL h
			HGETALL none
			HKEYS h
			HVALS none
			HLEN h
			HLEN none
			HSTRLEN h a
			HRANDFIELD h
			HRANDFIELD none 2
			LINDEX l 0
			LINDEX none 0
			LLEN l
			LLEN none
			LRANGE l 0 -1
			LRANGE none 0 -1
			SCARD set
			SCARD none
			SMEMBERS set
			SMEMBERS none
			SRANDMEMBER set
			SRANDMEMBER none
			ZCARD z
			ZCARD none
			ZSCORE z a
			ZSCORE none a
			ZMSCORE z a b
			ZMSCORE none a b
			ZRANK z a
			ZREVRANK none a
			ZRANGE z 0 -1
			ZRANGE none 0 -1
			ZRANGEBYSCORE z 0 9 WITHSCORES
			ZREVRANGEBYSCORE none 0 9
			ZRANGEBYLEX z - +
			ZREVRANGE none 0 -1
			ZRANDMEMBER z
			GEODIST g a b
			GEODIST none a b
			GEOPOS g a
			GEOPOS none a b
			GEOHASH g a
			GEOHASH none a
			XLEN x
			XLEN none
			XRANGE x - +
			XREVRANGE none + -
			GETSET s new
			GETDEL s
			GETDEL none
			SET s again
			DEL ttl
			EXISTS none`) {
			words := strings.Fields(line)
			before := [2][2]int{counted(proxy), counted(direct)}
			for _, c := range both {
				c.Do(words...)
			}
			var grown [2][2]int
			for i, c := range both {
				now := counted(c)
				grown[i] = [2]int{now[0] - before[i][0], now[1] - before[i][1]}
			}
			if grown[0] != grown[1] {
				t.Errorf("RESP%s: %s: %v hits and misses, in Redis %v", proto, strings.TrimSpace(line), grown[0], grown[1])
			}
		}
		var grown [2][2]int
		for i, c := range both {
			before := counted(c)
			for _, words := range []string{"MULTI", "GET s", "GET none", "MGET s none", "TYPE s", "EXEC"} {
				c.Do(strings.Fields(words)...)
			}
			now := counted(c)
			grown[i] = [2]int{now[0] - before[0], now[1] - before[1]}
		}
		if grown[0] != [2]int{3, 2} || grown[1] != grown[0] {
			t.Errorf("in a transaction: %v, in Redis %v", grown[0], grown[1])
		}
	}
	if got := counted(p.Connect(t, harness.Globex)); got != [2]int{} {
		t.Errorf("another tenant's: %v", got)
	}
}

// INFO tells what is used of quotas, to clients as they are.
func TestInfoQuota(t *testing.T) {
	t.Parallel()
	acme := harness.Acme
	acme.YAML = "    plan: small\n    quotas: {memory: 1MiB}\n"
	p, _, _ := startPair(t, harness.Options{Tenants: []harness.Tenant{acme, harness.Globex}, Top: "plans: {small: {connections: 4, ops_per_second: 100000, memory: 2MiB}}\n"})
	ctx := harness.Context(t)
	c := p.Client(t, acme)
	for i := range 20 {
		if err := c.Set(ctx, fmt.Sprint("k", i), strings.Repeat("x", 1000), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	p.Client(t, harness.Globex).Set(ctx, "other", "x", 0)
	var quota map[string]string
	harness.Eventually(t, "what was written is reported", func() bool {
		sections, err := c.InfoMap(ctx, "quota").Result()
		if err != nil || len(sections) != 1 {
			t.Fatal(sections, err)
		}
		quota = sections["Quota"] // the other connection is that of Ready
		used, _ := strconv.Atoi(quota["quota_memory_used"])
		return used >= 20_000
	})
	for name, want := range map[string]string{
		"quota_connections_used": "2", "quota_connections_limit": "4", "quota_connections_ratio": "0.5000", "quota_keys_used": "20", "quota_keys_limit": "0",
		"quota_keys_ratio": "0.0000", "quota_memory_limit": "1048576", "quota_ops_per_second_limit": "100000", "quota_bytes_in_per_second_limit": "0",
	} {
		if quota[name] != want {
			t.Errorf("%s is %q, want %q", name, quota[name], want)
		}
	}
	if used, _ := strconv.Atoi(quota["quota_memory_used"]); used < 20_000 || used > 60_000 {
		t.Errorf("memory: %q", quota["quota_memory_used"])
	}
	for name := range quota {
		if !strings.HasPrefix(name, "quota_") || !slices.ContainsFunc([]string{"_used", "_limit", "_ratio"}, func(end string) bool { return strings.HasSuffix(name, end) }) {
			t.Errorf("unknown field %s", name)
		}
	}
	host, port, _ := strings.Cut(p.Addr, ":")
	for _, section := range []string{"quota", "all", "everything", "default"} {
		out, err := exec.CommandContext(ctx, tool(t, "redis-cli"), "-h", host, "-p", port, "--user", "acme", "--pass", acme.Secret, "--no-auth-warning", "INFO", section).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "# Quota\r\n") || !strings.Contains(string(out), "quota_connections_limit:4\r\n") || !strings.Contains(string(out), "quota_keys_used:20\r\n") {
			t.Errorf("redis-cli INFO %s: %v %q", section, err, out)
		}
	}
}

// The admin listener tells about every tenant of the configuration.
func TestAdminTenants(t *testing.T) {
	t.Parallel()
	p, _, _ := startPair(t, harness.Options{})
	ctx := harness.Context(t)
	c := p.Client(t, harness.Acme)
	c.Set(ctx, "k", "v", 0)
	c.Get(ctx, "k")
	c.Get(ctx, "none")
	c.Do(ctx, "NOSUCH")
	// Ready has looked for a key as acme, on a connection that is still there.
	r, err := http.Get("http://" + p.Admin + "/stats/tenants")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var report struct {
		Version int
		Proxy   string
		Tenants []map[string]any
	}
	if err := json.NewDecoder(r.Body).Decode(&report); err != nil || report.Version != 1 || len(report.Proxy) != 16 || len(report.Tenants) != 3 {
		t.Fatal(report, err)
	}
	acme, globex := report.Tenants[1], report.Tenants[2]
	if acme["tenant"] != "acme" || acme["hits_total"] != 1.0 || acme["misses_total"] != 2.0 || acme["errors_total"].(float64) < 1 || acme["connections"] != 2.0 || acme["commands_total"].(float64) < 3 {
		t.Errorf("%v", acme)
	}
	if globex["tenant"] != "globex" || globex["commands_total"] != 0.0 || len(globex["usage"].([]any)) == 0 {
		t.Errorf("%v", globex)
	}
}
