// Package admin is the HTTP listener for operators: health, readiness, metrics
// and tenants' dictionaries.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"riptide-proxy/proxy"
)

// Proxy is what the listener tells about.
type Proxy interface {
	Ready() bool
	Alive(ctx context.Context) error
	Stats(ctx context.Context) (*proxy.Stats, error)
}

// Server is a running listener.
type Server struct {
	http *http.Server
	addr string
}

// Start listens on address; an empty one means no listener. See Handler for the rest.
func Start(address string, p Proxy, d Dictionaries, u Usage) (*Server, error) {
	return StartOn(net.Listen, address, p, d, u)
}

// StartOn is Start with a listener that listen makes, and with further metrics.
func StartOn(listen func(network, address string) (net.Listener, error), address string, p Proxy, d Dictionaries, u Usage, more ...prometheus.Collector) (*Server, error) {
	if address == "" {
		return &Server{}, nil
	}
	ln, err := listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("admin listener: %w", err)
	}
	s := &Server{
		http: &http.Server{
			Handler:           Handler(p, d, u, more...),
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    64 << 10,
		},
		addr: ln.Addr().String(),
	}
	go func() {
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("the admin listener ended", "error", err)
		}
	}()
	return s, nil
}

// Addr is where it listens; empty when it does not.
func (s *Server) Addr() string { return s.addr }

// Close stops it, giving requests under way a moment.
func (s *Server) Close() {
	if s.http == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}

// Handler serves /healthz (the process lives), /readyz (the upstream answers),
// /metrics, /stats/tenants (a TenantsReport) and, unless d is nil, /tenants/<id>/dictionaries with what is below it;
// unless u is nil, /usage, /tenants/<id>/usage and /tenants/<id>/billing. More are further metrics.
func Handler(p Proxy, d Dictionaries, u Usage, more ...prometheus.Collector) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(more...)
	registry.MustRegister(
		&collector{p},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		// A loop that hangs does not answer, so this asks them all.
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if p.Alive(ctx) != nil {
			http.Error(w, "an event loop does not answer", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !p.Ready() {
			http.Error(w, "the upstream does not answer", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	handleTenants(mux, p)
	if d != nil {
		handleDictionaries(mux, d)
	}
	if u != nil {
		handleUsage(mux, u)
		registry.MustRegister(&unitCollector{u})
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 20 * time.Second}))
	return mux
}
