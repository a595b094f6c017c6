package ledger

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestHoursOfSeveralProcesses(t *testing.T) {
	w := newWorld(t)
	a, b := w.process(), w.process()
	a.count("acme", 10, 100)
	b.count("acme", 5, 50)
	w.flush(a)
	w.flush(b)
	a.count("acme", 1, 1)
	w.flush(a)
	w.flush(a) // nothing new
	w.pass(30 * time.Minute)
	b.count("acme", 7, 7)
	w.flush(b) // at the hour's turn: it belongs to the hour before
	w.pass(time.Minute)
	b.count("acme", 100, 0)
	w.flush(b)
	rows := w.rows("acme")
	if len(rows) != 2 || rows[0].Read != 23 || rows[0].In != 158 || rows[1].Read != 100 || rows[0].Proxies != 2 || rows[0].Plan != "pro" {
		t.Fatalf("rows: %+v", rows)
	}
	if rows := w.rows("globex"); len(rows) != 0 {
		t.Errorf("globex has done nothing: %+v", rows)
	}
	for _, key := range w.mini.Keys() {
		if strings.HasPrefix(key, "t:{globex}") {
			t.Errorf("a tenant that does nothing has the key %s", key)
		}
	}
}

// A closed hour stays what it is; what comes late counts in the present hour, once.
func TestLateReports(t *testing.T) {
	w := newWorld(t)
	a, b := w.process(), w.process()
	a.count("acme", 10, 0)
	w.flush(a)
	b.count("acme", 3, 0)
	w.flush(b)
	b.count("acme", 4, 0)
	if err := b.sample(t.Context()); err != nil { // counted, and not reported in time
		t.Fatal(err)
	}
	w.pass(2 * time.Hour)
	w.close()
	before := w.rows("acme")
	if len(before) != 1 || before[0].Read != 13 || before[0].Closed == 0 {
		t.Fatalf("rows: %+v", before[0])
	}
	h := b.held[heldKey{"acme", before[0].Hour}]
	w.flush(b)
	w.flush(b)
	h.told, b.held[heldKey{"acme", before[0].Hour}] = 0, h // as if the reply had been lost
	w.flush(b)
	after := w.rows("acme")
	if len(after) != 2 || !reflect.DeepEqual(after[0], before[0]) {
		t.Fatalf("the closed hour has changed: %+v, was %+v", after[0], before[0])
	}
	if r := after[1]; r.Read != 4 || r.Late == nil || r.Late.Read != 4 || r.Plan != "pro" {
		t.Errorf("the late figures: %+v", r)
	}
}

// An hour that nobody has reported in before it is closed is closed as well.
func TestLateReportOfAnEmptyHour(t *testing.T) {
	w := newWorld(t)
	a := w.process()
	a.count("acme", 4, 0)
	if err := a.sample(t.Context()); err != nil {
		t.Fatal(err)
	}
	hour := HourOf(w.now)
	w.pass(time.Hour + grace + 30*time.Minute)
	w.flush(a)
	w.close()
	rows := w.rows("acme")
	if len(rows) != 1 || rows[0].Hour == hour || rows[0].Late.Read != 4 {
		t.Fatalf("rows: %+v", rows)
	}
}

// What the upstream loses is reported again, as far as there are processes that
// know it.
func TestUpstreamLosesEverything(t *testing.T) {
	w := newWorld(t)
	a, b := w.process(), w.process()
	a.count("acme", 10, 0)
	b.count("acme", 5, 0)
	w.flush(a)
	w.flush(b)
	w.mini.FlushAll()
	w.flush(a) // although it has nothing new
	w.flush(b)
	if got := w.total("acme").Read; got != 15 {
		t.Errorf("%d reads, want 15", got)
	}
	if tenants, err := w.store.Tenants(t.Context()); err != nil || len(tenants) != 1 {
		t.Errorf("tenants: %v, %v", tenants, err)
	}
}

