package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC)

func open(t *testing.T, dir string, keep int) *Store {
	t.Helper()
	s, err := Open(dir, keep)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func save(t *testing.T, s *Store, text string) Info {
	t.Helper()
	info, err := s.Save(noon, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// latest is what the youngest checkpoint has.
func latest(t *testing.T, s *Store) string {
	t.Helper()
	found := ""
	if _, err := s.Latest(func(_ Info, body []byte) error { found = string(body); return nil }); err != nil {
		return err.Error()
	}
	return found
}

// What was saved is what is found, by number or as the youngest; as many are kept as were asked for.
func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "state")
	s := open(t, dir, 3)
	if text := latest(t, s); text != ErrNone.Error() {
		t.Errorf("of an empty folder: %q", text)
	}
	for i := 1; i <= 5; i++ {
		if info := save(t, s, fmt.Sprint("state ", i)); info.Number != uint64(i) || !info.At.Equal(noon) {
			t.Errorf("%d: %+v", i, info)
		}
	}
	if text := latest(t, s); text != "state 5" {
		t.Errorf("the youngest is %q", text)
	}
	all, err := s.List()
	if err != nil || len(all) != 3 || all[0].Number != 5 || all[2].Number != 3 || !all[0].At.Equal(noon) {
		t.Fatalf("%+v, %v", all, err)
	}
	info, body, err := s.Read(4)
	if err != nil || string(body) != "state 4" || info != all[1] {
		t.Errorf("%+v %q %v, listed as %+v", info, body, err, all[1])
	}
	if _, _, err := s.Read(2); !errors.Is(err, ErrNone) {
		t.Errorf("one that was removed: %v", err)
	}
	s.Keep(1)
	if info := save(t, open(t, dir, 3), "another process's"); info.Number != 6 {
		t.Errorf("%+v", info)
	}
	save(t, s, "last")
	if all, err := s.List(); err != nil || len(all) != 1 || all[0].Number != 7 {
		t.Errorf("%+v, %v", all, err)
	}
	if stat, err := os.Stat(dir); err != nil || stat.Mode().Perm() != 0o700 {
		t.Errorf("others may look into the folder: %v, %v", stat.Mode(), err)
	}
	if stat, err := os.Stat(s.path(7)); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("others may read a checkpoint: %v, %v", stat.Mode(), err)
	}
}

// Whatever becomes of the youngest one, the one before takes its place, and what is
// written next comes after both.
func TestDamaged(t *testing.T) {
	whole := encode(noon, []byte(`{"version":1}`))
	damages := map[string]func(path string) error{
		"empty":    func(path string) error { return os.Truncate(path, 0) },
		"no body":  func(path string) error { return os.Truncate(path, int64(bytes.IndexByte(whole, '\n'))) },
		"longer":   func(path string) error { return os.WriteFile(path, append(bytes.Clone(whole), 'x'), 0o600) },
		"zeroes":   func(path string) error { return os.WriteFile(path, make([]byte, len(whole)), 0o600) },
		"text":     func(path string) error { return os.WriteFile(path, []byte("hello\nworld"), 0o600) },
		"one line": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte{'x'}, 1<<20), 0o600) },
		"version 2": func(path string) error {
			return os.WriteFile(path, bytes.Replace(whole, []byte(" 1 "), []byte(" 2 "), 1), 0o600)
		},
		"negative": func(path string) error {
			return os.WriteFile(path, bytes.Replace(whole, []byte("Z 13 "), []byte("Z -1 "), 1), 0o600)
		},
		"huge": func(path string) error {
			return os.WriteFile(path, bytes.Replace(whole, []byte("Z 13 "), []byte("Z 99999999999999999999 "), 1), 0o600)
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir(), 5)
			save(t, s, "good")
			info := save(t, s, `{"version":1}`)
			if err := damage(s.path(info.Number)); err != nil {
				t.Fatal(err)
			}
			if text := latest(t, s); text != "good" {
				t.Errorf("%q", text)
			}
			if _, _, err := s.Read(info.Number); !errors.Is(err, ErrDamaged) {
				t.Errorf("by its number: %v", err)
			}
			if all, err := s.List(); err != nil || len(all) != 2 || !all[0].Damaged || all[1].Damaged {
				t.Errorf("%+v, %v", all, err)
			}
			if again := save(t, s, "next"); again.Number != info.Number+1 {
				t.Errorf("%+v", again)
			}
			if text := latest(t, s); text != "next" {
				t.Errorf("%q", text)
			}
		})
	}
}

