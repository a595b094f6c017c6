package tests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// flood writes the same commands over and over until n bytes are sent, or until
// nothing is taken any more. It returns how many bytes were.
func flood(c net.Conn, commands []byte, n int) (sent int, err error) {
	block := bytes.Repeat(commands, max(1, 1<<20/len(commands)))
	for sent < n && err == nil {
		c.SetWriteDeadline(time.Now().Add(2 * time.Second))
		var k int
		k, err = c.Write(block)
		sent += k
	}
	return sent, err
}

// Clients that send commands and never read the answers cost a bounded amount
// of memory, and make nobody else wait.
func TestHostileNeverReads(t *testing.T) {
	total := 256 << 20
	if full {
		total = 1 << 30
	}
	for name, commands := range map[string][]byte{
		"small replies":   harness.Request("GET", "small"),
		"large replies":   harness.Request("GET", "large"),
		"local replies":   harness.Request("ECHO", strings.Repeat("e", 100)),
		"errors":          harness.Request("NOSUCHCOMMAND", strings.Repeat("e", 100)),
		"large requests":  harness.Request("SET", "k", strings.Repeat("v", 100<<10)),
		"slow operations": harness.Request("DBSIZE"),
		"before a login":  harness.Request("GET", "k"),
		"inline":          []byte("GET small\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // beside each other, and nothing else: they take all of the machine
			p := hostileProxy(t, "")
			seed := p.Connect(t, harness.Acme)
			expect(t, seed, "+OK\r\n", "SET", "small", "s")
			expect(t, seed, "+OK\r\n", "SET", "large", strings.Repeat("l", 256<<10))
			k := startCanary(t, p)
			before := p.RSS(t)
			high := peak(t, p.Process)
			c := dial(t, p)
			if name != "before a login" {
				c = p.Connect(t, harness.Acme)
			}
			sent, err := flood(c, commands, total)
			k.finish(t)
			alive(t, p)
			grown := high() - before
			t.Logf("%d MiB were taken (%v), at the cost of %d MiB", sent>>20, err, grown>>20)
			if grown > 256<<20 {
				t.Errorf("it cost %d MiB", grown>>20)
			}
			if err == nil && sent >= total && name != "large requests" {
				t.Error("all of it was taken, though no answer was read")
			}
		})
	}
}

// A client that is slow to read, but reads, gets every answer, in order and
// whole: however many it has asked for, nobody cuts it off.
func TestHostileSlowReaderGetsAll(t *testing.T) {
	t.Parallel()
	p := hostileProxy(t, "")
	k := startCanary(t, p)
	before := p.RSS(t)
	high := peak(t, p.Process)
	c := p.Connect(t, harness.Acme)
	const n, size = 200, 1 << 20
	value := func(i int) string { return strings.Repeat(fmt.Sprintf("%08d", i), size/8) }
	for i := range 4 {
		expect(t, c, "+OK\r\n", "SET", fmt.Sprint("v", i), value(i))
	}
	var out []byte
	for i := range n {
		out = append(out, harness.Request("GET", fmt.Sprint("v", i%4))...)
	}
	if _, err := c.Write(out); err != nil {
		t.Fatal(err)
	}
	// Nothing is read until the proxy has had the time to gather what it will.
	after := k.rounds.Load()
	harness.Eventually(t, "the others work", func() bool { return k.rounds.Load() > after+2000 })
	for i := range n {
		reply, err := c.Reply()
		if err != nil {
			t.Fatalf("answer %d of %d: %v", i, n, err)
		}
		if reply != fmt.Sprintf("$%d\r\n%s\r\n", size, value(i%4)) {
			t.Fatalf("answer %d is another one: %.60q", i, reply)
		}
	}
	k.finish(t)
	alive(t, p)
	t.Logf("%d MiB of answers at the cost of %d MiB", n*size>>20, (high()-before)>>20)
}

// Ten thousand connections that never say a word are let in, cost little, and
// do no harm; those beyond the limit are told why not.
func TestHostileSilentCrowd(t *testing.T) {
	const n = 10000
	p := hostileProxy(t, fmt.Sprintf("  clients: %d\n", n+2))
	canary := startCanary(t, p)
	harness.Eventually(t, "the connections of the beginning are gone", func() bool {
		return metric(t, p, "riptide_clients") <= 2
	})
	before := p.RSS(t)
	crowd := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range crowd {
			c.Close()
		}
	}()
	for len(crowd) < n {
		c, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatalf("connection %d: %v", len(crowd), err)
		}
		crowd = append(crowd, c)
	}
	harness.Eventually(t, "all are let in", func() bool { return metric(t, p, "riptide_clients") >= n+1 })
	each := (p.RSS(t) - before) / n
	var tooMany []string
	for range 5 {
		c, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		b, err := io.ReadAll(c)
		c.Close()
		if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			b = append(b, "(open)"...)
		}
		tooMany = append(tooMany, string(b))
	}
	refused := 0
	for _, said := range tooMany {
		if said == "-ERR max number of clients reached\r\n" {
			refused++
		}
	}
	if refused == 0 {
		t.Errorf("nobody was refused beyond the limit: %q", tooMany)
	}
	canary.finish(t)
	alive(t, p)
	t.Logf("%d bytes each", each)
	if each > 4<<10 {
		t.Errorf("a silent connection costs %d bytes", each)
	}
}
