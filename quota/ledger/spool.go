package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// While the upstream is away, what is to be reported lies in a file as well, so
// that it outlives the process. Whoever finds the file of another process
// reports it in that process's name: that it may have been reported already does
// no harm.

// spoolSuffix ends the name of a spool file, before what a reader puts behind it.
const spoolSuffix = ".usage"

// maxHeld is how many tenants' hours a process holds while it can not report
// them. Beyond that the oldest hour becomes part of the next one.
const maxHeld = 100_000

// maxSpool is the longest spool file that is read.
const maxSpool = 256 << 20

type spoolFile struct {
	Process string        `json:"process"`
	Hours   []spooledHour `json:"hours"`
}

type spooledHour struct {
	Tenant string `json:"tenant"`
	Root   string `json:"root"`
	Hour   Hour   `json:"hour"`
	Seq    int64  `json:"seq"`
	Record record `json:"record"`
}

// spool writes what is not reported to the process's own file. The mutex is held.
func (l *Ledger) spool() {
	l.fold(maxHeld)
	if l.o.Spool == "" {
		return
	}
	f, newest := l.unreported()
	if newest == l.spooled {
		return // nothing has changed, or there is nothing
	}
	if err := writeSpool(l.spoolPath(), f); err != nil {
		slog.Error("usage could not be written to the spool", "error", err)
		return
	}
	l.spooled = newest
}

// unreported is what is not reported, and the youngest report's number. The mutex is held.
func (l *Ledger) unreported() (f *spoolFile, newest int64) {
	f = &spoolFile{Process: l.o.Process}
	for key, h := range l.held {
		if h.told != h.seq {
			f.Hours = append(f.Hours, spooledHour{key.tenant, h.root, key.hour, h.seq, h.rec})
			newest = max(newest, h.seq)
		}
	}
	return f, newest
}

func (l *Ledger) spoolPath() string { return filepath.Join(l.o.Spool, l.o.Process+spoolSuffix) }

// writeSpool replaces a file as a whole: checksum, line feed, JSON.
func writeSpool(path string, f *spoolFile) error {
	body, err := json.Marshal(f)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	out, err := os.CreateTemp(filepath.Dir(path), ".usage-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) // fails once it has its name
	_, err = out.Write(append([]byte(hex.EncodeToString(sum[:])+"\n"), body...))
	err = errors.Join(err, out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(out.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func readSpool(path string) (*spoolFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSpool {
		return nil, fmt.Errorf("it is longer than %d bytes", maxSpool)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	head, body, _ := bytes.Cut(b, []byte("\n"))
	sum := sha256.Sum256(body)
	if string(head) != hex.EncodeToString(sum[:]) {
		return nil, errDamaged
	}
	f := new(spoolFile)
	if err := json.Unmarshal(body, f); err != nil {
		return nil, errDamaged
	}
	return f, nil
}

var errDamaged = errors.New("its checksum is wrong")

// unspool removes the process's own file, which is reported, and reports those of
// others. The mutex is held.
func (l *Ledger) unspool(ctx context.Context) {
	if l.o.Spool == "" {
		return
	}
	if l.spooled > 0 {
		if err := os.Remove(l.spoolPath()); err != nil && !os.IsNotExist(err) {
			slog.Warn("the spool of usage could not be removed", "error", err)
			return
		}
		l.spooled = 0
	}
	files, err := os.ReadDir(l.o.Spool)
	if err != nil {
		return // told of when there is something to write
	}
	for _, f := range files {
		if name := f.Name(); strings.Contains(name, spoolSuffix) && !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, damagedSuffix) {
			l.adopt(ctx, filepath.Join(l.o.Spool, name))
		}
	}
}

const damagedSuffix = ".damaged"

// adopt reports what another process has left. A process that lives can write its
// file anew at any time, so the file is taken away from its name first.
func (l *Ledger) adopt(ctx context.Context, path string) {
	mine := path
	if !strings.HasSuffix(path, "."+l.o.Process) {
		base, _, _ := strings.Cut(filepath.Base(path), spoolSuffix)
		mine = filepath.Join(l.o.Spool, base+spoolSuffix+"."+l.o.Process)
		if os.Rename(path, mine) != nil {
			return // somebody else was faster
		}
	}
	f, err := readSpool(mine)
	if errors.Is(err, errDamaged) {
		slog.Warn("a spool of usage is damaged and is set aside", "file", mine+damagedSuffix)
		os.Rename(mine, mine+damagedSuffix)
		return
	}
	if err != nil {
		slog.Warn("a spool of usage could not be read", "file", mine, "error", err)
		return
	}
	var reports []*report
	for _, h := range f.Hours {
		reports = append(reports, &report{tenant: h.Tenant, root: h.Root, hour: h.Hour, process: f.Process, seq: h.Seq, rec: &h.Record})
	}
	if _, err := l.store.write(ctx, reports); err != nil {
		slog.Warn("a spool of usage could not be reported", "file", mine, "error", err)
		return
	}
	if err := os.Remove(mine); err != nil && !os.IsNotExist(err) {
		slog.Warn("the spool of usage could not be removed", "error", err)
		return
	}
	slog.Info("usage that another process had left was reported", "process", f.Process, "hours", len(f.Hours))
}

// fold keeps what is held bounded: usage is kept, of the oldest only the hour is not.
// An hour that may have been reported in part stays what it is. The mutex is held.
func (l *Ledger) fold(most int) {
	for len(l.held) > most {
		var first, second Hour
		for key, h := range l.held {
			if h.tried || h.seq == 0 {
				continue
			}
			switch {
			case first == 0 || key.hour < first:
				first, second = key.hour, first
			case key.hour > first && (second == 0 || key.hour < second):
				second = key.hour
			}
		}
		if second == 0 {
			return
		}
		for key, h := range l.held {
			if key.hour != first || h.tried {
				continue
			}
			delete(l.held, key)
			into := l.hold(Tenant{ID: key.tenant, Root: h.root}, second)
			into.rec.Figures.add(&h.rec.Figures)
			into.rec.ConnPeak = max(into.rec.ConnPeak, h.rec.ConnPeak)
			if into.seq == 0 {
				into.rec.Plan = h.rec.Plan
			}
			into.rec.At, into.seq = max(into.rec.At, h.rec.At), l.seq
		}
	}
}
