package tests

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/tests/harness"
)

func connectNamed(t *testing.T, p *harness.Proxy, tenant harness.Tenant, name string) *harness.Conn {
	t.Helper()
	c := p.Connect(t, tenant)
	diffMust(t, c, "CLIENT", "SETNAME", name)
	return c
}

func mustEnd(t *testing.T, c *harness.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if b, err := io.ReadAll(c.R); err != nil && !strings.Contains(err.Error(), "reset") || len(b) > 0 {
		t.Errorf("read %q, %v, want the end", b, err)
	}
}

// A tenant sees and closes its own clients, on whatever loop they are.
func TestServerClients(t *testing.T) {
	t.Parallel()
	p, _, _ := startPair(t, harness.Options{Tenants: []harness.Tenant{
		{ID: "acme", Secret: "acme-secret", YAML: "      reader: {sha256: [1a7674eebb8dd4d9d1d3ff0bfb5d8d9b0df06f9f3ab7e0a4f1c0d4e0a2d7f9aa]}\n"}, harness.Globex}})
	boss := connectNamed(t, p, harness.Acme, "boss")
	for range 20 {
		p.Connect(t, harness.Globex).Close() // so that the stranger has a number that is none of acme's
	}
	stranger := connectNamed(t, p, harness.Globex, "stranger")
	names := regexp.MustCompile(`name=(\S*) `)
	list := func(c *harness.Conn) string {
		var all []string
		for _, m := range names.FindAllStringSubmatch(diffMust(t, c, "CLIENT", "LIST"), -1) {
			if m[1] != "" { // but for the harness's own
				all = append(all, m[1])
			}
		}
		return strings.Join(all, " ")
	}
	var more []*harness.Conn
	for i := range 6 {
		more = append(more, connectNamed(t, p, harness.Acme, fmt.Sprint("c", i)))
	}
	if got := list(boss); got != "boss c0 c1 c2 c3 c4 c5" {
		t.Errorf("acme's clients: %q", got)
	}
	if got := list(stranger); got != "stranger" {
		t.Errorf("globex's clients: %q", got)
	}
	id := func(c *harness.Conn) string { return strings.Trim(diffMust(t, c, "CLIENT", "ID"), ":\r\n") }
	if got := diffMust(t, boss, "CLIENT", "LIST", "ID", id(more[4]), "999999", id(more[1])); strings.Count(got, "id=") != 2 || strings.Index(got, "name=c4") > strings.Index(got, "name=c1") {
		t.Errorf("CLIENT LIST ID: %q", got)
	}
	for _, x := range []struct{ kill, want string }{
		{"ID 999999", ":0\r\n"},
		{"ADDR " + stranger.LocalAddr().String(), ":0\r\n"},
		{stranger.LocalAddr().String(), "-ERR No such client\r\n"},
		{"USER globex", "-ERR No such user 'globex'\r\n"},
		{"USER acme.nobody", "-ERR No such user 'acme.nobody'\r\n"},
		{"USER acme.reader", ":0\r\n"},
		{"TYPE pubsub", ":0\r\n"},
		{"ID " + id(more[0]), ":1\r\n"},
		{"ADDR " + more[1].LocalAddr().String() + " TYPE normal", ":1\r\n"},
		{more[2].LocalAddr().String(), "+OK\r\n"},
		{"USER acme ID " + id(more[3]), ":1\r\n"},
		{"ID " + id(boss), ":0\r\n"}, // SKIPME
	} {
		if got, _ := boss.Do(append([]string{"CLIENT", "KILL"}, strings.Fields(x.kill)...)...); got != x.want {
			t.Errorf("CLIENT KILL %s: %q, want %q", x.kill, got, x.want)
		}
	}
	for _, c := range more[:4] {
		mustEnd(t, c)
	}
	if got := list(boss); got != "boss c4 c5" {
		t.Errorf("left: %q", got)
	}
	if got, _ := boss.Do("CLIENT", "KILL", "LADDR", p.Addr, "SKIPME", "no"); !strings.HasPrefix(got, ":") || got < ":3" {
		t.Errorf("CLIENT KILL LADDR: %q", got)
	}
	mustEnd(t, boss)
	mustEnd(t, more[4])
	diffMust(t, stranger, "PING")
	own := p.Connect(t, harness.Acme)
	if got, _ := own.Do("CLIENT", "KILL", own.LocalAddr().String()); got != "+OK\r\n" {
		t.Errorf("a client that kills itself: %q", got)
	}
	mustEnd(t, own)
}

