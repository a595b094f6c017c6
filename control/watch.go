package control

import (
	"context"
	"errors"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settleTime is how long files must be left alone before they are read: whoever writes them may not
	// be done.
	settleTime = 200 * time.Millisecond
	// settleLimit is after how long of changes without an end they are read all the same.
	settleLimit = 5 * time.Second
	// pollTime is how often it is looked whether they have changed without a word, as on a network's file system.
	pollTime = 10 * time.Second
)

// Watch reloads when the files have changed, until ctx ends.
//
// It watches folders and not files, since editors write another file and rename it, and what Kubernetes changes
// is a symbolic link beside the file's.
func (m *Manager) Watch(ctx context.Context) {
	if m.Current().files == nil {
		return
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		slog.Warn("changes of the configuration's files are noticed late", "error", err, "after", pollTime.String())
		w = &fsnotify.Watcher{} // nothing comes from its channels
	} else {
		defer w.Close()
	}
	m.follow(w)
	poll := time.NewTicker(pollTime)
	defer poll.Stop()
	signature := m.signature()
	var settled <-chan time.Time // nil: nothing has changed
	var since time.Time
	changed := func() {
		if settled == nil {
			since = time.Now()
		}
		if time.Since(since) < settleLimit {
			settled = time.After(settleTime)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-w.Events:
			if open {
				changed()
			}
		case err := <-w.Errors:
			slog.Warn("watching the configuration's files", "error", err)
			changed()
		case <-poll.C:
			if now := m.signature(); now != signature {
				changed()
			}
		case <-settled:
			before := m.signature()
			err := m.reload(ctx, "file", false)
			if signature = m.signature(); signature != before && time.Since(since) < settleLimit {
				settled = time.After(settleTime) // somebody was writing
				continue
			}
			settled = nil
			if errors.Is(err, errUnchanged) {
				m.counters[Unchanged].Add(1)
			}
			m.follow(w)
		}
	}
}

// follow watches the folders that the files are in now.
func (m *Manager) follow(w *fsnotify.Watcher) {
	if w.Events == nil {
		return
	}
	dirs, watched := m.dirs(), w.WatchList()
	for _, dir := range dirs {
		if !slices.Contains(watched, dir) {
			w.Add(dir) // or it is not there, or there are too many: then changes are noticed late
		}
	}
	for _, dir := range watched {
		if !slices.Contains(dirs, dir) {
			w.Remove(dir) // it may be gone
		}
	}
}

// dirs are the folders in which the files are, and those in which links to them are. Each has one name only: one that is
// watched under two would not be watched any more once one of them goes.
func (m *Manager) dirs() (dirs []string) {
	f := m.Current().files
	add := func(name string) {
		if real, err := filepath.EvalSymlinks(name); err == nil && !slices.Contains(dirs, real) {
			dirs = append(dirs, real)
		}
	}
	add(filepath.Dir(f.Path))
	if real, err := filepath.EvalSymlinks(f.Path); err == nil {
		add(filepath.Dir(real))
	}
	if f.TenantsDir != "" {
		add(f.TenantsDir)
		add(filepath.Dir(f.TenantsDir))
	}
	return dirs
}

// signature differs, as good as always, when a file has changed.
func (m *Manager) signature() uint64 {
	f := m.Current().files
	h := fnv.New64a()
	add := func(name string, info fs.FileInfo, err error) {
		h.Write([]byte(name))
		if err == nil {
			h.Write([]byte(info.ModTime().String()))
			h.Write([]byte{byte(info.Size()), byte(info.Size() >> 8), byte(info.Size() >> 16)})
		}
	}
	info, err := os.Stat(f.Path)
	add(f.Path, info, err)
	if f.TenantsDir != "" {
		entries, _ := os.ReadDir(f.TenantsDir)
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), ".") {
				info, err := os.Stat(filepath.Join(f.TenantsDir, e.Name()))
				add(e.Name(), info, err)
			}
		}
	}
	return h.Sum64()
}
