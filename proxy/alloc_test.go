package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"riptide-proxy/resp"
	"riptide-proxy/tests/harness"
)

// startFrugal runs a proxy on an upstream that answers SET and GET, and
// allocates nothing while it does.
func startFrugal(t testing.TB, value string, o options) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go answerFrugally(c, bulk(value))
		}
	}()
	return startProxy(t, ln.Addr().String(), o)
}

func answerFrugally(c net.Conn, value []byte) {
	defer c.Close()
	limits := resp.DefaultLimits()
	var r resp.Request
	in, out := make([]byte, 0, 1<<20), make([]byte, 0, 1<<20)
	for {
		n, err := c.Read(in[len(in):cap(in)])
		if err != nil {
			return
		}
		in = in[:len(in)+n]
		off := 0
		for out = out[:0]; ; r.Reset() {
			n, err := r.Scan(in[off:], &limits)
			if err != nil {
				return
			}
			if n == 0 {
				r.Reset()
				break
			}
			switch name := in[off+int(r.Args[0].Beg) : off+int(r.Args[0].End)]; {
			case bytes.EqualFold(name, []byte("SET")), bytes.EqualFold(name, []byte("CLIENT")):
				out = append(out, ok...)
			case bytes.EqualFold(name, []byte("GET")):
				out = append(out, value...)
			case bytes.EqualFold(name, []byte("PING")):
				out = append(out, "+PONG\r\n"...)
			default:
				out = append(out, "-ERR unknown command\r\n"...)
			}
			off += n
		}
		in = in[:copy(in, in[off:])]
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// A command that is passed on costs no allocation: neither the session's nor
// the link's bookkeeping, nor the bytes either way.
func TestNoAllocationPerCommand(t *testing.T) {
	for _, x := range []struct {
		name  string
		size  int
		depth int
	}{
		{"one at a time", 16, 1},
		{"pipeline", 16, 100},
		{"values of 1 KiB", 1 << 10, 50},
	} {
		t.Run(x.name, func(t *testing.T) {
			value := strings.Repeat("v", x.size)
			s := startFrugal(t, value, options{})
			harness.Eventually(t, "the upstream is there", s.Ready)
			allocations(t, s, value, x.depth)
		})
	}
}

// allocations fails if a command that is passed on costs any.
func allocations(t *testing.T, s *Server, value string, depth int) {
	t.Helper()
	c := login(t, s, "acme")
	ask := bytes.Repeat(append(harness.Request("SET", "key", value), pipeline("GET key")...), depth)
	want := bytes.Repeat(append(bytes.Clone(ok), bulk(value)...), depth)
	got := make([]byte, len(want))
	r := bufio.NewReaderSize(c.tcp(), 64<<10)
	round := func() {
		if _, err := c.tcp().Write(ask); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%v, %.100q", err, got)
		}
	}
	rounds := max(1, 20000/(2*depth))
	for range rounds / 4 {
		round() // until all buffers have their size
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		round()
	}
	runtime.ReadMemStats(&after)
	n := float64(rounds * 2 * depth)
	perCommand := float64(after.Mallocs-before.Mallocs) / n
	t.Logf("%.4f allocations and %.1f bytes per command", perCommand, float64(after.TotalAlloc-before.TotalAlloc)/n)
	if perCommand > 0.1 {
		t.Errorf("%.3f allocations per command", perCommand)
	}
}