// CLIENT PAUSE holds the tenant's own commands, and nobody else's.
func TestServerPause(t *testing.T) {
	p, _, _ := startPair(t, harness.Options{})
	boss, stranger := p.Connect(t, harness.Acme), p.Connect(t, harness.Globex)
	var all []*harness.Conn
	for range 4 {
		all = append(all, p.Connect(t, harness.Acme))
	}
	waits := func(c *harness.Conn) {
		t.Helper()
		c.SetReadDeadline(time.Now().Add(60 * time.Millisecond))
		if b, err := c.R.Peek(1); err == nil {
			t.Errorf("%q came in a pause", b)
		}
	}
	diffMust(t, boss, "CLIENT", "PAUSE", "100000", "WRITE")
	for i, c := range all {
		diffMust(t, c, "GET", "k")
		c.Send("SET", fmt.Sprint("k", i), "v")
		c.Send("GET", fmt.Sprint("k", i))
	}
	for _, c := range all {
		waits(c)
	}
	diffMust(t, stranger, "SET", "k", "v")
	if got := fieldsOf(diffMust(t, boss, "INFO", "clients"))["Clients"]["blocked_clients"]; got != "4" {
		t.Errorf("blocked_clients: %s", got)
	}
	diffMust(t, boss, "CLIENT", "UNPAUSE")
	for _, c := range all {
		for _, want := range []string{"+OK\r\n", "$1\r\nv\r\n"} {
			if got, err := c.Reply(); got != want {
				t.Errorf("after the pause: %q, %v", got, err)
			}
		}
	}
	start := time.Now()
	diffMust(t, boss, "CLIENT", "PAUSE", "300")
	if got, err := all[0].Do("GET", "k0"); got != "$1\r\nv\r\n" || time.Since(start) < 250*time.Millisecond {
		t.Errorf("%q, %v after %v", got, err, time.Since(start))
	}
	diffMust(t, boss, "CLIENT", "PAUSE", "100000", "ALL")
	c, err := harness.Dial(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	diffMust(t, c, "AUTH", harness.Acme.ID, harness.Acme.Secret)
	c.Send("PING") // one that came later is held as well
	waits(c)
	diffMust(t, boss, "CLIENT", "UNPAUSE")
	if got, err := c.Reply(); got != "+PONG\r\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// What takes long is in the slow log of the tenant that asked for it, under the
// tenant's own names.
func TestServerSlowLog(t *testing.T) {
	t.Parallel()
	p, upstream, _ := startPair(t, harness.Options{})
	admin, err := harness.Dial(upstream.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	one, two, stranger := p.Connect(t, harness.Acme), p.Connect(t, harness.Acme), connectNamed(t, p, harness.Globex, "g")
	diffMust(t, one, "CLIENT", "SETNAME", "slow-one")
	for _, c := range []*harness.Conn{one, stranger} { // of what was slow at the beginning
		diffMust(t, c, "SLOWLOG", "RESET")
		diffMust(t, c, "LATENCY", "RESET")
	}
	slow := func(c *harness.Conn, words ...string) {
		t.Helper()
		admin.Send("DEBUG", "SLEEP", "0.1")
		time.Sleep(30 * time.Millisecond)
		diffMust(t, c, words...)
		admin.Reply()
	}
	slow(one, "SET", "key", strings.Repeat("v", 200))
	slow(two, "MGET", "a", "b")
	many := []string{"DEL"}
	for i := range 40 {
		many = append(many, fmt.Sprint("k", i))
	}
	slow(one, many...)
	slow(stranger, "GET", "secret")
	got := diffMust(t, two, "SLOWLOG", "GET", "-1")
	entry := regexp.MustCompile(`^\*3\r\n` +
		`\*6\r\n:\d+\r\n:\d{10}\r\n:\d{5,6}\r\n\*32\r\n\$3\r\nDEL\r\n\$2\r\nk0\r\n(\$[23]\r\nk\d+\r\n){29}\$23\r\n\.\.\. \(10 more arguments\)\r\n\$\d+\r\n127\.0\.0\.1:\d+\r\n\$8\r\nslow-one\r\n` +
		`\*6\r\n:\d+\r\n:\d{10}\r\n:\d{5,6}\r\n\*3\r\n\$4\r\nMGET\r\n\$1\r\na\r\n\$1\r\nb\r\n\$\d+\r\n127\.0\.0\.1:\d+\r\n\$0\r\n\r\n` +
		`\*6\r\n:\d+\r\n:\d{10}\r\n:\d{5,6}\r\n\*3\r\n\$3\r\nSET\r\n\$3\r\nkey\r\n\$147\r\nv{128}\.\.\. \(72 more bytes\)\r\n\$\d+\r\n127\.0\.0\.1:\d+\r\n\$8\r\nslow-one\r\n$`)
	if !entry.MatchString(got) {
		t.Errorf("SLOWLOG GET: %q", got)
	}
	if got := diffMust(t, one, "SLOWLOG", "GET", "1"); !strings.HasPrefix(got, "*1\r\n*6\r\n") || !strings.Contains(got, "DEL") {
		t.Errorf("SLOWLOG GET 1: %q", got)
	}
	if got := diffMust(t, one, "SLOWLOG", "LEN"); got != ":3\r\n" {
		t.Errorf("SLOWLOG LEN: %q", got)
	}
	if got := diffMust(t, stranger, "SLOWLOG", "LEN"); got != ":1\r\n" {
		t.Errorf("the other tenant's SLOWLOG LEN: %q", got)
	}
	if got := diffMust(t, one, "LATENCY", "LATEST"); !regexp.MustCompile(`^\*1\r\n\*4\r\n\$7\r\ncommand\r\n:\d{10}\r\n:\d\d+\r\n:\d\d+\r\n$`).MatchString(got) {
		t.Errorf("LATENCY LATEST: %q", got)
	}
	if got := diffMust(t, one, "LATENCY", "HISTORY", "command"); !strings.HasPrefix(got, "*") || got == "*0\r\n" {
		t.Errorf("LATENCY HISTORY: %q", got)
	}
	if got := diffMust(t, one, "LATENCY", "GRAPH", "command"); !strings.Contains(got, "command - high ") {
		t.Errorf("LATENCY GRAPH: %q", got)
	}
	if got := diffMust(t, one, "LATENCY", "HISTOGRAM", "set", "GET"); !regexp.MustCompile(`^\*2\r\n\$3\r\nset\r\n\*4\r\n\$5\r\ncalls\r\n:1\r\n\$14\r\nhistogram_usec\r\n\*2\r\n:\d+\r\n:1\r\n$`).MatchString(got) {
		t.Errorf("LATENCY HISTOGRAM: %q", got)
	}
	if got := diffMust(t, one, "LATENCY", "RESET"); got != ":1\r\n" {
		t.Errorf("LATENCY RESET: %q", got)
	}
	diffMust(t, two, "SLOWLOG", "RESET")
	if got := diffMust(t, one, "SLOWLOG", "GET"); got != "*0\r\n" {
		t.Errorf("after SLOWLOG RESET: %q", got)
	}
	if got := diffMust(t, stranger, "SLOWLOG", "LEN"); got != ":1\r\n" {
		t.Errorf("the other tenant's SLOWLOG LEN: %q", got)
	}
}

// MONITOR shows the tenant's own commands from all loops, and no secrets.
func TestServerMonitor(t *testing.T) {
	t.Parallel()
	p, _, plain := startPair(t, harness.Options{})
	a, b, stranger := p.Connect(t, harness.Acme), p.Connect(t, harness.Acme), p.Connect(t, harness.Globex)
	watcher := p.Connect(t, harness.Acme)
	if got := diffMust(t, watcher, "MONITOR"); got != "+OK\r\n" {
		t.Fatalf("%q", got)
	}
	line := regexp.MustCompile(`^\+(\d{10})\.\d{6} \[(\d+) ([0-9.:]+)\] (.*)\r\n$`)
	next := func(from *harness.Conn, db, want string) {
		t.Helper()
		got, err := watcher.Reply()
		m := line.FindStringSubmatch(got)
		if m == nil || m[2] != db || m[3] != from.LocalAddr().String() || m[4] != want {
			t.Errorf("%q, %v, want %s in database %s from %s", got, err, want, db, from.LocalAddr())
		}
	}
	diffMust(t, stranger, "SET", "other", "secret")
	for _, c := range []*harness.Conn{a, b} {
		diffMust(t, c, "set", "k", "a\"\\\r\n\x00\xff\x7f b")
		next(c, "0", `"set" "k" "a\"\\\r\n\x00\xff\x7f b"`)
		diffMust(t, c, "SELECT", "3")
		next(c, "3", `"SELECT" "3"`)
		c.Do("AUTH", "wrong")
		next(c, "3", `"AUTH" "(redacted)"`)
		c.Do("AUTH", "acme", "wrong")
		next(c, "3", `"AUTH" "(redacted)" "(redacted)"`)
		diffMust(t, c, "HELLO", "2", "AUTH", "acme", "acme-secret", "SETNAME", "x")
		next(c, "3", `"HELLO" "2" "AUTH" "(redacted)" "(redacted)" "SETNAME" "x"`)
		diffMust(t, c, "CONFIG", "GET", "x") // for operators, which MONITOR does not show
		c.Do("NOPE")
		c.Do("GET")
		diffMust(t, c, "DBSIZE")
		next(c, "3", `"DBSIZE"`)
	}
	diffMust(t, stranger, "GET", "other")

	// What a monitor may do is as in Redis.
	direct, err := harness.Dial(plain.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	diffMust(t, direct, "MONITOR")
	for _, words := range []string{"MONITOR", "GET x", "SET a b", "DEL a", "PING", "ECHO x", "CONFIG GET nope", "SCAN 0", "RESET"} {
		watcher.Send(strings.Fields(words)...)
		direct.Send(strings.Fields(words)...)
		if words == "MONITOR" {
			continue // which is not answered
		}
		got, _ := watcher.Reply()
		want, _ := direct.Reply()
		if got != want {
			t.Errorf("%s: %q, want %q", words, got, want)
		}
		if words == "PING" || words == "ECHO x" {
			watcher.Reply()
			direct.Reply()
		}
	}
	diffMust(t, a, "SET", "k", "v")
	if got, _ := watcher.Do("PING"); got != "-NOAUTH Authentication required.\r\n" {
		t.Errorf("after RESET: %q", got)
	}
	if got, err := a.Do("QUIT"); got != "+OK\r\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// A monitor that does not read is closed, and the tenant goes on.
func TestServerMonitorDoesNotRead(t *testing.T) {
	t.Parallel()
	p, _, _ := startPair(t, harness.Options{Limits: "  output_buffer: 1MiB\n"})
	watcher, c := p.Connect(t, harness.Acme), p.Connect(t, harness.Acme)
	diffMust(t, watcher, "MONITOR")
	id := strings.Trim(diffMust(t, watcher, "CLIENT", "ID"), ":\r\n")
	value := strings.Repeat("x", 12<<10)
	harness.Eventually(t, "the monitor is closed", func() bool {
		for range 200 {
			diffMust(t, c, "SET", "k", value)
		}
		return !strings.Contains(diffMust(t, c, "CLIENT", "LIST"), "id="+id+" ")
	})
}

func isContainer(name string) bool {
	c := command.Lookup([]byte(name))
	return c != nil && c.Container()
}

// Commands of the ACL and of memory speak of the tenant.
func TestServerTenantsView(t *testing.T) {
	t.Parallel()
	p, upstream, plain := startPair(t, harness.Options{})
	c, direct := p.Connect(t, harness.Acme), diffDial(t, plain.Addr, "")
	if got := diffMust(t, c, "ACL", "WHOAMI"); got != "$4\r\nacme\r\n" {
		t.Errorf("ACL WHOAMI: %q", got)
	}
	for bits, want := range map[string]int{"": 64, "1": 1, "5": 2, "4096": 1024} {
		words := strings.Fields("ACL GENPASS " + bits)
		if got := verbatimText(diffMust(t, c, words...)); len(got) != want || strings.Trim(got, "0123456789abcdef") != "" {
			t.Errorf("%q: %q", words, got)
		}
	}
	for _, cat := range []string{"read", "write", "DANGEROUS", "admin", "connection", "slow", "stream"} {
		got := diffNamesIn(diffMust(t, c, "ACL", "CAT", cat))
		want := diffKeep(diffNamesIn(diffMust(t, direct, "ACL", "CAT", cat)), func(name string) bool { return diffVisible(name) && !isContainer(name) })
		got = diffKeep(got, func(name string) bool { return !isContainer(name) })
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("ACL CAT %s: %q, want %q", cat, got, want)
		}
	}
	diffMust(t, c, "MSET", "a", "1", "b", "2")
	stats := diffMust(t, c, "MEMORY", "STATS")
	if !strings.Contains(stats, "$10\r\nkeys.count\r\n:2\r\n") || !strings.Contains(stats, "$4\r\ndb.0\r\n") {
		t.Errorf("MEMORY STATS: %q", stats)
	}
	diffMust(t, c, "MEMORY", "DOCTOR")
	code := "#!lua name=lib\nredis.register_function('f', function() return 'secret-code' end)"
	up := diffDial(t, upstream.Addr, "")
	diffMust(t, up, "FUNCTION", "LOAD", code)
	if got := diffMust(t, c, "FUNCTION", "LIST"); !strings.Contains(got, "lib") || strings.Contains(got, "secret-code") {
		t.Errorf("FUNCTION LIST: %q", got)
	}
	for _, words := range []string{"FUNCTION LIST WITHCODE", "FUNCTION LIST LIBRARYNAME lib withcode", "FUNCTION STATS"} {
		if got, _ := c.Do(strings.Fields(words)...); !strings.HasPrefix(got, "-NOPERM ") {
			t.Errorf("%s: %q", words, got)
		}
	}
}
