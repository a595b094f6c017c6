package tracing

import (
	"context"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"riptide-proxy/config"
)

func TestSampler(t *testing.T) {
	const n = 200_000
	for _, c := range []struct {
		sample config.Fraction
		slow   time.Duration
		took   time.Duration
		want   float64
	}{
		{0, 0, time.Hour, 0},
		{1, 0, 0, n},
		{0.1, 0, time.Hour, n / 10},
		{0.001, 0, time.Hour, n / 1000},
		{1e-18, 0, 0, 0},
		{0, time.Second, time.Second, n},
		{0, time.Second, time.Second - 1, 0},
	} {
		s := (&Recorder{sample: float64(c.sample), slow: c.slow, spans: make(chan Span, 1)}).Sampler()
		taken := 0.0
		for range n {
			if s.Takes(c.took) {
				taken++
			}
		}
		if math.Abs(taken-c.want) > 6*math.Sqrt(c.want*(1-float64(c.sample))) {
			t.Errorf("sample %v, slow %v: %v of %v, want about %v", c.sample, c.slow, taken, n, c.want)
		}
	}
	if (*Recorder)(nil).Sampler() != nil {
		t.Error("a sampler of nothing")
	}
}

// What a span says, by the conventions for databases.
func TestSpans(t *testing.T) {
	memory := tracetest.NewInMemoryExporter()
	r := newRecorder(&config.Tracing{Sample: 1}, keep{sdk.NewSimpleSpanProcessor(memory)}, Process{Version: "v1", ID: "p1", Upstream: "127.0.0.1:6379"})
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	r.Record(Span{Command: "client|setname", Class: "other", Tenant: "acme", DB: 3, Client: "10.0.0.1:5000", Start: start, Took: time.Millisecond, Bytes: 5})
	r.Record(Span{Command: "get", Class: "read", Tenant: "acme", Client: "/run/riptide.sock", Start: start, Took: time.Second, Error: "WRONGTYPE", Bytes: 70})
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := memory.GetSpans()
	if len(spans) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	a, b := spans[0], spans[1]
	if a.Name != "CLIENT SETNAME" || a.SpanKind != trace.SpanKindClient || !a.StartTime.Equal(start) || a.EndTime.Sub(a.StartTime) != time.Millisecond || a.Status.Code != codes.Unset {
		t.Errorf("%+v", a)
	}
	if b.Name != "GET" || b.Status.Code != codes.Error || b.Status.Description != "WRONGTYPE" || b.EndTime.Sub(b.StartTime) != time.Second {
		t.Errorf("%+v", b)
	}
	has := func(s tracetest.SpanStub, want ...attribute.KeyValue) {
		t.Helper()
		for _, kv := range want {
			if !slices.Contains(s.Attributes, kv) {
				t.Errorf("%s has not %s=%v, but %v", s.Name, kv.Key, kv.Value, s.Attributes)
			}
		}
	}
	has(a, attribute.String("db.system.name", "redis"), attribute.String("db.operation.name", "CLIENT SETNAME"), attribute.Int("db.namespace", 3),
		attribute.String("riptide.tenant", "acme"), attribute.String("riptide.operation", "other"), attribute.Int("riptide.reply.size", 5),
		attribute.String("client.address", "10.0.0.1"), attribute.Int("client.port", 5000),
		attribute.String("server.address", "127.0.0.1"), attribute.Int("server.port", 6379))
	has(b, attribute.String("client.address", "/run/riptide.sock"), attribute.String("error.type", "WRONGTYPE"), attribute.String("db.response.status_code", "WRONGTYPE"))
	for _, kv := range []attribute.KeyValue{attribute.String("service.name", "riptide-proxy"), attribute.String("service.version", "v1"), attribute.String("service.instance.id", "p1")} {
		if !slices.Contains(a.Resource.Attributes(), kv) {
			t.Errorf("the resource has not %v", kv)
		}
	}
}

// keep does not let a shutdown forget the spans.
type keep struct{ sdk.SpanProcessor }

func (keep) Shutdown(context.Context) error { return nil }

// hold is a processor that takes its time.
type hold struct{ free chan struct{} }

func (h hold) OnStart(context.Context, sdk.ReadWriteSpan) {}
func (h hold) OnEnd(sdk.ReadOnlySpan)                     { <-h.free }
func (h hold) Shutdown(context.Context) error             { return nil }
func (h hold) ForceFlush(context.Context) error           { return nil }

// Whoever records never waits; what can not be kept is dropped and counted.
func TestDrops(t *testing.T) {
	h := hold{make(chan struct{})}
	r := newRecorder(&config.Tracing{Sample: 1}, h, Process{})
	const n = 3 * waiting
	s := r.Sampler()
	for range n {
		if s.Takes(0) {
			s.Record(Span{Command: "get"})
		}
	}
	recorded, dropped := r.Counted()
	if recorded < waiting || recorded > waiting+1 || recorded+dropped != n {
		t.Errorf("%d recorded, %d dropped of %d", recorded, dropped, n)
	}
	close(h.free)
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	r.Record(Span{}) // somebody who has not heard of it yet
}

// The collector gets what was recorded, at the path and with the headers of the configuration.
func TestDelivery(t *testing.T) {
	var mu sync.Mutex
	var names []string
	var path, key string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		path, key = r.URL.Path, r.Header.Get("x-key")
		for _, resource := range request.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				for _, span := range scope.Spans {
					names = append(names, span.Name)
				}
			}
		}
	}))
	defer server.Close()
	for endpoint, want := range map[string]string{server.URL: "/v1/traces", server.URL + "/": "/v1/traces", server.URL + "/otlp/x": "/otlp/x"} {
		names = nil
		r, err := Start(&config.Tracing{Endpoint: endpoint, Headers: map[string]config.Password{"x-key": "secret"}, Sample: 1}, Process{})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			r.Record(Span{Command: "get", Start: time.Now()})
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if len(names) != 100 || names[0] != "GET" || path != want || key != "secret" {
			t.Errorf("%s: %d spans at %s with %q", endpoint, len(names), path, key)
		}
	}
}
