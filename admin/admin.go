// Package admin is the HTTP listener for operators: tenants, plans, usage, the running
// configuration, health and metrics.
//
// What there is stands in one table (routes.go) with who may use it; a request is let in
// by serve (route.go) and nothing else. What a tenant's file has is edited in edit.go.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"riptide-proxy/config"
	"riptide-proxy/proxy"
)

// Proxy is what the listener tells about. A proxy.Server is one.
type Proxy interface {
	Ready() bool
	Alive(ctx context.Context) error
	Stats(ctx context.Context) (*proxy.Stats, error)

	// Connections, SlowLog and HotKeys are of a tenant that the configuration has.
	Connections(ctx context.Context, tenant string) ([]proxy.Connection, error)
	SlowLog(ctx context.Context, tenant string) ([]proxy.SlowCommand, error)
	HotKeys(ctx context.Context, tenant string) ([]proxy.HotKey, error)

	// Sweep deletes keys and tells how far it is.
	Sweep(ctx context.Context, sweep proxy.Sweep, progress func(proxy.Swept)) error
	// BeginPurge notes in the upstream that a tenant's keys are being deleted, EndPurge that they are not
	// any more; Purging and Purges tell what is noted.
	BeginPurge(ctx context.Context, tenant string) error
	EndPurge(ctx context.Context, tenant string) error
	Purging(ctx context.Context, tenant string) (bool, error)
	Purges(ctx context.Context) ([]string, error)
}

// Options are what the listener works with.
type Options struct {
	Proxy Proxy
	State State
	File  string // of the configuration: a relative tenants_dir begins at its folder; empty: there is none

	Dictionaries Dictionaries           // nil: none are told of
	Usage        Usage                  // nil: there is no ledger
	Checkpoints  Checkpoints            // nil: there are none
	Signed       Signed                 // nil: the configuration's tokens are all that there are
	Audit        func(Event)            // nil: what is done is only in the log
	Collectors   []prometheus.Collector // further metrics

	// Listen makes the listener. Nil: a new one.
	Listen func(network, address string) (net.Listener, error)
}

// Server is a running listener.
type Server struct {
	http *http.Server
	addr string
	api  *api
	wait sync.WaitGroup
}

// Start listens on address; an empty one means no listener. See Handler for the rest.
func Start(address string, o Options) (*Server, error) {
	if address == "" {
		return &Server{}, nil
	}
	listen := o.Listen
	if listen == nil {
		listen = net.Listen
	}
	ln, err := listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("admin.listen: %w", err)
	}
	a := newAPI(&o)
	s := &Server{
		http: httpServer(a),
		addr: ln.Addr().String(),
		api:  a,
	}
	s.wait.Go(a.resume)
	s.wait.Go(func() { a.files.tidy(o.State.Current().Config.TenantsDir, time.Now()) })
	s.wait.Go(func() {
		if err := s.http.Serve(bounded(ln, a.tooMany)); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("the admin listener ended", "error", err)
		}
	})
	return s, nil
}

// httpServer bounds what a client can keep busy by being slow.
func httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute, // a reload may take a while
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
}

// Addr is where it listens; empty when it does not.
func (s *Server) Addr() string { return s.addr }

// Close stops it, giving requests under way a moment. What is done in the background ends.
func (s *Server) Close() {
	if s.http == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	s.api.jobs.close()
	s.wait.Wait()
	s.api.refused.flush()
}

// newAPI prepares everything but the listener.
func newAPI(o *Options) *api {
	a := &api{
		o: o, mux: http.NewServeMux(), routes: routes(o), files: newTenantFiles(o.File), jobs: newJobs(), seen: newSeenRequests(),
		reports: make(chan struct{}, reportsAtOnce), refused: refusals{tell: o.Audit},
	}
	a.gate = &gate{current: func() *config.Config { return o.State.Current().Config }, signed: o.Signed, limits: newLimits()}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		&collector{o.Proxy},
		a.seen.total,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	registry.MustRegister(o.Collectors...)
	if o.Usage != nil {
		registry.MustRegister(&unitCollector{o.Usage})
	}
	a.metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 20 * time.Second})
	doc, err := document(a.routes)
	if err != nil {
		panic(err) // it is made of constants
	}
	a.doc = doc
	a.handle()
	return a
}
