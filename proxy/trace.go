package proxy

import (
	"bytes"
	"context"
	"time"

	"riptide-proxy/command"
	"riptide-proxy/tracing"
)

// Trace has commands recorded from now on; nil: no longer. When it returns without an error no loop
// uses the recorder that was there before.
func (s *Server) Trace(ctx context.Context, r *tracing.Recorder) error {
	s.tracing.Store(r)
	return s.each(ctx, func(w *worker) { w.traces = r.Sampler() })
}

// trace records a command that was answered after so long, if it is chosen. Of a reply that
// is not known the span says nothing.
func (s *session) trace(cmd *command.Command, reply []byte, took time.Duration) {
	traces := s.w.traces
	if traces == nil || !traces.Takes(took) || s.who == nil {
		return
	}
	traces.Record(tracing.Span{
		Command: cmd.Name, Class: cmd.Class.String(), Tenant: s.who.Tenant.ID, DB: s.db, Client: s.conn.Peer().String(),
		Start: time.Now().Add(-took), Took: took, Error: errorCode(reply), Bytes: len(reply),
	})
}

// errorCode is the code of an error reply; empty of any other. A script's own may be anything.
func errorCode(reply []byte) string {
	if len(reply) == 0 || reply[0] != '-' {
		return ""
	}
	code := reply[1:]
	if i := bytes.IndexAny(code, " \r"); i >= 0 {
		code = code[:i]
	}
	if !isCode(code) {
		return "other"
	}
	return string(code)
}

// Traces counts spans since the recorder was started.
type Traces struct{ Recorded, Dropped uint64 }

func (s *Server) traces() *Traces {
	r := s.tracing.Load()
	if r == nil {
		return nil
	}
	recorded, dropped := r.Counted()
	return &Traces{recorded, dropped}
}

// ID tells this process from the other proxies of the upstream.
func (s *Server) ID() string { return s.id }
