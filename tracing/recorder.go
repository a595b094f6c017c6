// Package tracing sends spans of commands to an OpenTelemetry collector, by OTLP over HTTP. A command is
// traced when it has been answered, so nothing is done for one that is not: what records it knows what it was and how
// long it took, and hands that over without waiting.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"riptide-proxy/config"
)

// Span is one command. It has no keys and no values: who may read traces may not read tenants' data.
type Span struct {
	Command string // its row's name: get, client|setname
	Class   string // of the row
	Tenant  string
	DB      int
	Client  string // address
	Start   time.Time
	Took    time.Duration
	Error   string // code of an error reply; empty: none
	Bytes   int    // of the reply
}

// waiting is how many spans may wait to be taken up. What comes when there are as many is dropped.
const waiting = 1024

// Recorder takes spans from any number of goroutines.
type Recorder struct {
	sample   float64
	slow     time.Duration
	spans    chan Span
	recorded atomic.Uint64
	dropped  atomic.Uint64

	provider *sdk.TracerProvider
	tracer   trace.Tracer
	common   []attribute.KeyValue
	stop     context.CancelFunc
	done     chan struct{}
}

// Process says whose spans they are.
type Process struct {
	Version  string
	ID       string // of the process
	Upstream string // host:port
}

// Start makes a recorder for a configuration with an endpoint. The collector need not be there: spans that can not be
// delivered are given up after a while, and that is logged.
func Start(c *config.Tracing, p Process) (*Recorder, error) {
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("tracing.endpoint: %w", err)
	}
	if strings.Trim(endpoint.Path, "/") == "" {
		endpoint.Path = "/v1/traces"
	}
	headers := make(map[string]string, len(c.Headers))
	for name, value := range c.Headers {
		headers[name] = value.Reveal()
	}
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(endpoint.String()), otlptracehttp.WithHeaders(headers))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(undelivered))
	r := newRecorder(c, sdk.NewBatchSpanProcessor(exporter), p)
	return r, nil
}

func newRecorder(c *config.Tracing, processor sdk.SpanProcessor, p Process) *Recorder {
	r := &Recorder{sample: float64(c.Sample), slow: time.Duration(c.Slow), spans: make(chan Span, waiting), done: make(chan struct{})}
	r.provider = sdk.NewTracerProvider(sdk.WithSpanProcessor(processor), sdk.WithResource(resource.NewSchemaless(
		attribute.String("service.name", "riptide-proxy"), attribute.String("service.version", p.Version), attribute.String("service.instance.id", p.ID),
	)))
	r.tracer = r.provider.Tracer("riptide-proxy")
	r.common = []attribute.KeyValue{attribute.String("db.system.name", "redis")}
	r.common = append(r.common, address("server", p.Upstream)...)
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() {
		defer close(r.done)
		r.run(ctx)
	}()
	return r
}

// lastComplaint is when it was logged that spans could not be delivered, in Unix time.
var lastComplaint atomic.Int64

// complainEvery is how often that is logged at most, in seconds.
const complainEvery = 60

func undelivered(err error) {
	now, last := time.Now().Unix(), lastComplaint.Load()
	if now-last >= complainEvery && lastComplaint.CompareAndSwap(last, now) {
		slog.Warn("traces could not be delivered", "error", err)
	}
}

// Full reports whether a span would be dropped, which is counted then: it need not be made.
func (r *Recorder) Full() bool {
	if len(r.spans) < cap(r.spans) {
		return false
	}
	r.dropped.Add(1)
	return true
}

// Record takes a span. It never waits.
func (r *Recorder) Record(s Span) {
	select {
	case r.spans <- s:
		r.recorded.Add(1)
	default:
		r.dropped.Add(1)
	}
}

// Counted is how many spans were recorded, and how many dropped since too many waited.
func (r *Recorder) Counted() (recorded, dropped uint64) { return r.recorded.Load(), r.dropped.Load() }

// Close sends what was recorded before, until ctx ends. Nothing is sent that is recorded later.
func (r *Recorder) Close(ctx context.Context) error {
	r.stop()
	<-r.done
	return r.provider.Shutdown(ctx)
}

func (r *Recorder) run(ctx context.Context) {
	for {
		select {
		case s := <-r.spans:
			r.send(&s)
		case <-ctx.Done():
			for {
				select {
				case s := <-r.spans:
					r.send(&s)
				default:
					return
				}
			}
		}
	}
}

// send makes a span of OpenTelemetry's, with the names of its conventions for databases.
func (r *Recorder) send(s *Span) {
	name := strings.ToUpper(strings.ReplaceAll(s.Command, "|", " "))
	attributes := append(make([]attribute.KeyValue, 0, 16), r.common...)
	attributes = append(attributes,
		attribute.String("db.operation.name", name), attribute.Int("db.namespace", s.DB),
		attribute.String("riptide.tenant", s.Tenant), attribute.String("riptide.operation", s.Class),
		attribute.Int("riptide.reply.size", s.Bytes),
	)
	attributes = append(attributes, address("client", s.Client)...)
	if s.Error != "" {
		attributes = append(attributes, attribute.String("db.response.status_code", s.Error), attribute.String("error.type", s.Error))
	}
	_, span := r.tracer.Start(context.Background(), name, trace.WithTimestamp(s.Start), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	if s.Error != "" {
		span.SetStatus(codes.Error, s.Error)
	}
	span.End(trace.WithTimestamp(s.Start.Add(s.Took)))
}

// address are the attributes of one end of a connection.
func address(of, addr string) []attribute.KeyValue {
	host, port, err := net.SplitHostPort(addr)
	n, notNumber := strconv.Atoi(port)
	if err != nil || notNumber != nil {
		return []attribute.KeyValue{attribute.String(of+".address", addr)} // a socket of the file system
	}
	return []attribute.KeyValue{attribute.String(of+".address", host), attribute.Int(of+".port", n)}
}
