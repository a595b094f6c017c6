package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
	"riptide-proxy/value"
)

// The tenants whose values are sealed in tests. What they store can be told from
// what is plain by its first bytes.
const (
	zstdTenant = "packed" // compressed, whatever that saves
	safeTenant = "sealed" // encrypted
)

// startSealed is startProxy with these tenants too. Behind them there is room for
// further ones, and then for further sections.
func startSealed(t testing.TB, address string, o options) *Server {
	t.Helper()
	t.Setenv("RIPTIDE_UNIT_KEY", config.HashSecret("a key of the tests"))
	o.tenants = tenantYAML(zstdTenant, "compression: {algorithm: zstd, min_size: 1, min_saving: 0}") +
		tenantYAML(safeTenant, "encryption: {algorithm: aes-256-gcm, key: test}") + o.tenants +
		"encryption_keys: {test: {env: RIPTIDE_UNIT_KEY}}\n"
	return startProxy(t, address, o)
}

// tenantYAML is a tenant with further fields.
func tenantYAML(id, fields string) string {
	return fmt.Sprintf("  %s:\n    users: {default: {sha256: [%s]}}\n    %s\n", id, hashOf(id), fields)
}

// dialServer connects to an upstream itself.
func dialServer(t testing.TB, address string) *client {
	t.Helper()
	c, err := harness.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{c, t}
}

// isStoredSealed reports whether what the upstream has at a key is sealed.
func (c *client) isStoredSealed(key string) bool {
	c.t.Helper()
	stored, ok := content([]byte(c.do("GET", key)))
	return ok && value.IsSealed(stored)
}

// compressible is so many bytes that become few.
func compressible(n int) string { return strings.Repeat("riptide ", n/8+1)[:n] }

// seal is what a tenant's value looks like in the upstream.
func seal(t testing.TB, s *Server, tenant, key, plain string) string {
	t.Helper()
	v := s.codecs.find(tenant)
	who := s.conf().directory.Tenants()
	for _, x := range who {
		if x.ID == tenant {
			var n value.Counters
			out, sealed := v.codec.Seal(&n, nil, []byte(plain), value.Name{Prefix: x.Prefix(0), Key: []byte(key)})
			if !sealed {
				t.Fatalf("%q is not sealed", plain)
			}
			return string(out)
		}
	}
	t.Fatalf("no tenant %s", tenant)
	return ""
}

// What was encrypted stays readable when encryption is turned off.
func TestEncryptedBefore(t *testing.T) {
	r := harness.StartRedis(t)
	s := startSealed(t, r.Addr, options{})
	c := login(t, s, safeTenant)
	c.expect("+OK\r\n", "SET", "k", "a secret")
	c.expect(":1\r\n", "HSET", "h", "f", "another")
	if !dialServer(t, r.Addr).isStoredSealed("t:" + safeTenant + ":0:k") {
		t.Fatal("it is stored plain")
	}
	t.Setenv("RIPTIDE_UNIT_KEY", config.HashSecret("a key of the tests"))
	off := startProxy(t, r.Addr, options{tenants: tenantYAML(safeTenant, "encryption: {algorithm: none}") +
		"encryption_keys: {test: {env: RIPTIDE_UNIT_KEY}}\n"})
	c = login(t, off, safeTenant)
	c.expect(string(bulk("a secret")), "GET", "k")
	c.expect("*2\r\n$8\r\na secret\r\n$-1\r\n", "MGET", "k", "none")
	c.expect(string(bulk("another")), "HGET", "h", "f")
	c.expect(":10\r\n", "APPEND", "k", "!!")
	c.expect(string(bulk("a secret!!")), "GET", "k")
}