// Of the levels one observation a minute counts, whoever makes it.
func TestLevels(t *testing.T) {
	w := newWorld(t)
	a, b := w.process(), w.process()
	for minute := range int64(10) {
		w.gauges["acme"] = [3]int64{1000 * (minute + 1), 10, 0}
		w.flush(a)
		if minute == 4 {
			b = w.process() // a restart within a minute
		}
		w.gauges["acme"] = [3]int64{1, 1, 0}
		w.flush(b)
		w.pass(time.Minute)
	}
	w.gauges["acme"] = [3]int64{7000, 20, 5}
	w.flush(b)
	want := func(r *Row) {
		t.Helper()
		if r.Memory != (Level{62000, 10000}) || r.Keys != (Level{120, 20}) || r.Storage != (Level{5, 5}) || r.Minutes != 11 || r.Plan != "pro" {
			t.Errorf("got %+v", r)
		}
	}
	want(w.rows("acme")[0])
	w.pass(2 * time.Hour)
	w.close()
	want(w.rows("acme")[0])
	if keys, _ := w.mini.HKeys("t:acme:usage:2026112310"); len(keys) != 1 {
		t.Errorf("a closed hour keeps %q", keys)
	}
}

// What could not be reported outlives the process.
func TestSpool(t *testing.T) {
	w := newWorld(t)
	a := w.process()
	a.count("acme", 10, 0)
	w.flush(a)
	w.mini.SetError("LOADING")
	for range 3 {
		a.count("acme", 1, 0)
		if a.Flush(t.Context()) == nil {
			t.Fatal("reported to an upstream that is away")
		}
	}
	files, _ := filepath.Glob(filepath.Join(w.spool, "*"))
	if len(files) != 1 {
		t.Fatalf("files: %q", files)
	}
	// The process is killed; the next one finds what it has left, and something else.
	damaged := filepath.Join(w.spool, "x.usage")
	if err := os.WriteFile(damaged, []byte("0000\n{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.mini.SetError("")
	w.pass(5 * time.Minute)
	b := w.process()
	b.count("acme", 100, 0)
	w.flush(b)
	w.flush(b)
	if got := w.total("acme").Read; got != 113 {
		t.Errorf("%d reads, want 113", got)
	}
	files, _ = filepath.Glob(filepath.Join(w.spool, "*"))
	if len(files) != 1 || !strings.HasSuffix(files[0], damagedSuffix) {
		t.Errorf("files: %q", files)
	}
}

// Of an outage that lasts for ever hours are folded, not figures lost.
func TestFold(t *testing.T) {
	w := newWorld(t)
	a := w.process()
	for range 20 {
		a.count("acme", 1, 0)
		a.count("globex", 2, 0)
		if err := a.sample(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Hour)
	}
	a.fold(5)
	if len(a.held) > 5 {
		t.Errorf("%d hours are held", len(a.held))
	}
	w.flush(a)
	if x, y := w.total("acme").Read, w.total("globex").Read; x != 20 || y != 40 {
		t.Errorf("%d and %d reads, want 20 and 40", x, y)
	}
}

func TestRetention(t *testing.T) {
	w := newWorld(t)
	a := w.process()
	for range 5 {
		a.count("acme", 1, 0)
		w.pass(time.Minute)
		w.flush(a)
		w.pass(59 * time.Minute)
	}
	w.close()
	keep := HourOf(w.now) - 3
	for more := true; more; {
		var err error
		if more, err = w.store.Sweep(t.Context(), "acme", "t:acme:", keep); err != nil {
			t.Fatal(err)
		}
	}
	rows := w.rows("acme")
	if len(rows) != 3 || rows[0].Hour != keep {
		t.Errorf("%d rows", len(rows))
	}
	for range 2 {
		if _, err := w.store.Sweep(t.Context(), "acme", "t:acme:", keep+100); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range w.mini.Keys() {
		if strings.HasPrefix(key, "t:") || key == tenantsKey {
			t.Errorf("%s is left", key)
		}
	}
}
