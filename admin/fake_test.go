package admin

import (
	"context"
	"maps"
	"slices"
	"sync"

	"riptide-proxy/proxy"
)

// sweeps is what a stub has been asked to delete.
type sweeps struct {
	mu     sync.Mutex
	list   []proxy.Sweep
	purges map[string]bool
	fails  error
	hold   chan struct{} // sweeps wait until it is closed, if there is one
}

func (s *stub) Connections(_ context.Context, tenant string) ([]proxy.Connection, error) {
	return []proxy.Connection{{ID: 1, User: tenant}}, s.err
}

func (s *stub) SlowLog(_ context.Context, tenant string) ([]proxy.SlowCommand, error) {
	return []proxy.SlowCommand{{ID: 1, Args: []string{"SET", "key-of-" + tenant, "value-of-" + tenant}}}, s.err
}

func (s *stub) HotKeys(_ context.Context, tenant string) ([]proxy.HotKey, error) {
	return []proxy.HotKey{{Key: "key-of-" + tenant, Commands: 960, Share: 0.5}}, s.err
}

func (s *stub) Sweep(ctx context.Context, sweep proxy.Sweep, progress func(proxy.Swept)) error {
	s.swept.mu.Lock()
	s.swept.list = append(s.swept.list, sweep)
	hold, fails := s.swept.hold, s.swept.fails
	s.swept.mu.Unlock()
	progress(proxy.Swept{Keys: 10, Looked: 5, Deleted: 1})
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	progress(proxy.Swept{Keys: 10, Looked: 10, Deleted: 3})
	return fails
}

func (s *stub) BeginPurge(_ context.Context, tenant string) error {
	s.swept.mu.Lock()
	defer s.swept.mu.Unlock()
	if s.swept.purges == nil {
		s.swept.purges = map[string]bool{}
	}
	s.swept.purges[tenant] = true
	return s.err
}

func (s *stub) EndPurge(_ context.Context, tenant string) error {
	s.swept.mu.Lock()
	defer s.swept.mu.Unlock()
	delete(s.swept.purges, tenant)
	return s.err
}

func (s *stub) Purging(_ context.Context, tenant string) (bool, error) {
	s.swept.mu.Lock()
	defer s.swept.mu.Unlock()
	return s.swept.purges[tenant], s.err
}

func (s *stub) Purges(context.Context) ([]string, error) {
	s.swept.mu.Lock()
	defer s.swept.mu.Unlock()
	return slices.Collect(maps.Keys(s.swept.purges)), s.err
}
