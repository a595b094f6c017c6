package main

import (
	"strconv"

	"riptide-proxy/admin"
	"riptide-proxy/audit"
)

// adminEvent is what the audit log has of something that was done, or tried, through the admin listener.
func adminEvent(e admin.Event) audit.Event {
	out := audit.Event{
		Event: "admin", Actor: e.Who.Name, Role: string(e.Who.Role), Client: e.Remote, Tenant: e.Tenant, Action: e.Action,
		Count: e.Count, Outcome: "ok", Reason: e.Reason, Before: e.Before, After: e.After,
	}
	if e.Status >= 400 {
		out.Outcome = "failed"
		if out.Reason == "" {
			out.Reason = strconv.Itoa(e.Status)
		}
	}
	return out
}
