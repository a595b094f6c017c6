package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// clock is a time that tests set.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.nanos.Store(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time       { return time.Unix(0, c.nanos.Load()) }
func (c *clock) pass(d time.Duration) { c.nanos.Add(int64(d)) }

// large never rotates, keeps everything.
var large = Retention{RotateSize: 1 << 30}

func open(t testing.TB, o Options) *Log {
	t.Helper()
	if o.Buffer == 0 {
		o.Buffer = 1 << 20
	}
	if o.RotateSize == 0 {
		o.RotateSize = large.RotateSize
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func shut(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// record is a record as a loop would hand it over.
func record(i int) []byte {
	return fmt.Appendf(nil, `{"time":"2026-11-23T12:00:00.000000Z","event":"command","command":"set","keys":["k%d"],"outcome":"ok"}`+"\n", i)
}

// write writes a log with so many records and closes it.
func write(t testing.TB, o Options, n int) {
	t.Helper()
	l := open(t, o)
	for i := range n {
		l.Hand(record(i), 1)
		harness.Eventually(t, "it is written", func() bool { return l.Stats().Records >= uint64(i+2) })
	}
	shut(t, l)
}

// files are those of a folder, their lines by name.
func files(t testing.TB, dir string) (names []string, lines map[string][]string) {
	t.Helper()
	all, err := listFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	lines = make(map[string][]string)
	for _, f := range all {
		text, err := os.ReadFile(f.path)
		if os.IsNotExist(err) {
			continue // it was too old
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(f.path)
		names = append(names, name)
		all := strings.SplitAfter(string(text), "\n")
		lines[name] = all[:len(all)-1]
	}
	return names, lines
}

// events are those of all records of a folder, in order.
func events(t testing.TB, dir string) (all []string) {
	t.Helper()
	names, lines := files(t, dir)
	for _, name := range names {
		for _, line := range lines[name] {
			var e struct{ Event, Time string }
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Time == "" {
				t.Fatalf("%v: %s", err, line)
			}
			if e.Event != sealEvent {
				all = append(all, e.Event)
			}
		}
	}
	return all
}

// verified wants a folder's only log to be as it was written.
func verified(t testing.TB, dir string, secrets ...[]byte) *Report {
	t.Helper()
	reports, err := Verify([]string{dir}, secrets)
	if err != nil {
		t.Fatal(err)
	}
	if len(reports) != 1 || !reports[0].OK() {
		for _, r := range reports {
			t.Fatalf("%d logs, %+v", len(reports), *r)
		}
	}
	return reports[0]
}

func TestLog(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"", "a secret of the tests"} {
		dir := filepath.Join(t.TempDir(), "made", "here")
		o := Options{Dir: dir, Secret: []byte(secret)}
		write(t, o, 3)
		l := open(t, o) // goes on in the same file
		l.Event(Event{Event: "admin", Actor: "ops", Action: "PUT /admin/tenants/acme", Before: map[string]int{"keys": 1}, After: map[string]any{"keys": "<2>"}})
		shut(t, l)
		l.Event(Event{Event: "late"}) // is lost, and no harm
		want := []string{"file", "start", "command", "command", "command", "stop", "start", "admin", "stop"}
		if got := events(t, dir); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		var secrets [][]byte
		if secret != "" {
			secrets = append(secrets, []byte("another"), []byte(secret))
		}
		if r := verified(t, dir, secrets...); !r.Stopped || r.Records != uint64(len(want)) || r.First != 1 || r.Last != r.Records || len(r.Files) != 1 {
			t.Errorf("%+v", *r)
		}
		_, lines := files(t, dir)
		for _, all := range lines {
			if text := strings.Join(all, ""); !strings.Contains(text, `"action":"PUT /admin/tenants/acme","before":{"keys":1},"after":{"keys":"<2>"}}`) || secret != "" && strings.Contains(text, secret) {
				t.Error(text)
			}
		}
	}
}

// A nil log records nothing.
func TestNoLog(t *testing.T) {
	var l *Log
	l.Event(Event{Event: "admin"})
	l.SetRetention(large)
	if l.Stats() != nil || l.Close() != nil {
		t.Error("a log that is none has something to tell")
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	t.Run("size", func(t *testing.T) {
		dir := t.TempDir()
		write(t, Options{Dir: dir, Retention: Retention{RotateSize: 2000}}, 40)
		names, _ := files(t, dir)
		if len(names) < 4 || names[0] != "audit-0-000000000001.jsonl" {
			t.Errorf("%q", names)
		}
		if r := verified(t, dir); r.First != 1 || len(r.Files) != len(names) || r.Records != r.Last {
			t.Errorf("%+v", *r)
		}
	})
	t.Run("age", func(t *testing.T) {
		dir, clock := t.TempDir(), newClock()
		o := Options{Dir: dir, Now: clock.now, Retention: Retention{RotateSize: 1 << 30, RotateEvery: time.Hour}}
		write(t, o, 1)
		clock.pass(59 * time.Minute)
		write(t, o, 1)
		if names, _ := files(t, dir); len(names) != 1 {
			t.Errorf("%q", names)
		}
		clock.pass(2 * time.Minute)
		write(t, o, 1)
		if names, _ := files(t, dir); len(names) != 2 {
			t.Errorf("%q", names)
		}
		verified(t, dir)
	})
	t.Run("another secret", func(t *testing.T) {
		dir := t.TempDir()
		write(t, Options{Dir: dir}, 1)
		write(t, Options{Dir: dir, Secret: []byte("one")}, 1)
		write(t, Options{Dir: dir, Secret: []byte("two")}, 1)
		reports, err := Verify([]string{dir}, [][]byte{[]byte("two"), []byte("one")})
		if err != nil || len(reports) != 1 || len(reports[0].Problems) != 1 || reports[0].Problems[0].Text != "the chain was made without a secret" {
			t.Errorf("%v, %+v", err, reports[0])
		}
		reports, err = Verify([]string{dir}, [][]byte{[]byte("two")})
		if err != nil || len(reports[0].Problems) != 2 || reports[0].Problems[1].Text != "the chain was made with a secret that is not given" {
			t.Errorf("%v, %+v", err, reports[0])
		}
	})
}

func TestRetention(t *testing.T) {
	t.Parallel()
	t.Run("files", func(t *testing.T) {
		dir := t.TempDir()
		write(t, Options{Dir: dir, Retention: Retention{RotateSize: 1000, KeepFiles: 3}}, 40)
		l := open(t, Options{Dir: dir, Retention: Retention{RotateSize: 1 << 20, KeepFiles: 3}})
		harness.Eventually(t, "old files are gone", func() bool { names, _ := files(t, dir); return len(names) <= 3 })
		shut(t, l)
		if r := verified(t, dir); r.First < 2 || r.Records != r.Last-r.First+1 {
			t.Errorf("%+v", *r)
		}
	})
	t.Run("age", func(t *testing.T) {
		dir, clock := t.TempDir(), newClock()
		clock.nanos.Store(time.Now().UnixNano())
		o := Options{Dir: dir, Now: clock.now, Retention: Retention{RotateSize: 1000, KeepFor: time.Hour}}
		write(t, o, 20)
		before, _ := files(t, dir)
		clock.pass(2 * time.Hour)
		l := open(t, o)
		harness.Eventually(t, "all but the one that is written to are gone", func() bool { names, _ := files(t, dir); return len(names) == 1 })
		shut(t, l)
		// The last one, or what came after it when so much was to be said of those that are gone.
		if after, _ := files(t, dir); after[0] < before[len(before)-1] {
			t.Errorf("%q of %q are left", after, before)
		}
		verified(t, dir)
		// The stream of a process that is there no more.
		all, _ := listFiles(dir)
		if err := os.Rename(all[0].path, filepath.Join(dir, nameOf(3, all[0].first))); err != nil {
			t.Fatal(err)
		}
		clock.pass(2 * time.Hour)
		l = open(t, o)
		harness.Eventually(t, "it is gone too", func() bool {
			names, _ := files(t, dir)
			return len(names) == 1 && strings.HasPrefix(names[0], "audit-0-")
		})
		shut(t, l)
	})
}

// Two processes can write to one folder.
func TestStreams(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := open(t, Options{Dir: dir}), open(t, Options{Dir: dir})
	a.Event(Event{Event: "of a"})
	b.Event(Event{Event: "of b"})
	shut(t, a)
	c := open(t, Options{Dir: dir}) // where a was
	shut(t, b)
	shut(t, c)
	names, _ := files(t, dir)
	if want := []string{"audit-0-000000000001.jsonl", "audit-1-000000000001.jsonl"}; !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	reports, err := Verify([]string{dir}, nil)
	if err != nil || len(reports) != 2 || !reports[0].OK() || !reports[1].OK() {
		t.Errorf("%v %v", reports, err)
	}
}

// What there is no room for is dropped and counted, and the number recorded.
func TestDrops(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, Buffer: 1})
	l.Event(Event{Event: "before"})
	harness.Eventually(t, "it is written", func() bool { return l.Stats().Records == 2 })
	const loops, each = 4, 20000
	var all sync.WaitGroup
	for range loops {
		all.Go(func() {
			buf := make([]byte, 0, 2*ChunkSize)
			for i := range each {
				buf = l.Hand(append(buf, record(i)...), 1)
			}
		})
	}
	all.Wait()
	shut(t, l)
	s := l.Stats()
	t.Logf("dropped: %d of %d", s.Dropped, loops*each)
	r := verified(t, dir)
	if r.Dropped != s.Dropped || !r.Stopped {
		t.Errorf("%d were dropped, the log says %d", s.Dropped, r.Dropped)
	}
	got := 0
	for _, e := range events(t, dir) {
		if e == "command" {
			got++
		}
	}
	if uint64(got)+s.Dropped != loops*each {
		t.Errorf("%d records and %d drops are not %d", got, s.Dropped, loops*each)
	}
}

// Whatever is to be written of a change is bounded, and stays one line.
func TestEventBounds(t *testing.T) {
	b := AppendEvent(nil, time.Now(), Event{Event: "admin", Reason: strings.Repeat("x", 1<<20), Before: strings.Repeat("y", 1<<20), After: "a\nb", Source: "\xff"})
	if len(b) > maxLine || bytes.Count(b, []byte("\n")) != 1 || !json.Valid(b) {
		t.Errorf("%d bytes: %.200s", len(b), b)
	}
	if b = AppendEvent(nil, time.Now(), Event{Event: "admin", After: func() {}}); !json.Valid(b) {
		t.Errorf("%s", b)
	}
}
