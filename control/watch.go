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
	f := &follower{Watcher: w}
	m.follow(f)
	poll := time.NewTicker(pollTime)
	defer poll.Stop()
	signature := m.signature()
	since := time.Now()
	settled := time.After(settleTime) // nil: nothing has changed; they may have before they were watched
	first := true
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
		case e, open := <-w.Events:
			if open && m.concerns(e) {
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
			if errors.Is(err, errUnchanged) && !first {
				m.counters[Unchanged].Add(1)
			}
			first = false
			if m.follow(f); m.signature() != signature { // before they were watched
				changed()
			}
		}
	}
}

// concerns tells whether an event may be one of the files'. A log that is written beside them is none.
func (m *Manager) concerns(e fsnotify.Event) bool {
	if e.Has(fsnotify.Create) || e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
		return true // it may be what a link leads to
	}
	f, written := m.Current().files, filepath.Clean(e.Name)
	if real, err := filepath.EvalSymlinks(f.Path); err != nil || written == real {
		return true
	}
	if f.TenantsDir == "" {
		return false
	}
	real, err := filepath.EvalSymlinks(f.TenantsDir)
	return err != nil || filepath.Dir(written) == real
}

// follower is a Watcher that complains once.
type follower struct {
	*fsnotify.Watcher
	told bool // that a folder can not be watched
}

// follow watches the folders that the files are in now.
func (m *Manager) follow(w *follower) {
	if w.Events == nil {
		return
	}
	dirs, watched := m.dirs(), w.WatchList()
	for _, dir := range dirs {
		if slices.Contains(watched, dir) {
			continue
		}
		if err := w.Add(dir); err != nil && !w.told {
			w.told = true
			slog.Warn("changes of the configuration's files are noticed late", "folder", dir, "error", err, "after", pollTime.String())
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
			h.Write([]byte(info.ModTime().String() + info.Mode().String()))
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
