package admin

import (
	"log/slog"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"riptide-proxy/audit"
	"riptide-proxy/config"
)

// Event is something that was done, or tried, through the listener.
type Event struct {
	Action string // the route's name, as in createTenant
	Who    Principal
	Remote string // address of who asked
	Tenant string // that it is about; empty: none, or several
	Status int    // of HTTP
	Reason string // why it was not done
	Count  int    // how many requests were refused alike; 0: it is one

	// Before and After are the tenant's configuration, without secrets; nil where there
	// is none.
	Before, After any
}

// audit tells what was done, or why it was not (p).
func (a *api) audit(c *call, status int, p *Problem) {
	e := Event{Action: c.route.name, Who: c.who, Remote: c.RemoteAddr, Status: status, Before: c.before, After: c.after}
	if config.ValidTenantID(c.tenant) {
		e.Tenant = c.tenant
	}
	switch {
	case p != nil && p.refused():
		a.auditRefused(c.Request, e, p)
		return
	case c.route.method == http.MethodGet:
		return
	case p != nil:
		e.Reason = p.Title
	}
	if a.o.Audit != nil {
		a.o.Audit(e)
	}
	e.log()
}

// auditRefused tells that a request was refused, unless there are too many of them.
func (a *api) auditRefused(q *http.Request, e Event, p *Problem) {
	e.Reason = p.Error()
	if a.refused.note(e, audit.Network(address(q.RemoteAddr))) && e.Status != http.StatusUnauthorized {
		e.log()
	}
}

func (e *Event) log() {
	slog.Info("admin", "action", e.Action, "by", e.Who.Name, "role", string(e.Who.Role), "remote", e.Remote, "tenant", e.Tenant, "status", e.Status)
}

// seenRequests counts what was asked for.
type seenRequests struct {
	total *prometheus.CounterVec
}

func newSeenRequests() *seenRequests {
	return &seenRequests{total: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "riptide_admin_requests_total", Help: "Requests to the admin listener; the route is empty for what is none.",
	}, []string{"route", "status"})}
}

// count counts a request. Routes and statuses are few.
func (s *seenRequests) count(route string, status int) {
	s.total.WithLabelValues(route, strconv.Itoa(status)).Inc()
}
