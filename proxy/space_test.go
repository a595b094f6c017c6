package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"riptide-proxy/command"
)

// crowd is an upstream with keys of two tenants, whose keyspace takes three
// steps to scan.
func crowd(f *fake) {
	f.handle("SCAN", func(args []string) []byte {
		next := map[string]string{"0": "1", "1": "2", "2": "0"}[args[1]]
		b := fmt.Appendf(nil, "*2\r\n$1\r\n%s\r\n*3\r\n", next)
		for i := range 2 {
			b = append(b, bulk(fmt.Sprintf("t:acme:%d:k%s", i, args[1]))...)
		}
		return append(b, bulk("t:globex:0:k"+args[1])...) // a server that does not match
	})
	f.handle("PTTL", func(args []string) []byte {
		if strings.HasPrefix(args[1], "t:globex:") {
			f.t.Errorf("asked for the time to live of %s", args[1])
		}
		if strings.HasSuffix(args[1], ":0:k1") {
			return []byte(":5000\r\n")
		}
		return []byte(":-1\r\n")
	})
	f.handle("MEMORY", func([]string) []byte { return []byte(":100\r\n") })
}

// However many sessions ask, the upstream is scanned once.
func TestSpaceIsShared(t *testing.T) {
	s, f := startFake(t, options{loops: 2})
	crowd(f)
	for range 5 {
		c := login(t, s, "acme")
		for range 10 {
			got := c.do("INFO", "keyspace")
			if want := "# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=5000\r\ndb1:keys=3,expires=0,avg_ttl=0\r\n"; !strings.Contains(got, want) {
				t.Fatalf("%q, want %q", got, want)
			}
			if got := c.do("INFO", "memory"); !strings.Contains(got, "used_memory:600\r\n") {
				t.Fatalf("%q", got)
			}
		}
	}
	if n := f.count("SCAN"); n != 3 {
		t.Errorf("%d steps of SCAN, want 3", n)
	}
	// Sections that tell nothing of keys ask for nothing.
	other := login(t, s, "globex")
	other.do("INFO", "server", "clients", "stats", "commandstats", "replication")
	if n := f.count("SCAN"); n != 3 {
		t.Errorf("%d steps of SCAN after sections without keys", n)
	}
}

// A scan that takes long does not keep INFO waiting for ever, and its end is
// not missed.
func TestSpaceTakesLong(t *testing.T) {
	s, f := startFake(t, options{})
	crowd(f)
	arrived, open := f.gate("SCAN", "*2\r\n$1\r\n0\r\n*1\r\n$10\r\nt:acme:0:k\r\n")
	c := login(t, s, "acme")
	c.send("INFO keyspace")
	await(t, arrived, "SCAN")
	start := time.Now()
	if got := c.next(); got != "$12\r\n# Keyspace\r\n\r\n" || time.Since(start) > 3*spaceWait {
		t.Errorf("%q after %v", got, time.Since(start))
	}
	open()
	for !strings.Contains(c.do("INFO", "keyspace"), "db0:keys=1,") {
		time.Sleep(5 * time.Millisecond)
	}
}

// Without an upstream INFO still answers what it knows.
func TestInfoWithoutAnUpstream(t *testing.T) {
	s := startProxy(t, "127.0.0.1:1", options{})
	c := login(t, s, "acme")
	got := c.do("INFO")
	for _, part := range []string{"redis_version:7.0.0\r\n", "connected_clients:1\r\n", "used_memory:0\r\n", "# Keyspace\r\n"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in %q", part, got)
		}
	}
}

// The fields of CLIENT LIST are those of the upstream's version.
func TestClientLineByVersion(t *testing.T) {
	line := clientLine{id: 7, name: "me", user: "acme", flags: "N", multi: -1, cmd: "get", redir: -1, proto: 3, libName: "lib", libVer: "1"}
	for _, x := range []struct {
		version     command.Server
		watch, libs bool
	}{
		{command.Server{Product: "redis", Major: 7}, false, false}, {command.Server{Product: "redis", Major: 7, Minor: 2}, false, true},
		{command.Server{Product: "redis", Major: 8}, true, true}, {command.Server{Product: "valkey", Major: 7, Minor: 2}, false, true},
		{command.Server{Product: "valkey", Major: 8, Minor: 1}, true, true},
	} {
		got := string(line.append(nil, x.version))
		if strings.Contains(got, " multi=-1 watch=0 qbuf=") != x.watch || strings.HasSuffix(got, " redir=-1 resp=3 lib-name=lib lib-ver=1") != x.libs {
			t.Errorf("%+v: %s", x.version, got)
		}
	}
}
