package tests

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

// tool finds a program that comes with Redis, next to the server the tests use.
func tool(t *testing.T, name string) string {
	t.Helper()
	if path := filepath.Join(filepath.Dir(harness.RedisBinary(t)), name); exec.Command(path, "--version").Run() == nil {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("the tests need %s (Debian: apt-get install redis-tools): %v", name, err)
	}
	return path
}

// run runs a program against the proxy with some input, for a bounded time.
func run(t *testing.T, p *harness.Proxy, input, name string, args ...string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(p.Addr)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	login := []string{"-h", host, "-p", port, "--user", "acme"}
	if name == "redis-cli" {
		login = append(login, "--pass", "acme-secret", "--no-auth-warning")
	} else {
		login = append(login, "-a", "acme-secret")
	}
	cmd := exec.CommandContext(ctx, tool(t, name), append(login, args...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %q: %v\n%.2000s", name, args, err, out)
	}
	return string(out)
}

func clientsProxy(t *testing.T) *harness.Proxy {
	t.Helper()
	p := harness.StartProxy(t, harness.StartRedis(t).Addr, harness.Options{})
	p.Ready(t)
	return p
}

func TestClientsRedisCLI(t *testing.T) {
	t.Parallel()
	p := clientsProxy(t)
	cli := func(want string, args ...string) {
		t.Helper()
		if out := run(t, p, "", "redis-cli", args...); out != want {
			t.Errorf("redis-cli %q: %q, want %q", args, out, want)
		}
	}
	cli("OK\n", "SET", "greeting", "hello world")
	cli("hello world\n", "GET", "greeting")
	cli("hello world\n", "-3", "GET", "greeting")
	cli("3\n", "-n", "2", "RPUSH", "l", "a", "b", "c")
	cli("a\nb\nc\n", "-n", "2", "LRANGE", "l", "0", "-1")
	cli("\n", "GET", "l")
}

// One-shot, with standard input, scanning, bulk loading, and as a session.
func TestClientsRedisCLIModes(t *testing.T) {
	t.Parallel()
	p := clientsProxy(t)
	run(t, p, "from stdin", "redis-cli", "-x", "SET", "piped")
	if out := run(t, p, "", "redis-cli", "GET", "piped"); out != "from stdin\n" {
		t.Errorf("-x: %q", out)
	}
	var load strings.Builder
	for i := range 5000 {
		load.Write(harness.Request("SET", fmt.Sprintf("key:%04d", i), fmt.Sprint("value ", i)))
	}
	if out := run(t, p, load.String(), "redis-cli", "--pipe"); !strings.Contains(out, "errors: 0, replies: 5000") {
		t.Errorf("--pipe: %q", out)
	}
	out := run(t, p, "", "redis-cli", "--scan", "--pattern", "key:*")
	keys := strings.Fields(out)
	slices.Sort(keys)
	if keys = slices.Compact(keys); len(keys) != 5000 || keys[0] != "key:0000" || keys[4999] != "key:4999" {
		t.Errorf("--scan finds %d keys", len(keys))
	}
	session := "SET a 1\nINCR a\nGET a\n\"GET\" \"\\x61\"\nNOSUCH\nHGETALL none\nSELECT 3\nGET a\nDBSIZE\nHELLO 3\nHSET h f v\nHGETALL h\nQUIT\n"
	out = run(t, p, session, "redis-cli")
	for _, want := range []string{"OK\n", "2\n", "ERR unknown command 'NOSUCH'", "f v\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("a session misses %q: %q", want, out)
		}
	}
	out = run(t, p, "", "redis-cli", "-r", "20", "INCR", "repeated")
	if !strings.HasSuffix(out, "\n20\n") {
		t.Errorf("-r: %q", out)
	}
}

