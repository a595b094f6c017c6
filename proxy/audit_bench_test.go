package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
	"riptide-proxy/resp"
	"riptide-proxy/tests/harness"
)

// What an audit log at level write costs the whole process: the loop, the goroutine that writes the log, and the
// kernel. The clients and the upstream run in it too, and cost the same with a log and without.
func BenchmarkAudit(b *testing.B) {
	for _, depth := range []int{1, 16} {
		for _, level := range []string{"", "none", "write"} {
			b.Run(fmt.Sprintf("pipeline=%d/level=%s", depth, level), func(b *testing.B) {
				o := options{}
				if level != "" {
					o.top = fmt.Sprintf("audit: {dir: %q, level: %s}\n", b.TempDir(), level)
				}
				s := startFrugal(b, "v", o)
				if s.audit != nil {
					b.Cleanup(func() { s.audit.Close() })
				}
				harness.Eventually(b, "the upstream is there", s.Ready)
				const clients = 8
				var all [clients]*client
				var in [clients]*bufio.Reader
				for i := range all {
					all[i] = login(b, s, "acme")
					in[i] = bufio.NewReaderSize(all[i].tcp(), 64<<10)
				}
				ask := bytes.Repeat(harness.Request("SET", "k64:000000012345", strings.Repeat("v", 64)), depth)
				got := make([]byte, len(ok)*depth)
				round := func() {
					for _, c := range all {
						if _, err := c.tcp().Write(ask); err != nil {
							b.Fatal(err)
						}
					}
					for _, r := range in {
						if _, err := io.ReadFull(r, got); err != nil {
							b.Fatal(err)
						}
					}
				}
				for range 1000 {
					round()
				}
				runtime.GC()
				before := cpuTime(b)
				n := 0
				for b.Loop() {
					round()
					n += clients * depth
				}
				b.ReportMetric(float64(cpuTime(b)-before)/float64(n), "cpu-ns/command")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// What it costs the loop alone.
func BenchmarkAuditLoop(b *testing.B) {
	s := startFrugal(b, "v", options{top: fmt.Sprintf("audit: {dir: %q, level: write}\n", b.TempDir())})
	b.Cleanup(func() { s.audit.Close() })
	login(b, s, "acme")
	var req resp.Request
	raw := harness.Request("SET", "k64:000000012345", strings.Repeat("v", 64))
	limits := resp.DefaultLimits()
	if _, err := req.Scan(raw, &limits); err != nil {
		b.Fatal(err)
	}
	view := &namespace.Request{Raw: raw, Args: req.Args}
	cmd := command.Named("set")
	for _, depth := range []int{1, 16} {
		b.Run(fmt.Sprintf("pipeline=%d", depth), func(b *testing.B) {
			b.ReportAllocs()
			onLoop(b, s.workers[0], func() {
				w := s.workers[0]
				k := w.stats["acme"].first
				for n := 0; b.Loop(); n++ {
					w.audit.remember(k, cmd, view)
					if k.tail++; int(k.tail-k.head) < depth {
						continue
					}
					for k.head != k.tail {
						k.head++
						w.audit.answered(k, k.head-1, ok)
					}
					w.audit.flush()
				}
			})
		})
	}
}

// cpuTime is the processor time that this process has used.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(os.NewSyscallError("getrusage", err))
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