// EXEC brings a value that takes time to open while the next command has one that takes time to seal.
func TestOpenedAndSealedAtOnce(t *testing.T) {
	r := harness.StartRedis(t)
	s := startSealed(t, r.Addr, options{})
	big := compressible(4 << 20)
	for _, tenant := range []string{zstdTenant, safeTenant} {
		c := login(t, s, tenant)
		c.expect("+OK\r\n", "SET", "big", big)
		var b bytes.Buffer
		const n = 10
		for range n {
			b.Write(pipeline("MULTI", "GET big", "EXEC"))
			b.Write(harness.Request("SET", "other", big))
			b.Write(pipeline("MULTI"))
			b.Write(harness.Request("SET", "third", big))
			b.Write(pipeline("EXEC", "PING"))
		}
		go c.Write(b.Bytes())
		for range n {
			c.read("+OK\r\n+QUEUED\r\n*1\r\n" + string(bulk(big)) + "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n+PONG\r\n")
		}
	}
}

// A value that gets another name is sealed for it, or keeps its name: there must be room for
// that in the upstream.
func TestRenameWithoutMemory(t *testing.T) {
	r := harness.StartRedis(t)
	s := startSealed(t, r.Addr, options{})
	c, up := login(t, s, safeTenant), dialServer(t, r.Addr)
	c.expect("+OK\r\n", "SET", "k", "a secret")
	c.expect(":1\r\n", "HSET", "h", "f", "another")
	up.expect("+OK\r\n", "CONFIG", "SET", "maxmemory", "1")
	for _, q := range [][]string{{"RENAME", "k", "l"}, {"RENAME", "h", "i"}, {"RENAMENX", "k", "l"}} {
		if reply := c.do(q...); !strings.HasPrefix(reply, "-OOM ") {
			t.Errorf("%q: %q", q, reply)
		}
	}
	c.send("MULTI", "RENAME k l", "EXEC")
	c.read("+OK\r\n+QUEUED\r\n")
	if reply := c.next(); reply[0] != '-' {
		t.Errorf("EXEC: %q", reply)
	}
	up.expect("+OK\r\n", "CONFIG", "SET", "maxmemory", "0")
	c.expect(string(bulk("a secret")), "GET", "k")
	c.expect(string(bulk("another")), "HGET", "h", "f")
	c.expect("+OK\r\n", "RENAME", "k", "l")
	c.expect(string(bulk("a secret")), "GET", "l")
	c.expect("+OK\r\n", "RENAME", "h", "i")
	c.expect(string(bulk("another")), "HGET", "i", "f")
}

// The slow log shows the client's command, and not how it was sent.
func TestSlowLogOfTriedCommand(t *testing.T) {
	f := newFake(t)
	s := startSealed(t, f.address(), options{})
	f.handle("EVALSHA", func([]string) []byte { return []byte(":5\r\n") })
	c := login(t, s, zstdTenant)
	c.expect(":5\r\n", "APPEND", "k", "v")
	w := s.workers[0]
	onLoop(t, w, func() {
		x := newest(w)
		sent := []byte(harness.Request("EVALSHA", guards[0][1].sha, "1", "t:"+zstdTenant+":0:k", "APPEND", "t:"+zstdTenant+":0:k", "v"))
		tt := x.unasked(row(t, "append"))
		tt.note = noteGuard
		w.slowReply(&tt, slowCommand, sent)
		e := x.stats.slow.entries
		if len(e) != 1 || fmt.Sprint(e[0].args) != "[APPEND k v]" {
			t.Errorf("the slow log has %v", e)
		}
	})
}

