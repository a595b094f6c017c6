package main

import (
	"context"
	"log/slog"
	"reflect"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/proxy"
	"riptide-proxy/tracing"
)

// traces are those that the configuration asks for.
type traces struct {
	srv      *proxy.Server
	upstream string // address
	now      *tracing.Recorder
	config   config.Tracing
}

// traceTime bounds waiting for a collector, and for the loops.
const traceTime = 3 * time.Second

// apply has commands traced as c says. It may be called again for a new configuration; what there was before has been
// sent then, if the collector takes it.
func (t *traces) apply(c config.Tracing) error {
	if reflect.DeepEqual(c, t.config) {
		return nil
	}
	var next *tracing.Recorder
	if c.Endpoint != "" {
		var err error
		next, err = tracing.Start(&c, tracing.Process{Version: version, ID: t.srv.ID(), Upstream: t.upstream})
		if err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), traceTime)
	defer cancel()
	err := t.srv.Trace(ctx, next)
	t.end()
	t.now, t.config = next, c
	return err
}

// close sends what is left.
func (t *traces) close() { t.end() }

func (t *traces) end() {
	if t.now == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), traceTime)
	defer cancel()
	if err := t.now.Close(ctx); err != nil {
		slog.Warn("the last traces were not delivered", "error", err)
	}
	t.now = nil
}
