package audit

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// removal is the record of a file that was too old, or one too many. Verify takes what
// it says for the reason why the beginning of a chain is not there.
type removal struct {
	Event   string `json:"event"`
	File    string `json:"file"`
	Through uint64 `json:"through"` // number of its last record; 0: nobody knows
}

const removalEvent = "removed"

// retain removes files that are not to be kept any longer: of its own stream, and of those that no process
// writes to any more.
func (w *writer) retain() {
	w.retained = w.now()
	r := w.log.retention.Load()
	if r.KeepFiles == 0 && r.KeepFor == 0 {
		return
	}
	all, err := listFiles(w.stream.dir)
	if err != nil {
		slog.Warn("the audit log's files can not be listed", "error", err)
		return
	}
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].stream == all[0].stream {
			n++
		}
		w.retainStream(all[:n], r)
		all = all[n:]
	}
	w.write()
}

func (w *writer) retainStream(files []logFile, r *Retention) {
	if files[0].stream != w.stream.number {
		held, err := lock(w.stream.dir, files[0].stream)
		if err != nil {
			return // who writes there sees to it
		}
		defer held.Close()
	}
	for i, f := range files {
		last := i == len(files)-1
		if last && f.stream == w.stream.number || !tooMuch(f, len(files)-i, r, w.now()) {
			return
		}
		gone := removal{Event: removalEvent, File: filepath.Base(f.path)}
		if !last {
			gone.Through = files[i+1].first - 1
		}
		if err := os.Remove(f.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			slog.Warn("a file of the audit log can not be removed", "error", err)
			return
		}
		fields, _ := marshal(gone)
		w.add(appendRecord(nil, w.now(), fields), 1)
	}
}

// tooMuch reports whether a file is to go, as the oldest one of so many.
func tooMuch(f logFile, of int, r *Retention, now time.Time) bool {
	if r.KeepFiles > 0 && of > r.KeepFiles {
		return true
	}
	info, err := os.Stat(f.path)
	return r.KeepFor > 0 && err == nil && now.Sub(info.ModTime()) > r.KeepFor
}
