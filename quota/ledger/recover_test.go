package ledger

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// unreportedOf is what a process could not report that has counted so many reads.
func (w *world) unreportedOf(p *process, reads int64) json.RawMessage {
	w.t.Helper()
	w.mini.SetError("LOADING")
	p.count("acme", reads, 0)
	if p.Flush(w.t.Context()) == nil {
		w.t.Fatal("reported to an upstream that is away")
	}
	w.mini.SetError("")
	kept, err := p.Unreported()
	if err != nil || kept == nil {
		w.t.Fatalf("%s, %v", kept, err)
	}
	return kept
}

func (w *world) recover(p *process, kept json.RawMessage) {
	w.t.Helper()
	if err := p.Recover(kept); err != nil {
		w.t.Fatal(err)
	}
	w.flush(p)
}

func (w *world) wantReads(want int64) {
	w.t.Helper()
	if got := w.total("acme").Read; got != want {
		w.t.Errorf("%d reads, want %d", got, want)
	}
}

// emptySpool loses what is in the spool.
func (w *world) emptySpool() {
	w.t.Helper()
	files, _ := filepath.Glob(filepath.Join(w.spool, "*"))
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			w.t.Fatal(err)
		}
	}
}

// What a process could not report is reported from what was kept of it, once, however often that is
// tried, and also if it was reported meanwhile.
func TestRecover(t *testing.T) {
	w := newWorld(t)
	a := w.process()
	if kept, err := a.Unreported(); kept != nil || err != nil {
		t.Errorf("of nothing: %s, %v", kept, err)
	}
	a.count("acme", 10, 0)
	w.flush(a)
	if kept, err := a.Unreported(); kept != nil || err != nil {
		t.Errorf("of what was reported: %s, %v", kept, err)
	}
	kept := w.unreportedOf(a, 3)
	w.emptySpool()
	b := w.process()
	b.count("acme", 100, 0)
	w.recover(b, kept)
	w.wantReads(113)
	for range 3 {
		w.recover(b, kept)
		w.recover(w.process(), kept)
		w.wantReads(113)
	}
	a.count("acme", 1, 0)
	w.flush(a) // it was not dead after all
	w.wantReads(114)
	w.recover(b, kept)
	w.wantReads(114)

	// After the hour was closed.
	w.pass(2 * time.Hour)
	w.close()
	w.recover(w.process(), kept)
	w.wantReads(114)
}

// Usage of an hour that is closed by now is carried over, once.
func TestRecoverLate(t *testing.T) {
	w := newWorld(t)
	a := w.process()
	kept := w.unreportedOf(a, 5)
	w.emptySpool()
	w.pass(3 * time.Hour)
	w.close()
	for range 3 {
		w.recover(w.process(), kept)
		w.wantReads(5)
	}
	w.pass(3 * time.Hour)
	w.close()
	w.recover(w.process(), kept)
	w.wantReads(5)
}

// What is in the spool is as new, at least; a process knows better about itself; hours that may be swept already
// are left out.
func TestRecoverNothing(t *testing.T) {
	w := newWorld(t)
	a := w.process()
	kept := w.unreportedOf(a, 5)
	w.unreportedOf(a, 2) // to the spool
	w.recover(w.process(), kept)
	w.wantReads(7)

	b := w.process()
	kept = w.unreportedOf(b, 1)
	w.emptySpool()
	if err := b.Recover(kept); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(w.spool, "*")); len(files) > 0 {
		t.Errorf("files: %q", files)
	}
	c := w.process()
	kept = w.unreportedOf(c, 50)
	w.emptySpool()
	w.flush(b)
	w.pass(c.o.Retention)
	w.recover(w.process(), kept)
	w.wantReads(8)
}

// What is no usage is an error, and writes nothing anywhere.
func TestRecoverNonsense(t *testing.T) {
	w := newWorld(t)
	p := w.process()
	for _, text := range []string{`7`, `{"process":7}`, `{"process":"","hours":[]}`, `{"process":"../../x","hours":[]}`, `{"process":"a/b"}`, `{"process":"a.usage"}`} {
		if err := p.Recover(json.RawMessage(text)); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
	for _, text := range []string{``, `{"process":"abc","hours":null}`} {
		if err := p.Recover(json.RawMessage(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(w.spool, "*")); len(files) > 0 {
		t.Errorf("files: %q", files)
	}
}
