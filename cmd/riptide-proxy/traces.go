package main

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/proxy"
	"riptide-proxy/tracing"
)

// traces are those that the configuration asks for.
type traces struct {
	srv      *proxy.Server
	upstream string // address
	running  *tracing.Recorder
	config   config.Tracing
	ending   sync.WaitGroup // recorders that send what they have left
}

// traceTime bounds waiting for a collector, and for the loops.
const traceTime = 3 * time.Second

// apply has commands traced as c says. It may be called again for a new configuration.
func (t *traces) apply(c config.Tracing) {
	if reflect.DeepEqual(c, t.config) {
		return
	}
	var next *tracing.Recorder
	if c.Endpoint != "" {
		var err error
		if next, err = tracing.Start(&c, tracing.Process{Version: version, ID: t.srv.ID(), Upstream: t.upstream}); err != nil {
			slog.Error("nothing is traced", "error", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), traceTime)
	defer cancel()
	if err := t.srv.Trace(ctx, next); err != nil {
		slog.Error("traces are not made as configured", "error", err)
	}
	t.end()
	t.running, t.config = next, c
}

// close sends what is left.
func (t *traces) close() {
	t.end()
	t.ending.Wait()
}

func (t *traces) end() {
	r := t.running
	if r == nil {
		return
	}
	t.running = nil
	t.ending.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), traceTime)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			slog.Warn("the last traces were not delivered", "error", err)
		}
	})
}
