package admin

import (
	"log/slog"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Event is something that was done, or tried, through the listener.
type Event struct {
	Action string // the route's name, as in createTenant
	Who    Principal
	Remote string // address of who asked
	Tenant string // that it is about; empty: none, or several
	Status int    // of HTTP
	Reason string // why it was not done

	// Before and After are the tenant's configuration, without secrets; nil where there
	// is none.
	Before, After any
}

// audit tells what was done, or refused.
func (a *api) audit(c *call, status int, reason string) {
	e := Event{
		Action: c.route.name, Who: c.who, Remote: c.RemoteAddr, Tenant: c.tenant, Status: status, Reason: reason,
		Before: c.before, After: c.after,
	}
	if a.o.Audit != nil {
		a.o.Audit(e)
	}
	if status != http.StatusUnauthorized { // which anybody can cause as often as they like
		slog.Info("admin", "action", e.Action, "by", e.Who.Name, "role", string(e.Who.Role), "remote", e.Remote, "tenant", e.Tenant, "status", status)
	}
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