// A server that is still loading, or runs a long script, lets WATCH pass and refuses to read. It
// may have come to its end a moment later, so nothing may be written then.
func TestRefusedLook(t *testing.T) {
	const refusal = "-LOADING Redis is loading the dataset in memory\r\n"
	for _, c := range []struct {
		tenant, refused string
		commands        []string
		never           []string
	}{
		{zstdTenant, "GETRANGE", []string{"MULTI", "APPEND k v", "EXEC"}, []string{"MULTI", "APPEND"}},
		{zstdTenant, "GET", []string{"MULTI", "APPEND k v", "EXEC"}, []string{"MULTI", "APPEND"}},
		{zstdTenant, "HGET", []string{"MULTI", "APPEND k v", "HSTRLEN h f", "EXEC"}, []string{"MULTI", "APPEND"}},
		{zstdTenant, "TYPE", []string{"SORT l BY w:* ALPHA GET v:* STORE to"}, []string{"MULTI", "SORT"}},
		{zstdTenant, "LRANGE", []string{"SORT l BY w:* ALPHA GET v:* STORE to"}, []string{"MULTI", "SORT"}},
		{safeTenant, "GET", []string{"APPEND k v"}, []string{"MULTI", "APPEND"}},
		{safeTenant, "HGET", []string{"HINCRBY h f 1"}, []string{"MULTI", "HINCRBY", "HSET"}},
		{safeTenant, "TYPE", []string{"RENAME k l"}, []string{"MULTI", "RENAME"}},
		{safeTenant, "GET", []string{"RENAME k l"}, []string{"MULTI", "RENAME"}},
		{safeTenant, "WATCH", []string{"COPY k l"}, []string{"MULTI", "COPY"}},
	} {
		f := newFake(t)
		s := startSealed(t, f.address(), options{})
		sealed := string(bulk(seal(t, s, c.tenant, "k", compressible(100))))
		for name, reply := range map[string]string{
			"WATCH": okReply, "UNWATCH": okReply, "MULTI": okReply, "EXEC": "*0\r\n",
			"GETRANGE": sealed, "GET": sealed, "HGET": sealed, "LRANGE": "*0\r\n",
		} {
			f.handle(name, func([]string) []byte { return []byte(reply) })
		}
		kind := "+string\r\n"
		if strings.HasPrefix(c.commands[0], "SORT") {
			kind = "+list\r\n"
		}
		f.handle("TYPE", func([]string) []byte { return []byte(kind) })
		f.handle(c.refused, func([]string) []byte { return []byte(refusal) })
		x := login(t, s, c.tenant)
		x.send(c.commands...)
		for range c.commands[1:] {
			if reply := x.next(); reply[0] != '+' {
				t.Errorf("%q: %q", c.commands, reply)
			}
		}
		if reply := x.next(); reply != refusal {
			t.Errorf("%s, %q: %q", c.refused, c.commands, reply)
		}
		for _, name := range c.never {
			if f.count(name) > 0 {
				t.Errorf("%s, %q: the upstream got %s", c.refused, c.commands, name)
			}
		}
		harness.Eventually(t, "what was watched is forgotten", func() bool { return f.count("UNWATCH") > 0 })
	}
}

// EXEC ends what is watched, also when it comes to nothing: the connection is somebody else's next.
func TestFailedExecForgetsWatch(t *testing.T) {
	r := harness.StartRedis(t)
	s := startSealed(t, r.Addr, options{})
	up := dialServer(t, r.Addr)
	up.expect("+OK\r\n", "SET", "t:"+zstdTenant+":0:bad", seal(t, s, zstdTenant, "bad", compressible(100))+"x")
	c := login(t, s, zstdTenant)
	c.send("WATCH k", "MULTI", "APPEND bad x", "EXEC")
	c.read("+OK\r\n+OK\r\n+QUEUED\r\n")
	if reply := c.next(); !strings.HasPrefix(reply, "-ERR ") {
		t.Fatalf("EXEC: %q", reply)
	}
	c.expect("+PONG\r\n", "PING")
	up.expect("+OK\r\n", "SET", "t:"+zstdTenant+":0:k", "v")
	onLoop(t, s.workers[0], func() {
		if newest(s.workers[0]).pin != nil {
			t.Error("the session keeps its connection")
		}
	})
	other := login(t, s, "acme")
	other.send("MULTI", "PING", "EXEC")
	other.read("+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n")
}

