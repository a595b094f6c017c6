package proxy

import (
	"context"
	"time"
)

// Connection is a tenant's client as operators see it.
type Connection struct {
	ID      uint64  `json:"id"` // among the tenant's
	Address string  `json:"address"`
	User    string  `json:"user"` // as it has logged in
	Name    string  `json:"name"` // that it has given itself
	Library string  `json:"library"`
	Age     float64 `json:"age_seconds"`
	Idle    float64 `json:"idle_seconds"`
	DB      int     `json:"database"`
	Command string  `json:"command"` // the last one
	Flags   string  `json:"flags"`   // as CLIENT LIST has them
	RESP    int     `json:"resp"`
}

// Connections are a tenant's to this proxy, the oldest first.
func (s *Server) Connections(ctx context.Context, tenant string) ([]Connection, error) {
	lines, err := s.clientLines(ctx, tenant)
	if err != nil {
		return nil, err
	}
	all := make([]Connection, len(lines))
	for i, l := range lines {
		all[i] = Connection{
			ID: l.id, Address: l.addr.String(), User: l.user, Name: l.name, Library: l.libName, Age: l.age.Seconds(), Idle: l.idle.Seconds(),
			DB: l.db, Command: l.cmd, Flags: l.flags, RESP: l.proto,
		}
	}
	return all, nil
}

// SlowCommand is one that took long.
type SlowCommand struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Micros  int64     `json:"microseconds"`
	Args    []string  `json:"arguments"` // the command's name first
	Address string    `json:"address"`
	Client  string    `json:"client"` // the name that it has given itself
}

// SlowLog is a tenant's on this proxy, the newest first.
func (s *Server) SlowLog(ctx context.Context, tenant string) ([]SlowCommand, error) {
	lists, err := everywhere(ctx, s, func(w *worker) []slowEntry { return copyOfSlow(w, w.tenantStats(tenant)) })
	if err != nil {
		return nil, err
	}
	list := mergedSlow(lists)
	all := make([]SlowCommand, len(list))
	for i, e := range list {
		all[i] = SlowCommand{
			ID: e.id, At: time.Unix(e.at, 0).UTC(), Micros: e.took.Microseconds(), Args: e.args, Address: e.addr, Client: e.name,
		}
	}
	return all, nil
}
