package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Neither who hands over nor the one who closes waits for a disk that is full, and what could not be
// written does not break the chain.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := openStream(dir, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l := &Log{chunks: make(chan chunk, 8), spare: make(chan []byte, 8), events: make(chan []byte, 8), closed: make(chan struct{}), done: make(chan struct{})}
	l.SetRetention(large)
	w := &writer{log: l, stream: s, now: time.Now}
	w.event(Event{Event: "fits"})
	w.write()
	good := s.file
	if s.file, err = os.Open(good.Name()); err != nil { // can not be written to
		t.Fatal(err)
	}
	for i := range 5 {
		w.add(record(i), 1)
	}
	w.write()
	w.drops()
	w.drops()
	if n := l.Stats(); n.Dropped != 5 || n.Failures != 1 {
		t.Errorf("%+v", *n)
	}
	s.file.Close()
	s.file = good
	w.event(Event{Event: "fits again"})
	w.write()
	w.drops()
	go w.run()
	shut(t, l)
	if got, want := events(t, dir), []string{"file", "fits", "fits again", "dropped", "stop"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if r := verified(t, dir); r.Dropped != 5 {
		t.Errorf("%+v", *r)
	}
}

// Wherever a process was killed, the next one goes on, and nothing that had its seal is lost.
func TestTorn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, Options{Dir: dir}, 3)
	names, _ := files(t, dir)
	whole, err := os.ReadFile(filepath.Join(dir, names[0]))
	if err != nil {
		t.Fatal(err)
	}
	for size := 0; size <= len(whole); size += 1 + size%7 {
		if err := os.WriteFile(filepath.Join(dir, names[0]), whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := openStream(dir, nil, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		before := s.sealer.link
		if err := s.write(s.sealer.seal(record(1), 0, 1, time.Now()), before); err != nil {
			t.Fatal(err)
		}
		s.file.Close() // without waiting for the disk
		s.lock.Close()
		blocks := 0
		for line := range bytes.Lines(whole[:size]) {
			if bytes.HasSuffix(line, []byte(lineEnd+"\n")) && bytes.Contains(line, []byte(chainStart)) {
				blocks++
			}
		}
		if r := verified(t, dir); len(r.Files) != 1 || r.Unsealed > 0 || int(r.Blocks) != max(1, blocks)+1 {
			t.Fatalf("%d bytes: %+v", size, *r)
		}
	}
}

// A file that is no log any more is left alone, and the proxy starts all the same.
func TestDamagedEnd(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte) []byte{
		"zeros at the end": func(b []byte) []byte { return append(b, make([]byte, 10000)...) },
		"a line of zeros":  func(b []byte) []byte { return append(append(b, make([]byte, 100)...), '\n') },
		"no header":        func(b []byte) []byte { return b[bytes.IndexByte(b, '\n')+1:] },
		"a long line":      func(b []byte) []byte { return append(b, bytes.Repeat([]byte("x"), 2*maxLine)...) },
		"only zeros":       func(b []byte) []byte { return make([]byte, 600<<10) },
	} {
		dir := t.TempDir()
		write(t, Options{Dir: dir}, 3)
		names, _ := files(t, dir)
		path := filepath.Join(dir, names[0])
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b = damage(b)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		write(t, Options{Dir: dir}, 1)
		write(t, Options{Dir: dir}, 1)
		_, lines := files(t, dir)
		last := strings.Join(lines[names[0]], "")
		if all, _ := files(t, dir); len(all) > 1 {
			last = strings.Join(lines[all[len(all)-1]], "")
		}
		if strings.Count(last, `"event":"stop"`) < 2 {
			t.Errorf("%s: %.500s", name, last)
		}
	}
}