// What was made plain for a client is sealed again when it has left.
func TestSealedAgainWithoutClient(t *testing.T) {
	r := harness.StartRedis(t)
	s := startSealed(t, r.Addr, options{})
	up := dialServer(t, r.Addr)
	const key = "t:" + safeTenant + ":0:k"
	for _, commands := range [][]string{
		{"MULTI", "APPEND k v", "EXEC"},
		{"EVAL redis.call('append',KEYS[1],'v') 1 k"},
		{"SUBSCRIBE ch", "UNSUBSCRIBE x", "CLIENT TRACKING ON", "EVAL redis.call('append',KEYS[1],'v') 1 k"},
	} {
		for range 5 {
			c := login(t, s, safeTenant)
			c.do("HELLO", "3")
			c.expect("+OK\r\n", "SET", "k", "a secret")
			c.send(commands...)
			c.Close()
			harness.Eventually(t, "the client is gone", func() bool { return stats(t, s).Clients == 0 })
			harness.Eventually(t, "it is sealed", func() bool { return up.isStoredSealed(key) })
		}
	}
	// One that waits for its answer finds it sealed then.
	for _, tracks := range []bool{false, true} {
		for _, commands := range [][]string{{"MULTI", "APPEND k v", "EXEC"}, {"EVAL redis.call('append',KEYS[1],'v') 1 k"}} {
			c := login(t, s, safeTenant)
			c.do("HELLO", "3")
			c.expect("+OK\r\n", "SET", "k", "a secret")
			if tracks {
				c.expect("+OK\r\n", "CLIENT", "TRACKING", "ON")
			}
			c.send(commands...)
			for range commands {
				reply := c.next()
				for reply[0] == '>' { // what is tracked has changed
					reply = c.next()
				}
				if reply[0] == '-' {
					t.Errorf("%q: %q", commands, reply)
				}
			}
			if !up.isStoredSealed(key) {
				t.Errorf("tracking %v, %q: it is stored plain", tracks, commands)
			}
			c.Close()
		}
	}
}

// To read a value is not to change it, also where the proxy had better store it plain.
func TestWatchedReads(t *testing.T) {
	r := harness.StartRedis(t)
	s := startSealed(t, r.Addr, options{})
	for _, tenant := range []string{zstdTenant, safeTenant} {
		c := login(t, s, tenant)
		c.expect("+OK\r\n", "SET", "k", compressible(asideValue+1))
		c.expect("+OK\r\n", "WATCH", "k")
		c.expect("$7\r\nriptide\r\n", "GETRANGE", "k", "0", "6")
		c.send("STRLEN k", "GETBIT k 1", "MULTI", "GETRANGE k 0 3", "EXEC")
		c.read(fmt.Sprintf(":%d\r\n:1\r\n+OK\r\n+QUEUED\r\n*1\r\n$4\r\nript\r\n", asideValue+1))
		// Another's write is one.
		c.expect("+OK\r\n", "WATCH", "k")
		login(t, s, tenant).expect(fmt.Sprintf(":%d\r\n", asideValue+2), "APPEND", "k", "x")
		c.send("MULTI", "GETRANGE k 0 3", "EXEC")
		c.read("+OK\r\n+QUEUED\r\n*-1\r\n")
	}
}

// CLIENT CACHING YES is for the client's next transaction, and not for what the proxy looks at first.
func TestCachingOfPlan(t *testing.T) {
	r := harness.StartRedis(t)
	s := startSealed(t, r.Addr, options{})
	for _, no := range []bool{false, true} {
		c, other := login(t, s, zstdTenant), login(t, s, zstdTenant)
		c.do("HELLO", "3")
		other.expect("+OK\r\n", "MSET", "k", compressible(100), "m", "1")
		mode, word, want := "OPTIN", "YES", ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nm\r\n"
		if no {
			mode, word, want = "OPTOUT", "NO", "+PONG\r\n"
		}
		c.expect("+OK\r\n", "CLIENT", "TRACKING", "ON", mode)
		c.send("CLIENT CACHING "+word, "MULTI", "GET m", "GETRANGE k 0 3", "EXEC")
		c.read("+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\n1\r\n$4\r\nript\r\n")
		other.expect("+OK\r\n", "SET", "m", "2")
		got := c.do("PING")
		if !no && got == "+PONG\r\n" {
			got = c.next() // the message comes on another way, and may come later
		}
		if got != want {
			t.Errorf("%s: %q", mode, got)
		}
		c.Close()
	}
}
