package upstream

import (
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Embedded is a server inside this process, for trying the proxy out. It keeps
// everything in memory and knows only part of Redis's commands.
type Embedded struct {
	server *miniredis.Miniredis
	stop   chan struct{}
}

// expiryTick is how often keys of the embedded server expire. Its own clock
// stands still unless it is told.
const expiryTick = 100 * time.Millisecond

// StartEmbedded starts one on a free port of the loopback interface.
func StartEmbedded() (*Embedded, error) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("embedded upstream: %w", err)
	}
	e := &Embedded{server: m, stop: make(chan struct{})}
	go e.age()
	return e, nil
}

func (e *Embedded) age() {
	tick := time.NewTicker(expiryTick)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case now := <-tick.C:
			e.server.FastForward(now.Sub(last))
			last = now
		case <-e.stop:
			return
		}
	}
}

// Address is where it listens.
func (e *Embedded) Address() string { return e.server.Addr() }

// Close stops it; its data is gone.
func (e *Embedded) Close() {
	close(e.stop)
	e.server.Close()
}
