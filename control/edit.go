package control

import "context"

// Edit is Reload for whoever has just written one tenant's file, data (nil: removed it), and nothing else. The other
// files are taken to be as they were, which makes the cost of it almost the same however many tenants there are; if
// they are not, Watch sees it. If the files could not be taken over the last time, or others are running than they say,
// all are read, so that whoever edits is told.
//
// If the error is not nil nothing has changed, and the file has to be made what it was.
func (m *Manager) Edit(ctx context.Context, source, tenant string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	running := m.Current()
	switch {
	case running.files == nil:
		return ErrNoFile
	case running.files.TenantsDir == "" || m.seen != reading{hash: running.Hash}:
		return m.readAll(ctx, source, true)
	}
	files, cfg, warnings, err := running.files.With(tenant, data)
	if err == nil {
		err = files.Locate(m.apply(ctx, &Generation{Hash: files.Hash(), Source: source, Config: cfg, Warnings: warnings, files: files}))
	}
	if err == nil {
		m.seen = reading{hash: m.Current().Hash}
		return m.done(source, running, nil)
	}
	// The files themselves are good, once that one is what it was.
	last := m.last.Load()
	err = m.done(source, running, err)
	m.last.Store(last)
	return err
}
