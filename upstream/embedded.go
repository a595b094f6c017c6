package upstream

import (
	"fmt"

	"github.com/alicebob/miniredis/v2"
)

// Embedded is a server inside this process, for trying the proxy out. It keeps
// everything in memory and knows only part of Redis's commands.
type Embedded struct{ server *miniredis.Miniredis }

// StartEmbedded starts one on a free port of the loopback interface.
func StartEmbedded() (*Embedded, error) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("embedded upstream: %w", err)
	}
	return &Embedded{m}, nil
}

// Address is where it listens.
func (e *Embedded) Address() string { return e.server.Addr() }

// Close stops it; its data is gone.
func (e *Embedded) Close() { e.server.Close() }
