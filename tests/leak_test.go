package tests

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// metric is the sum of a metric's values over all its labels.
func metric(t testing.TB, p *harness.Proxy, name string) float64 {
	t.Helper()
	r, err := http.Get("http://" + p.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	sum := 0.0
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		line := lines.Text()
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		sum += v
	}
	return sum
}

// Ten thousand clients that have logged in, worked and now wait cost at most
// 4 KiB each.
func TestLeakIdleConnections(t *testing.T) {
	const n = 10000
	p := hostileProxy(t, fmt.Sprintf("  clients: %d\n", 2*n))
	warm := p.Connect(t, harness.Acme)
	expect(t, warm, "+OK\r\n", "SET", "k", "v")
	before := p.RSS(t)
	crowd := make([]*harness.Conn, n)
	var wg sync.WaitGroup
	for part := range 4 {
		wg.Go(func() {
			for i := part; i < n; i += 4 {
				c, err := net.Dial("tcp", p.Addr)
				if err != nil {
					t.Error(err)
					return
				}
				crowd[i] = &harness.Conn{Conn: c, R: bufio.NewReaderSize(c, 64)}
				if reply, err := crowd[i].Do("AUTH", "acme", "acme-secret"); err != nil || reply != "+OK\r\n" {
					t.Errorf("AUTH: %q, %v", reply, err)
					return
				}
				if reply, err := crowd[i].Do("GET", "k"); err != nil || reply != "$1\r\nv\r\n" {
					t.Errorf("GET: %q, %v", reply, err)
					return
				}
			}
		})
	}
	wg.Wait()
	defer func() {
		for _, c := range crowd {
			if c != nil {
				c.Close()
			}
		}
	}()
	if t.Failed() {
		return
	}
	if open := metric(t, p, "riptide_tenant_connections"); open < n {
		t.Fatalf("%v connections are open", open)
	}
	each := (p.RSS(t) - before) / n
	t.Logf("%d bytes each", each)
	if each > 4<<10 {
		t.Errorf("an idle connection costs %d bytes", each)
	}
	expect(t, crowd[n/2], "$1\r\nv\r\n", "GET", "k")
}

// Connections that come and go leave nothing behind.
func TestLeakComingAndGoing(t *testing.T) {
	total := shorter(100_000, 20_000)
	if v := os.Getenv("RIPTIDE_TEST_CONNECTIONS"); v != "" {
		total, _ = strconv.Atoi(v)
	}
	p := hostileProxy(t, "")
	// round opens and closes n connections, in the ways that clients do.
	round := func(n int) {
		var wg sync.WaitGroup
		for part := range 8 {
			wg.Go(func() {
				for i := part; i < n; i += 8 {
					if err := visit(p.Addr, i); err != nil {
						t.Errorf("connection %d: %v", i, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	round(total / 20) // so that everything that grows once has grown
	type state struct {
		rss, descriptors           int
		goroutines, clients, conns float64
	}
	measure := func() (s state) {
		harness.Eventually(t, "all connections are gone", func() bool {
			return metric(t, p, "riptide_clients") <= 1 && metric(t, p, "riptide_upstream_commands_in_flight") == 0
		})
		harness.Eventually(t, "no client's descriptor is left", func() bool { return p.Descriptors(t) < 40 })
		return state{p.RSS(t), p.Descriptors(t), metric(t, p, "go_goroutines"), metric(t, p, "riptide_clients"), metric(t, p, "riptide_tenant_connections")}
	}
	before := measure()
	began := time.Now()
	round(total)
	after := measure()
	t.Logf("%d connections in %v: before %+v, after %+v", total, time.Since(began).Round(time.Millisecond), before, after)
	if grown := after.rss - before.rss; grown > 16<<20 {
		t.Errorf("%d connections left %d KiB behind", total, grown>>10)
	}
	// Slow operations keep up to 16 connections to the upstream.
	if after.descriptors > before.descriptors+20 || after.goroutines > before.goroutines+4 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if after.conns != after.clients {
		t.Errorf("%v connections are counted for tenants, %v are open", after.conns, after.clients)
	}
	if got := metric(t, p, "riptide_clients_accepted_total"); got < float64(total) {
		t.Errorf("only %v connections were accepted", got)
	}
}

// visit is one short visit of a client; how it ends depends on i.
func visit(addr string, i int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	tcp := c.(*net.TCPConn)
	if i%4 != 0 {
		tcp.SetLinger(0) // so that ports do not run out
	}
	tcp.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReaderSize(c, 512)
	out := append(harness.Request("AUTH", "acme", "acme-secret"), harness.Request("INCR", fmt.Sprint("n", i%100))...)
	if i%8 == 0 {
		out = append(out, harness.Request("QUIT")...)
	}
	if _, err := c.Write(out); err != nil {
		return err
	}
	for _, want := range []string{"+OK", ":"} {
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
			return fmt.Errorf("%q, %w", line, err)
		}
	}
	switch i % 8 {
	case 1: // leaves in the middle of a command
		c.Write([]byte("*2\r\n$3\r\nGET\r\n$100\r\nabc"))
	case 2: // leaves without its answers
		c.Write([]byte(strings.Repeat("GET n1\r\n", 50)))
	case 3: // leaves during a slow operation
		c.Write(harness.Request("DBSIZE"))
	}
	return nil
}
