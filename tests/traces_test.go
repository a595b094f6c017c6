package tests

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"riptide-proxy/tests/harness"
)

// traceCollector takes spans as an OpenTelemetry collector does.
type traceCollector struct {
	*httptest.Server
	mu    sync.Mutex
	raw   bytes.Buffer
	spans map[string]int // by name, tenant and error
}

func startTraceCollector(t *testing.T) *traceCollector {
	c := &traceCollector{spans: make(map[string]int)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw.Write(body)
		for _, resource := range request.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				for _, span := range scope.Spans {
					var tenant, failed string
					for _, a := range span.Attributes {
						switch a.Key {
						case "riptide.tenant":
							tenant = a.Value.GetStringValue()
						case "error.type":
							failed = a.Value.GetStringValue()
						}
					}
					if span.EndTimeUnixNano < span.StartTimeUnixNano {
						t.Errorf("%s ends before it starts", span.Name)
					}
					c.spans[strings.TrimSpace(span.Name+" "+tenant+" "+failed)]++
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// Each command is a span where all are to be traced, with what became of it, and without keys, values or secrets.
func TestTraces(t *testing.T) {
	t.Parallel()
	c := startTraceCollector(t)
	redis := harness.StartRedis(t)
	p := harness.StartProxy(t, redis.Addr, harness.Options{
		Top: fmt.Sprintf("tracing: {endpoint: '%s', sample: 1, headers: {authorization: hunter2}}\n", c.URL),
	})
	p.Ready(t)
	a, b := p.Connect(t, harness.Acme), p.Connect(t, harness.Globex)
	for range 20 {
		do(t, a, "SET", "the-key", "the-value")
		do(t, b, "GET", "the-key")
	}
	do(t, a, "INCR", "the-key")
	do(t, a, "KEYS", "*")
	do(t, a, "EVAL", "return redis.error_reply('OWN made up')", "0")
	do(t, a, "CONFIG", "SET", "x", "y") // refused by the proxy itself: not sent, so no span
	if s := series(t, p); s[`riptide_spans_total{result="recorded"}`] < 43 || s[`riptide_spans_total{result="dropped"}`] != 0 {
		t.Errorf("%v recorded", s[`riptide_spans_total{result="recorded"}`])
	}
	want := map[string]int{
		"SET acme": 20, "GET globex": 20, "INCR acme ERR": 1, "KEYS acme": 1, "EVAL acme OWN": 1,
	}
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil { // what has not been sent yet is sent now
		t.Fatal(err)
	}
	if err, ended := p.Wait(15 * time.Second); err != nil || !ended {
		t.Fatalf("the proxy ended (%v): %v", ended, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.spans, "EXISTS acme") // of Ready
	if !reflect.DeepEqual(c.spans, want) {
		t.Errorf("got %v, want %v", c.spans, want)
	}
	for _, secret := range []string{"the-key", "the-value", "-secret", "hunter2"} {
		if bytes.Contains(c.raw.Bytes(), []byte(secret)) || strings.Contains(p.Log(), secret) {
			t.Errorf("%s is in what was sent or logged", secret)
		}
	}
}

// A collector that is away costs spans and nothing else.
func TestTracesWithoutCollector(t *testing.T) {
	t.Parallel()
	redis := harness.StartRedis(t)
	gone := startTraceCollector(t)
	gone.Close()
	p := harness.StartProxy(t, redis.Addr, harness.Options{Top: fmt.Sprintf("tracing: {endpoint: '%s', sample: 1}\n", gone.URL)})
	p.Ready(t)
	a := p.Connect(t, harness.Acme)
	for range 3000 {
		if reply := do(t, a, "SET", "k", "v"); reply != "+OK\r\n" {
			t.Fatal(reply)
		}
	}
}

// Tracing is turned on, changed and turned off while the proxy serves.
func TestTracesChangeLive(t *testing.T) {
	t.Parallel()
	first, second := startTraceCollector(t), startTraceCollector(t)
	p := harness.StartProxy(t, "", harness.Options{})
	a := p.Connect(t, harness.Acme)
	plain, err := os.ReadFile(p.Config)
	if err != nil {
		t.Fatal(err)
	}
	configure := func(top, what string, done func() bool) {
		t.Helper()
		if err := os.WriteFile(p.Config, append([]byte(top), plain...), 0o600); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, what, func() bool {
			do(t, a, "GET", "k")
			return done()
		})
	}
	to := func(c *traceCollector) string { return fmt.Sprintf("tracing: {endpoint: '%s', sample: 1}\n", c.URL) }
	recorded := func() bool { return series(t, p)[`riptide_spans_total{result="recorded"}`] > 0 }
	configure(to(first), "commands are traced", recorded)
	// What was recorded for the first is sent when the second takes its place.
	configure(to(second), "the first collector has spans", func() bool { return first.count("GET acme") > 0 })
	configure("", "the second one too, once nothing is traced any more", func() bool { return second.count("GET acme") > 0 && !recorded() })
}

func (c *traceCollector) count(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spans[name]
}
