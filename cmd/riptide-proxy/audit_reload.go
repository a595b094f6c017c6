package main

import (
	"errors"
	"fmt"

	"riptide-proxy/audit"
	"riptide-proxy/config"
	"riptide-proxy/control"
)

// maxChanges is how many differences of a configuration are recorded.
const maxChanges = 200

// reloadEvent is what the audit log has of a try to change the configuration.
func reloadEvent(r control.Result) audit.Event {
	e := audit.Event{Event: "reload", Source: r.Source, Outcome: "ok", Generation: r.Now.Number, Hash: r.Now.Hash}
	var problems config.Errors
	switch {
	case errors.As(r.Err, &problems) && len(problems) > 1:
		e.Outcome, e.Reason = "failed", fmt.Sprintf("%v (and %d more)", problems[0], len(problems)-1)
	case r.Err != nil:
		e.Outcome, e.Reason = "failed", r.Err.Error()
	default:
		changes := config.Diff(r.Before.Config, r.Now.Config)
		e.MoreChanges = len(changes) - min(len(changes), maxChanges)
		if changes = changes[:len(changes)-e.MoreChanges]; len(changes) > 0 {
			e.Changes = changes
		}
	}
	return e
}