// No shorter file is taken for a whole one, and no other one.
func TestEveryDamage(t *testing.T) {
	whole := encode(noon, []byte("what there is to know"))
	for n := range whole {
		if _, _, err := decode(whole[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
		for bit := range 8 {
			other := bytes.Clone(whole)
			other[n] ^= 1 << bit
			if _, _, err := decode(other); !errors.Is(err, ErrDamaged) {
				t.Errorf("byte %d, bit %d: %v", n, bit, err)
			}
		}
	}
	if at, body, err := decode(whole); err != nil || !at.Equal(noon) || string(body) != "what there is to know" {
		t.Errorf("%v %q %v", at, body, err)
	}
}

// One that can not be used is skipped like a damaged one.
func TestLatestThatIsNotUnderstood(t *testing.T) {
	s := open(t, t.TempDir(), 5)
	for _, text := range []string{"old", "good", "bad", "bad"} {
		save(t, s, text)
	}
	var asked []string
	info, err := s.Latest(func(_ Info, body []byte) error {
		asked = append(asked, string(body))
		if string(body) == "bad" {
			return errors.New("not understood")
		}
		return nil
	})
	if err != nil || info.Number != 2 || strings.Join(asked, " ") != "bad bad good" {
		t.Errorf("%+v %v after %q", info, err, asked)
	}
	if _, err := s.Latest(func(Info, []byte) error { return errors.New("no") }); err != ErrNone {
		t.Errorf("%v", err)
	}
}

// Whatever else lies in the folder is left alone, but for what was left half written long ago.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1)
	names := []string{"checkpoint-1", "checkpoint-", "checkpoint-0000000000000000000x", "checkpoint-99999999999999999999", "checkpoint-18446744073709551615",
		"usage", "riptide-proxy.pid", ".checkpoint-young", ".checkpoint-old"}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(s.path(77), 0o700); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * leftOver)
	if err := os.Chtimes(filepath.Join(dir, ".checkpoint-old"), long, long); err != nil {
		t.Fatal(err)
	}
	if info := save(t, s, "mine"); info.Number != 1 {
		t.Errorf("%+v", info)
	}
	if text := latest(t, s); text != "mine" {
		t.Errorf("%q", text)
	}
	for _, name := range names {
		_, err := os.Stat(filepath.Join(dir, name))
		if gone := err != nil; gone != (name == ".checkpoint-old") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What can not be written says so and leaves nothing behind.
func TestThatCanNotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, 1); err == nil {
		t.Error("a file is no folder")
	}
	s := open(t, filepath.Join(t.TempDir(), "state"), 1)
	if _, err := s.Save(noon, make([]byte, MaxSize+1)); err == nil {
		t.Error("it is too long")
	}
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(noon, nil); err == nil {
		t.Error("the folder is gone")
	}
	if _, err := s.List(); err == nil {
		t.Error("the folder is gone")
	}
}

// What is read is what was written, or an error.
func FuzzDecode(f *testing.F) {
	f.Add(encode(noon, []byte("body")))
	f.Add(encode(time.Time{}, nil))
	f.Add([]byte("riptide-checkpoint 1 2026-11-23T12:00:00.000000000Z 0 \n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		at, body, err := decode(file)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%v", err)
			}
			return
		}
		if !bytes.Equal(encode(at, body), file) {
			t.Errorf("%q is not how that would be written", file)
		}
	})
}
