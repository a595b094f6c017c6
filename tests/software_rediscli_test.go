package tests

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// cliArgs is how redis-cli logs in.
func (a account) cliArgs(args ...string) []string {
	host, port, _ := net.SplitHostPort(a.addr)
	login := []string{"-h", host, "-p", port}
	if a.secret != "" {
		login = append(login, "--user", a.user, "--pass", a.secret, "--no-auth-warning")
	}
	return append(login, args...)
}

// cli runs redis-cli to its end, for a bounded time.
func (a account) cli(t *testing.T, input io.Reader, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool(t, "redis-cli"), a.cliArgs(args...)...)
	cmd.Stdin = input
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("redis-cli %q: %v\n%.2000s", args, err, out)
	}
	return string(out)
}

// cliLines runs redis-cli until the test ends and returns what it prints.
func (a account) cliLines(t *testing.T, args ...string) *bufio.Scanner {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	cmd := exec.CommandContext(ctx, tool(t, "redis-cli"), a.cliArgs(args...)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	return bufio.NewScanner(out)
}

// Looking at what is there: --scan, --bigkeys, --memkeys, --stat, --latency.
func TestSoftwareRedisCLI(t *testing.T) {
	t.Parallel()
	acme, globex := accounts(t)
	ctx := harness.Context(t)
	const keys = 1204
	for i, a := range []account{acme, globex} {
		c := a.goRedis(t)
		pipe := c.Pipeline()
		for n := range 1200 + i*300 {
			pipe.Set(ctx, fmt.Sprint("key:", n), n, 0)
		}
		pipe.Set(ctx, a.name+"-text", strings.Repeat("x", 5000+i*5000), 0)
		for n := range 100 + i*100 {
			pipe.RPush(ctx, a.name+"-list", n)
			pipe.HSet(ctx, a.name+"-hash", n, n)
			pipe.XAdd(ctx, xadd(a.name+"-stream", n))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			t.Fatal(err)
		}
	}
	matches := func(out, pattern string) {
		t.Helper()
		if !regexp.MustCompile(pattern).MatchString(out) {
			t.Errorf("%q is not in:\n%s", pattern, out)
		}
		if strings.Contains(out, "globex") {
			t.Errorf("something of another tenant is in:\n%s", out)
		}
	}

	all := strings.Fields(acme.cli(t, nil, "--scan"))
	slices.Sort(all)
	if all = slices.Compact(all); len(all) != keys {
		t.Errorf("--scan finds %d keys, want %d", len(all), keys)
	}
	found := strings.Fields(acme.cli(t, nil, "--scan", "--pattern", "*-[lh]*"))
	slices.Sort(found)
	if found = slices.Compact(found); !slices.Equal(found, []string{"acme-hash", "acme-list"}) {
		t.Errorf("--scan with a pattern finds %q", found)
	}

	out := acme.cli(t, nil, "--bigkeys")
	matches(out, fmt.Sprintf(`Sampled %d keys in the keyspace!`, keys))
	matches(out, `Biggest +string found .*acme-text.* has 5000 bytes`)
	matches(out, `Biggest +list found .*acme-list.* has 100 items`)
	matches(out, `Biggest +hash found .*acme-hash.* has 100 fields`)
	matches(out, `Biggest +stream found .*acme-stream.* has 100 entries`)
	matches(out, fmt.Sprintf(`%d strings with`, keys-3))

	out = acme.cli(t, nil, "--memkeys")
	matches(out, fmt.Sprintf(`Sampled %d keys in the keyspace!`, keys))
	matches(out, `Biggest +string found .*acme-text.* has [5-9]\d{3} bytes`)
	matches(out, `Biggest +list found .*acme-list.* has \d+ bytes`)

	// Keys, memory, clients, blocked, requests, connections. Without a terminal
	// it would print nothing before it has a few pages.
	stat := openTerminal(t, acme, "--stat", "-i", "0.1")
	for range 3 {
		stat.await(fmt.Sprintf(`\n%d +[\d.]+[KMG]? +\d+ +\d+ +\d+ \(\+\d+\) +\d+`, keys))
	}

	fields := strings.Fields(acme.cli(t, nil, "--latency", "--raw", "-i", "1")) // min, max, average, samples
	if len(fields) != 4 {
		t.Fatalf("--latency prints %q", fields)
	}
	if n, err := strconv.Atoi(fields[3]); err != nil || n < 10 {
		t.Errorf("--latency has %d samples: %v", n, err)
	}
}

// Bulk loading: 64 MiB, or with RIPTIDE_TEST_FULL=1 a gigabyte.
func TestSoftwareRedisCLIPipe(t *testing.T) {
	t.Parallel()
	acme, _ := accounts(t)
	size := 64 << 20
	if full {
		size = 1 << 30
	}
	var block bytes.Buffer
	const keys = 1000
	for i := range keys {
		block.Write(harness.Request("SET", fmt.Sprint("bulk:", i), strings.Repeat(fmt.Sprint(i%10), 100+i)))
	}
	block.Write(harness.Request("SET", "big", strings.Repeat("b", 200_000)))
	block.Write(harness.Request("INCR", "blocks"))
	blocks := size/block.Len() + 1
	began := time.Now()
	out := acme.cli(t, &repeated{block: block.Bytes(), left: blocks}, "--pipe")
	if want := fmt.Sprintf("errors: 0, replies: %d\n", blocks*(keys+2)); !strings.Contains(out, want) {
		t.Errorf("--pipe prints %q, want %q", out, want)
	}
	t.Logf("%d MiB in %v", blocks*block.Len()>>20, time.Since(began).Round(time.Millisecond))
	if out := acme.cli(t, nil, "GET", "blocks"); out != fmt.Sprintln(blocks) {
		t.Errorf("%d blocks were loaded, the counter says %q", blocks, out)
	}
	if out := acme.cli(t, nil, "DBSIZE"); out != fmt.Sprintln(keys+2) {
		t.Errorf("DBSIZE: %q", out)
	}
	if out := acme.cli(t, nil, "GETRANGE", "bulk:999", "1095", "-1"); out != "9999\n" {
		t.Errorf("the last of a value: %q", out)
	}
}

// repeated reads the same block again and again.
type repeated struct {
	block []byte
	left  int
	at    int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.block[r.at:])
	if r.at += n; r.at == len(r.block) {
		r.at, r.left = 0, r.left-1
	}
	return n, nil
}

