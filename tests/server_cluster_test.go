package tests

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

// redis-cli follows the facade, and --stat reads what it shows from INFO.
func TestServerRedisCLI(t *testing.T) {
	t.Parallel()
	p, _, _ := startPair(t, harness.Options{Top: "cluster_facade: true\nannounce: localhost:7777\n"})
	for _, words := range []string{"-c SET {a}x 1", "-c SET b 2", "-c -n 0 GET b"} {
		if out := run(t, p, "", "redis-cli", strings.Fields(words)...); out != "OK\n" && out != "2\n" {
			t.Errorf("redis-cli %s: %q", words, out)
		}
	}
	if out := run(t, p, "", "redis-cli", "CLUSTER", "SLOTS"); !strings.Contains(out, "localhost\n7777\n") {
		t.Errorf("CLUSTER SLOTS: %q", out)
	}
	script, err := exec.LookPath("script")
	if err != nil {
		t.Fatalf("the test needs script, of util-linux: %v", err)
	}
	host, port, _ := strings.Cut(p.Addr, ":")
	// In a terminal, since it writes for one only line by line.
	line := fmt.Sprintf("timeout 2 %s -h %s -p %s --user acme --pass acme-secret --no-auth-warning --stat -i 0.3", tool(t, "redis-cli"), host, port)
	out, _ := exec.Command(script, "-qec", line, "/dev/null").Output()
	if !regexp.MustCompile(`(?m)^2 +\d+(\.\d+)?[BKM] +\d +0 +\d+ \(\+\d+\) +\d+`).Match(out) {
		t.Errorf("redis-cli --stat: %q", out)
	}
}

// go-redis's cluster client works with the facade.
func TestServerClusterFacade(t *testing.T) {
	t.Parallel()
	p, _, _ := startPair(t, harness.Options{Top: "loops: 2\ncluster_facade: true\n"})
	ctx := harness.Context(t)
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{p.Addr}, Username: harness.Acme.ID, Password: harness.Acme.Secret, ReadOnly: true})
	defer c.Close()
	for i := range 100 {
		key := fmt.Sprint("key", i)
		if err := c.Set(ctx, key, i, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if v, err := c.Get(ctx, key).Int(); v != i || err != nil {
			t.Fatal(v, err)
		}
	}
	nodes := 0
	if err := c.ForEachMaster(ctx, func(_ context.Context, n *redis.Client) error { nodes++; return n.Ping(ctx).Err() }); err != nil || nodes != 1 {
		t.Errorf("%d masters, %v", nodes, err)
	}
	shards, err := c.ClusterShards(ctx).Result()
	if err != nil || len(shards) != 1 || len(shards[0].Nodes) != 1 || shards[0].Nodes[0].Role != "master" {
		t.Errorf("%+v, %v", shards, err)
	}
	raw := p.Connect(t, harness.Acme)
	id := verbatimText(diffMust(t, raw, "CLUSTER", "MYID"))
	host, port, _ := strings.Cut(p.Addr, ":")
	for _, x := range [][2]string{
		{"CLUSTER SLOTS", fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n$9\r\n%s\r\n:%s\r\n$40\r\n%s\r\n*0\r\n", host, port, id)},
		{"CLUSTER NODES", id + " " + p.Addr + "@"}, {"CLUSTER INFO", "cluster_state:ok\r\ncluster_slots_assigned:16384\r\n"},
		{"CLUSTER KEYSLOT foo", ":12182\r\n"}, {"CLUSTER KEYSLOT {foo}bar", ":12182\r\n"}, {"CLUSTER KEYSLOT 123456789", ":12739\r\n"},
		{"CLUSTER KEYSLOT {}x", ":10595\r\n"}, {"CLUSTER KEYSLOT a{foo}{bar}", ":12182\r\n"},
		{"CLUSTER LINKS", "*0\r\n"}, {"CLUSTER REPLICAS " + id, "*0\r\n"}, {"CLUSTER REPLICAS x", "-ERR Unknown node x\r\n"},
		{"CLUSTER COUNTKEYSINSLOT 1", "-NOPERM "}, {"READONLY", "+OK\r\n"}, {"READWRITE", "+OK\r\n"}, {"ASKING", "+OK\r\n"},
		{"INFO cluster", "cluster_enabled:1"}, {"INFO server", "redis_mode:cluster"}, {"HELLO", "$4\r\nmode\r\n$7\r\ncluster\r\n"},
		{"CONFIG GET cluster-enabled", "$3\r\nyes\r\n"}, {"CLUSTER FAILOVER", "-NOPERM "}, {"SELECT 3", "+OK\r\n"},
	} {
		if got, _ := raw.Do(strings.Fields(x[0])...); !strings.Contains(got, x[1]) {
			t.Errorf("%s: %q, want %q", x[0], got, x[1])
		}
	}
}