// A person at a terminal: redis-cli then asks for COMMAND DOCS and shows types.
func TestClientsTerminal(t *testing.T) {
	t.Parallel()
	p := clientsProxy(t)
	script, err := exec.LookPath("script")
	if err != nil {
		t.Fatalf("the test needs script, of util-linux: %v", err)
	}
	host, port, _ := net.SplitHostPort(p.Addr)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	line := fmt.Sprintf("stty cols 100 rows 30; exec %s -h %s -p %s --user acme --pass acme-secret --no-auth-warning", tool(t, "redis-cli"), host, port)
	cmd := exec.CommandContext(ctx, script, "-qec", line, "/dev/null")
	cmd.Env = append(cmd.Environ(), "TERM=xterm", "HOME="+t.TempDir())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	await := func(want string) {
		t.Helper()
		part := make([]byte, 4<<10)
		for !strings.Contains(seen.String(), want) {
			n, err := out.Read(part)
			seen.Write(part[:n])
			if err != nil {
				t.Fatalf("%q does not come: %v: %q", want, err, seen.String())
			}
		}
		seen.Next(strings.Index(seen.String(), want) + len(want))
	}
	// What is typed before the prompt is there is lost.
	prompt := func(number string) { t.Helper(); await(p.Addr + number + "> ") }
	prompt("")
	for _, step := range [][2]string{
		{"set greeting hello", "OK"}, {"get greeting", `"hello"`}, {"incr n", "(integer) 1"}, {"get none", "(nil)"}, {"help get", "summary"},
	} {
		io.WriteString(in, step[0]+"\r")
		await(step[1])
		prompt("")
	}
	io.WriteString(in, "select 5\r")
	prompt("[5]")
	io.WriteString(in, "quit\r")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestClientsBenchmark(t *testing.T) {
	t.Parallel()
	p := clientsProxy(t)
	for _, args := range [][]string{
		{"-n", "5000", "-c", "20"}, {"-n", "20000", "-c", "20", "-P", "16"}, {"-n", "5000", "-c", "20", "-d", "4000", "-r", "100", "--threads", "2"},
	} {
		out := run(t, p, "", "redis-benchmark", append(args, "-q", "-t", "get,set,incr,lpush,mset")...)
		for _, name := range []string{"SET", "GET", "INCR", "LPUSH", "MSET (10 keys)"} {
			if !regexp.MustCompile(regexp.QuoteMeta(name) + `: [1-9][0-9.]* requests per second`).MatchString(out) {
				t.Errorf("redis-benchmark %q says nothing of %s: %q", args, name, out)
			}
		}
		if strings.Contains(strings.ToLower(out), "error") {
			t.Errorf("redis-benchmark %q: %q", args, out)
		}
	}
}

func TestClientsGoRedis(t *testing.T) {
	t.Parallel()
	p := clientsProxy(t)
	for _, proto := range []int{2, 3} {
		ctx := harness.Context(t)
		c := p.Client(t, harness.Acme, func(o *redis.Options) { o.Protocol, o.DB, o.ClientName = proto, proto, "tests" })
		check := func(what string, got, want any, err error) {
			t.Helper()
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("RESP%d: %s: %v, %v; want %v", proto, what, got, err, want)
			}
		}
		check("SET", c.Set(ctx, "k", "v", time.Hour).Val(), "OK", nil)
		v, err := c.Get(ctx, "k").Result()
		check("GET", v, "v", err)
		if err := c.Get(ctx, "none").Err(); err != redis.Nil {
			t.Errorf("RESP%d: GET of nothing: %v", proto, err)
		}
		n, err := c.HSet(ctx, "h", "a", 1, "b", 2).Result()
		check("HSET", n, 2, err)
		all, err := c.HGetAll(ctx, "h").Result()
		check("HGETALL", all, map[string]string{"a": "1", "b": "2"}, err)
		_, err = c.ZAdd(ctx, "z", redis.Z{Score: 1.5, Member: "m"}, redis.Z{Score: 2, Member: "n"}).Result()
		check("ZADD", nil, nil, err)
		z, err := c.ZRangeWithScores(ctx, "z", 0, -1).Result()
		check("ZRANGE", z, []redis.Z{{Score: 1.5, Member: "m"}, {Score: 2, Member: "n"}}, err)
		id, err := c.XAdd(ctx, &redis.XAddArgs{Stream: "x", ID: "1-1", Values: []string{"f", "v"}}).Result()
		check("XADD", id, "1-1", err)
		streams, err := c.XRead(ctx, &redis.XReadArgs{Streams: []string{"x", "0"}, Block: -1}).Result()
		check("XREAD", len(streams) == 1 && streams[0].Stream == "x" && len(streams[0].Messages) == 1, true, err)
		key, popped, err := c.ZMPop(ctx, "min", 1, "z").Result()
		check("ZMPOP", fmt.Sprint(key, popped), "z[{1.5 m}]", err)
		keys, err := c.Keys(ctx, "*").Result()
		slices.Sort(keys)
		check("KEYS", keys, "[h k x z]", err)

		cmds, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i := range 5000 {
				pipe.Set(ctx, fmt.Sprint("p", i), i, 0)
				pipe.Get(ctx, fmt.Sprint("p", i))
			}
			return nil
		})
		check("a pipeline", len(cmds), 10000, err)
		for i := 1; i < len(cmds); i += 2 {
			if got := cmds[i].(*redis.StringCmd).Val(); got != fmt.Sprint(i/2) {
				t.Fatalf("RESP%d: answer %d of a pipeline is %q", proto, i, got)
			}
		}
		found := 0
		iter := c.Scan(ctx, 0, "p*", 500).Iterator()
		for iter.Next(ctx) {
			found++
		}
		check("SCAN", found >= 5000, true, iter.Err())

		big := pattern(10 << 20)
		check("a big SET", c.Set(ctx, "big", big, 0).Val(), "OK", nil)
		v, err = c.Get(ctx, "big").Result()
		check("a big GET", len(v) == len(big) && v == big, true, err)
		check("many of 1 MiB", c.Set(ctx, "mega", big[:1<<20], 0).Val(), "OK", nil)
		cmds, err = c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for range 200 {
				pipe.Get(ctx, "mega")
			}
			return nil
		})
		for i, cmd := range cmds {
			if got := cmd.(*redis.StringCmd).Val(); got != big[:1<<20] {
				t.Fatalf("RESP%d: answer %d of 200 MiB has %d bytes, %v", proto, i, len(got), err)
			}
		}
	}
}