// MONITOR shows a tenant its own commands, as it sent them.
func TestSoftwareRedisCLIMonitor(t *testing.T) {
	t.Parallel()
	acme, globex := accounts(t)
	ctx := harness.Context(t)
	monitor := acme.cliLines(t, "MONITOR")
	if !monitor.Scan() || monitor.Text() != "OK" {
		t.Fatalf("MONITOR begins with %q", monitor.Text())
	}
	mine, other := acme.goRedis(t), globex.goRedis(t)
	for i := range 50 {
		other.Set(ctx, fmt.Sprint("globex:", i), "globex", 0)
		mine.Set(ctx, fmt.Sprint("key:", i), "a \"b\"\n\x01", 0)
		other.Get(ctx, fmt.Sprint("globex:", i))
	}
	mine.Eval(ctx, "return redis.call('GET', KEYS[1])", []string{"key:1"})
	mine.Publish(ctx, "end", "end")
	line := regexp.MustCompile(`^\d+\.\d{6} \[0 [^ \]]+\] "set" "key:(\d+)" "a \\"b\\"\\n\\x01"$`)
	next := 0
	for monitor.Scan() {
		text := monitor.Text()
		if strings.Contains(text, "globex") || strings.Contains(text, "t:acme") {
			t.Fatalf("MONITOR shows %q", text)
		}
		if m := line.FindStringSubmatch(text); m != nil {
			if m[1] != strconv.Itoa(next) {
				t.Errorf("key %s comes when %d should", m[1], next)
			}
			next++
		}
		if strings.Contains(text, `"publish" "end" "end"`) {
			break
		}
	}
	if next != 50 {
		t.Errorf("MONITOR shows %d of 50 commands", next)
	}
}

// Scripts in files, and subscribing without a terminal.
func TestSoftwareRedisCLIScripts(t *testing.T) {
	t.Parallel()
	acme, _ := accounts(t)
	file := filepath.Join(t.TempDir(), "script.lua")
	script := "-- two keys, one of them made up here\nredis.call('SET', KEYS[1] .. ':copy', ARGV[1])\n" +
		"return {KEYS[1], ARGV[2], redis.call('GET', KEYS[1] .. ':copy')}\n"
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := acme.cli(t, nil, "--eval", file, "some:key", ",", "first", "second"); out != "some:key\nsecond\nfirst\n" {
		t.Errorf("--eval: %q", out)
	}
	if out := acme.cli(t, nil, "KEYS", "*"); out != "some:key:copy\n" {
		t.Errorf("the script has made the keys %q", out)
	}
	sub := acme.cliLines(t, "SUBSCRIBE", "news", "weather")
	publisher := acme.goRedis(t)
	harness.Eventually(t, "redis-cli has subscribed", func() bool {
		n, err := publisher.PubSubNumSub(t.Context(), "weather").Result()
		return err == nil && n["weather"] == 1
	})
	publisher.Publish(t.Context(), "weather", "rain")
	for _, want := range []string{"subscribe", "news", "1", "subscribe", "weather", "2", "message", "weather", "rain"} {
		if !sub.Scan() || sub.Text() != want {
			t.Fatalf("SUBSCRIBE prints %q, want %q", sub.Text(), want)
		}
	}
}
