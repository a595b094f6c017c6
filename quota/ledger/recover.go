package ledger

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Unreported is what this process could not report yet, for Recover; nil if there is nothing.
func (l *Ledger) Unreported() (json.RawMessage, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, _ := l.unreported()
	if len(f.Hours) == 0 {
		return nil, nil
	}
	return json.Marshal(f)
}

// processID is what a process may be called in the name of a file.
var processID = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)

// Recover puts what another process could not report into the spool, from where it is
// reported. That it may have been reported meanwhile does no harm, except for hours whose retention
// is over: those are left out.
func (l *Ledger) Recover(unreported json.RawMessage) error {
	if len(unreported) == 0 || l.o.Spool == "" {
		return nil
	}
	var f spoolFile
	if err := json.Unmarshal(unreported, &f); err != nil {
		return fmt.Errorf("usage that was not reported can not be read: %w", err)
	}
	if !processID.MatchString(f.Process) {
		return fmt.Errorf("usage that was not reported is of no process")
	}
	if f.Process == l.o.Process {
		return nil // this one knows better
	}
	if l.o.Retention > 0 {
		oldest := HourOf(l.o.Now().Add(-l.o.Retention + time.Hour))
		f.Hours = slices.DeleteFunc(f.Hours, func(h spooledHour) bool { return h.Hour < oldest })
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	there, err := os.ReadDir(l.o.Spool)
	if err != nil {
		return err
	}
	for _, e := range there {
		if strings.HasPrefix(e.Name(), f.Process+spoolSuffix) && !strings.HasSuffix(e.Name(), damagedSuffix) {
			return nil // which is as new, at least
		}
	}
	if len(f.Hours) == 0 {
		return nil
	}
	return writeSpool(filepath.Join(l.o.Spool, f.Process+spoolSuffix), &f)
}