// A socket and a keyboard.
func TestClientsInline(t *testing.T) {
	t.Parallel()
	p := clientsProxy(t)
	c := dial(t, p)
	for _, tc := range []struct{ line, want string }{
		{"PING", "-NOAUTH Authentication required.\r\n"},
		{"AUTH acme acme-secret", "+OK\r\n"},
		{"", ""},
		{"   ", ""},
		{"PING", "+PONG\r\n"},
		{"  set  k  \"a b\\r\\n\\x00\\\"\"  ", "+OK\r\n"},
		{"get k", "$7\r\na b\r\n\x00\"\r\n"},
		{"SET 'it''s' x", "-ERR Protocol error: unbalanced quotes in request\r\n"},
	} {
		if _, err := io.WriteString(c, tc.line+"\r\n"); err != nil {
			t.Fatal(err)
		}
		if tc.want == "" {
			continue
		}
		if reply, err := c.Reply(); err != nil || reply != tc.want {
			t.Errorf("%q: %q, %v; want %q", tc.line, reply, err, tc.want)
		}
	}
	c = p.Connect(t, harness.Acme)
	io.WriteString(c, "SET 'it is' 1\nINCR \"it is\"\nGET nothing\n*1\r\n$4\r\nPING\r\nECHO end\n")
	for _, want := range []string{"+OK\r\n", ":2\r\n", "$-1\r\n", "+PONG\r\n", "$3\r\nend\r\n"} {
		if reply, err := c.Reply(); err != nil || reply != want {
			t.Errorf("%q, %v; want %q", reply, err, want)
		}
	}
}
