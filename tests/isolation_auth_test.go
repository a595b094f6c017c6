package tests

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// dial opens a connection that has not logged in.
func dial(t *testing.T, p *harness.Proxy) *harness.Conn {
	t.Helper()
	c, err := harness.Dial(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// expect sends a command and compares the beginning of the reply.
func expect(t *testing.T, c *harness.Conn, want string, args ...string) {
	t.Helper()
	reply, err := c.Do(args...)
	if err != nil || !strings.HasPrefix(reply, want) {
		t.Errorf("%.100q: %.200q, %v; want %q", args, reply, err, want)
	}
}

// authProxy has tenants of every kind.
func authProxy(t *testing.T) (*harness.Proxy, *harness.Process) {
	t.Helper()
	r := harness.StartRedis(t)
	more := fmt.Sprintf("      reader: {sha256: [%s]}\n      human: {argon2id: [%q]}\n",
		config.HashSecret("reader-secret"), config.HashArgon2id("human-secret"))
	p := harness.StartProxy(t, r.Addr, harness.Options{Tenants: []harness.Tenant{
		{ID: "acme", Secret: "acme-secret", YAML: more}, harness.Globex,
		{ID: "gone", Secret: "gone-secret", YAML: "    suspended: true\n"},
	}})
	p.Ready(t)
	return p, r
}

const wrongPass = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"

// Who is not let in, and who is.
func TestIsolationLogin(t *testing.T) {
	t.Parallel()
	p, _ := authProxy(t)
	for _, tc := range []struct {
		user, secret, want string
	}{
		{"acme", "acme-secret", "+OK\r\n"},
		{"acme.default", "acme-secret", "+OK\r\n"},
		{"acme.reader", "reader-secret", "+OK\r\n"},
		{"acme.human", "human-secret", "+OK\r\n"},
		{"default", "acme-secret", "+OK\r\n"},
		{"", "globex-secret", wrongPass},
		{"acme", "globex-secret", wrongPass},
		{"acme", "reader-secret", wrongPass},
		{"acme.reader", "acme-secret", wrongPass},
		{"acme.human", "acme-secret", wrongPass},
		{"acme", "", wrongPass},
		{"acme", "acme-secret\x00", wrongPass},
		{"acme", "acme-secre", wrongPass},
		{"ACME", "acme-secret", wrongPass},
		{"acme.", "acme-secret", wrongPass},
		{".default", "acme-secret", wrongPass},
		{"acme.default.x", "acme-secret", wrongPass},
		{"acme\x00", "acme-secret", wrongPass},
		{"globex", "acme-secret", wrongPass},
		{"default", "human-secret", wrongPass},
		{"default", "", wrongPass},
		{"nobody", "acme-secret", wrongPass},
		{"acme", config.HashSecret("acme-secret"), wrongPass},
		{strings.Repeat("a", 10000), strings.Repeat("b", 10000), wrongPass},
		{"gone", "gone-secret", "-NOPERM this tenant is suspended\r\n"},
		{"default", "gone-secret", "-NOPERM this tenant is suspended\r\n"},
		{"gone", "wrong", wrongPass},
	} {
		c := dial(t, p)
		expect(t, c, tc.want, "AUTH", tc.user, tc.secret)
		after := "-NOAUTH "
		if tc.want == "+OK\r\n" {
			after = "$-1\r\n"
		}
		expect(t, c, after, "GET", "k")
		h := dial(t, p)
		if tc.want == "+OK\r\n" {
			expect(t, h, "%7\r\n", "HELLO", "3", "AUTH", tc.user, tc.secret)
			expect(t, h, "_\r\n", "GET", "k")
		} else {
			expect(t, h, tc.want, "HELLO", "3", "AUTH", tc.user, tc.secret)
			expect(t, h, "-NOAUTH ", "GET", "k")
		}
	}
	c := dial(t, p)
	expect(t, c, "+OK\r\n", "AUTH", "acme-secret") // as an API key
	expect(t, c, wrongPass, "AUTH", "human-secret")
	expect(t, c, "-ERR ", "AUTH", "acme", "acme-secret", "more")
	expect(t, c, "-ERR ", "AUTH")
	if log := p.Log(); strings.Contains(log, "-secret") || strings.Contains(log, strings.Repeat("b", 100)) {
		t.Errorf("a secret is in the log: %s", log)
	}
}

// What can be done without a login: log in, and nothing else.
func TestIsolationBeforeLogin(t *testing.T) {
	t.Parallel()
	p, r := authProxy(t)
	c := dial(t, p)
	for _, args := range [][]string{
		{"GET", "k"}, {"SET", "k", "v"}, {"PING"}, {"ECHO", "x"}, {"SELECT", "1"}, {"KEYS", "*"}, {"SCAN", "0"}, {"DBSIZE"},
		{"FLUSHALL"}, {"COMMAND"}, {"COMMAND", "DOCS"}, {"CLIENT", "ID"}, {"INFO"}, {"CLIENT", "LIST"}, {"RANDOMKEY"}, {"MULTI"},
		{"SUBSCRIBE", "c"}, {"EVAL", "return 1", "0"}, {"HELLO"}, {"HELLO", "3"}, {"HELLO", "2"}, {"CONFIG", "GET", "*"},
	} {
		expect(t, c, "-NOAUTH ", args...)
	}
	expect(t, c, "-NOAUTH ", "HELLO", "3", "SETNAME", "x")
	expect(t, c, "+RESET\r\n", "RESET")
	control, err := harness.Dial(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	expect(t, control, "*0\r\n", "KEYS", "t:acme:[0-9]*")
	expect(t, control, "*0\r\n", "KEYS", "t:globex:[0-9]*")

	// The limits that hold before a login, each with what ends the connection.
	for request, want := range map[string]string{
		"*11\r\n":                   "-ERR Protocol error: unauthenticated multibulk length\r\n",
		"*1000000\r\n":              "-ERR Protocol error: unauthenticated multibulk length\r\n",
		"*1\r\n$16385\r\n":          "-ERR Protocol error: unauthenticated bulk length\r\n",
		"*1\r\n$536870912\r\n":      "-ERR Protocol error: unauthenticated bulk length\r\n",
		"*2147483648\r\n":           "-ERR Protocol error: invalid multibulk length\r\n",
		"*1\r\n$-2\r\n":             "-ERR Protocol error: invalid bulk length\r\n",
		"*1\r\n$536870913\r\n":      "-ERR Protocol error: invalid bulk length\r\n",
		"*1\r\n:4\r\n":              "-ERR Protocol error: expected '$', got ':'\r\n",
		strings.Repeat("x", 70<<10): "-ERR Protocol error: too big inline request\r\n",
	} {
		c := dial(t, p)
		c.Write([]byte(request))
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		reply, err := io.ReadAll(c.R)
		if string(reply) != want {
			t.Errorf("%.40q: %.200q, %v; want %q", request, reply, err, want)
		}
	}
	// The same right after a login, in one piece, is judged by the limits of a
	// tenant.
	d := dial(t, p)
	d.Write(append(harness.Request("AUTH", "acme", "acme-secret"), harness.Request("SET", "big", strings.Repeat("v", 20<<10))...))
	for range 2 {
		if reply, err := d.Reply(); err != nil || reply != "+OK\r\n" {
			t.Errorf("a large command behind AUTH: %.100q, %v", reply, err)
		}
	}
}

// One connection that becomes somebody else takes nothing along, wherever in a
// pipeline that happens.
func TestIsolationChangeOfIdentity(t *testing.T) {
	t.Parallel()
	p, _ := authProxy(t)
	for _, chunk := range []int{1 << 20, 7, 1} {
		c := dial(t, p)
		var out []byte
		var want []string
		add := func(reply string, args ...string) {
			out = append(out, harness.Request(args...)...)
			want = append(want, reply)
		}
		for i := range 20 {
			v := fmt.Sprint("acme", i)
			add("+OK\r\n", "AUTH", "acme", "acme-secret")
			add("+OK\r\n", "SELECT", "3")
			add("+OK\r\n", "SET", "who", v)
			add(fmt.Sprintf("$%d\r\n%s\r\n", len(v), v), "GET", "who")
			add(wrongPass, "AUTH", "globex", "acme-secret") // stays acme
			add(":1\r\n", "EXISTS", "who")
			add("+OK\r\n", "AUTH", "globex", "globex-secret")
			add("$-1\r\n", "GET", "who") // in database 0 of globex
			add(":0\r\n", "DBSIZE")
			add("+OK\r\n", "SET", "here", "globex")
			add(":1\r\n", "DBSIZE")
			add(":1\r\n", "DEL", "here")
			add("+OK\r\n", "SELECT", "3")
			add("$-1\r\n", "GET", "who")
			add("*0\r\n", "KEYS", "*")
			add("$-1\r\n", "RANDOMKEY")
			add("+OK\r\n", "AUTH", "acme.reader", "reader-secret")
			add("$-1\r\n", "GET", "who") // database 0 again
			add("+OK\r\n", "SELECT", "3")
			add(":1\r\n", "EXISTS", "who")
			add("+RESET\r\n", "RESET")
			add("-NOAUTH Authentication required.\r\n", "GET", "who")
		}
		go func() {
			for b := out; len(b) > 0; {
				n := min(chunk, len(b))
				if _, err := c.Write(b[:n]); err != nil {
					return
				}
				b = b[n:]
			}
		}()
		for i, w := range want {
			reply, err := c.Reply()
			if err != nil || reply != w {
				t.Fatalf("in pieces of %d, command %d: %q, %v; want %q", chunk, i, reply, err, w)
			}
		}
	}
}

// What counts or lists keys shows the tenant's, in its databases, and FLUSHALL
// empties only those.
func TestIsolationWholeKeyspace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true, harness.Options{})
	before := w.snapshot(t)
	c := w.proxy.Connect(t, harness.Acme)
	expect(t, c, ":0\r\n", "DBSIZE")
	expect(t, c, "*0\r\n", "KEYS", "*")
	expect(t, c, "$-1\r\n", "RANDOMKEY")
	expect(t, c, "*2\r\n$1\r\n0\r\n*0\r\n", "SCAN", "0", "COUNT", "100000")
	expect(t, c, "+OK\r\n", "MSET", "a", "1", "b", "2", "*", "3")
	expect(t, c, "+OK\r\n", "SELECT", "1")
	expect(t, c, "+OK\r\n", "SET", "c", "4")
	expect(t, c, ":1\r\n", "DBSIZE")
	expect(t, c, "$1\r\nc\r\n", "RANDOMKEY")
	expect(t, c, "*1\r\n$1\r\nc\r\n", "KEYS", "*")
	expect(t, c, "-ERR DB index is out of range\r\n", "SELECT", "16")
	expect(t, c, ":1\r\n", "MOVE", "c", "0")
	expect(t, c, "+OK\r\n", "SELECT", "0")
	expect(t, c, ":4\r\n", "DBSIZE")
	expect(t, c, "*1\r\n$1\r\n*\r\n", "KEYS", `\*`)
	for range 50 {
		if reply, err := c.Do("RANDOMKEY"); err != nil || !strings.Contains("$1\r\na\r\n $1\r\nb\r\n $1\r\nc\r\n $1\r\n*\r\n", reply) {
			t.Fatalf("RANDOMKEY: %q, %v", reply, err)
		}
	}
	seen := make(map[string]bool)
	for cursor := "0"; ; {
		reply, err := c.Do("SCAN", cursor, "COUNT", "2")
		if err != nil {
			t.Fatal(err)
		}
		head, list, _ := strings.Cut(strings.TrimPrefix(reply, "*2\r\n"), "\r\n*")
		cursor = strings.SplitN(head+"\r\n", "\r\n", 3)[1]
		for _, key := range bulks(t, "*"+list) {
			seen[key] = true
		}
		if cursor == "0" {
			break
		}
	}
	if len(seen) != 4 || !seen["a"] || !seen["b"] || !seen["c"] || !seen["*"] {
		t.Errorf("SCAN finds %v", seen)
	}
	expect(t, c, "+OK\r\n", "FLUSHALL")
	expect(t, c, ":0\r\n", "DBSIZE")
	unchanged(t, before, w.snapshot(t))
}

// Errors that quote a key quote the name that the tenant knows, whatever the
// name is.
func TestIsolationErrorsQuoteOwnNames(t *testing.T) {
	t.Parallel()
	p, _ := authProxy(t)
	c := p.Connect(t, harness.Acme)
	for _, key := range []string{"x", "for key name 'x", "x' for key name 'y", "No such key 'x", "t:acme:0:x"} {
		expect(t, c, "$3\r\n1-1\r\n", "XADD", key, "1-1", "f", "v")
		want := fmt.Sprintf("-NOGROUP No such consumer group 'g' for key name '%s'\r\n", key)
		expect(t, c, want, "XGROUP", "SETID", key, "g", "0")
		expect(t, c, want, "XINFO", "CONSUMERS", key, "g")
		want = fmt.Sprintf("-NOGROUP No such key '%s' or consumer group 'g' in XREADGROUP with GROUP option\r\n", key)
		expect(t, c, want, "XREADGROUP", "GROUP", "g", "c", "STREAMS", key, ">")
	}
}
