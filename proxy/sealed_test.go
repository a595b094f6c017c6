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
	who := s.directory.Tenants()
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

// EXEC may bring as much as single commands do.
func TestLargeExec(t *testing.T) {
	r := harness.StartRedis(t)
	s := startSealed(t, r.Addr, options{})
	c := login(t, s, zstdTenant)
	big := compressible(20 << 20)
	c.expect("+OK\r\n", "SET", "big", big)
	c.send("MULTI", "GET big", "GET big", "EXEC")
	c.read("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n" + string(bulk(big)) + string(bulk(big)))
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
