package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/proxy"
)

// ConnectionList is /admin/tenants/{id}/connections.
type ConnectionList struct {
	Connections []proxy.Connection `json:"connections"` // to this proxy, the oldest first
}

// SlowList is /admin/tenants/{id}/slowlog.
type SlowList struct {
	Commands []proxy.SlowCommand `json:"commands"` // on this proxy, the newest first
}

// HotList is /admin/tenants/{id}/hotkeys.
type HotList struct {
	Keys []proxy.HotKey `json:"keys"` // on this proxy, the hottest first
}

// liveTime bounds how long the event loops may take to answer.
const liveTime = 5 * time.Second

func listConnections(a *api, w http.ResponseWriter, c *call) error {
	if c.cfg.Tenants[c.tenant] == nil {
		return noTenant()
	}
	ctx, cancel := context.WithTimeout(c.Context(), liveTime)
	defer cancel()
	list, err := a.o.Proxy.Connections(ctx, c.tenant)
	if err != nil {
		return problem("unavailable", "an event loop does not answer")
	}
	return writeJSON(w, http.StatusOK, ConnectionList{list})
}

func listSlow(a *api, w http.ResponseWriter, c *call) error {
	if c.cfg.Tenants[c.tenant] == nil {
		return noTenant()
	}
	ctx, cancel := context.WithTimeout(c.Context(), liveTime)
	defer cancel()
	list, err := a.o.Proxy.SlowLog(ctx, c.tenant)
	if err != nil {
		return problem("unavailable", "an event loop does not answer")
	}
	if !c.who.Role.Includes(config.Operator) {
		for i := range list { // they have what tenants store
			if n := len(list[i].Args); n > 1 {
				list[i].Args = []string{list[i].Args[0], fmt.Sprintf("... (%d arguments)", n-1)}
			}
		}
	}
	return writeJSON(w, http.StatusOK, SlowList{list})
}

func listHot(a *api, w http.ResponseWriter, c *call) error {
	if c.cfg.Tenants[c.tenant] == nil {
		return noTenant()
	}
	ctx, cancel := context.WithTimeout(c.Context(), liveTime)
	defer cancel()
	list, err := a.o.Proxy.HotKeys(ctx, c.tenant)
	if err != nil {
		return problem("unavailable", "an event loop does not answer")
	}
	if !c.who.Role.Includes(config.Operator) {
		for i := range list { // as in the slow log, names are what tenants store
			list[i].Key = ""
		}
	}
	return writeJSON(w, http.StatusOK, HotList{list})
}

// healthz tells whether the process lives: a loop that hangs does not answer, so this asks them all.
func healthz(a *api, w http.ResponseWriter, c *call) error {
	ctx, cancel := context.WithTimeout(c.Context(), 2*time.Second)
	defer cancel()
	if a.o.Proxy.Alive(ctx) != nil {
		http.Error(w, "an event loop does not answer", http.StatusServiceUnavailable)
		return nil
	}
	fmt.Fprintln(w, "ok")
	return nil
}

// readyz tells whether the upstream answers.
func readyz(a *api, w http.ResponseWriter, _ *call) error {
	if !a.o.Proxy.Ready() {
		http.Error(w, "the upstream does not answer", http.StatusServiceUnavailable)
		return nil
	}
	fmt.Fprintln(w, "ok")
	return nil
}

func metrics(a *api, w http.ResponseWriter, c *call) error {
	a.metrics.ServeHTTP(w, c.Request)
	return nil
}

func openAPI(a *api, w http.ResponseWriter, _ *call) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(a.doc) // a client that has gone away
	return nil
}
