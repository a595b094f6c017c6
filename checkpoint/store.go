package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Store is a folder with checkpoints. It is safe for concurrent use. Two processes
// that share a folder for a while, as in an upgrade, do each other no harm.
type Store struct {
	dir string

	mu   sync.Mutex // held while the folder is changed
	keep int
}

// Info describes a checkpoint.
type Info struct {
	Number  uint64    `json:"number"` // of a younger one it is higher
	At      time.Time `json:"at"`
	Size    int64     `json:"size"`              // bytes
	Damaged bool      `json:"damaged,omitempty"` // it can be seen at a glance; a wrong checksum can not
}

// ErrNone tells that there is no checkpoint that can be used.
var ErrNone = errors.New("there is no checkpoint")

const (
	prefix = "checkpoint-"
	digits = 20 // of a number in a file's name, so that names sort as numbers do
	// maxNumber leaves room to count on.
	maxNumber = 1 << 62
	// temporary is how files begin that are being written.
	temporary = ".checkpoint-"
	// leftOver is after how long such a file has no owner any more.
	leftOver = time.Minute
)

// Open makes the folder, which only this user can read, if there is none, and finds
// out whether it can be written to. The last keep checkpoints are kept, at least one.
func Open(dir string, keep int) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, temporary+"*")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return nil, err
	}
	return &Store{dir: dir, keep: max(1, keep)}, nil
}

// Keep changes how many checkpoints are kept, from the next one on.
func (s *Store) Keep(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep = max(1, n)
}

// Save writes a checkpoint and removes those that are too old. When it returns, the
// checkpoint outlives a crash of the machine.
func (s *Store) Save(at time.Time, body []byte) (Info, error) {
	if len(body) > MaxSize {
		return Info{}, fmt.Errorf("the checkpoint would have %d bytes, and may have %d", len(body), MaxSize)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	file := encode(at, body)
	written, err := s.write(file)
	if err != nil {
		return Info{}, err
	}
	defer os.Remove(written) // fails once it has its name
	numbers, err := s.numbers()
	if err != nil {
		return Info{}, err
	}
	info := Info{Number: 1, At: at.UTC(), Size: int64(len(file))}
	if len(numbers) > 0 {
		info.Number = numbers[0] + 1
	}
	if err := os.Rename(written, s.path(info.Number)); err != nil {
		return Info{}, err
	}
	if err := syncDir(s.dir); err != nil {
		return Info{}, err
	}
	s.prune(numbers)
	return info, nil
}

// write writes a file that is no checkpoint yet.
func (s *Store) write(file []byte) (path string, err error) {
	f, err := os.CreateTemp(s.dir, temporary+"*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(file)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// prune removes what is too old; before are those that there were, the youngest first.
func (s *Store) prune(before []uint64) {
	for _, n := range before[min(len(before), s.keep-1):] {
		s.remove(s.path(n))
	}
	entries, _ := os.ReadDir(s.dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), temporary) && time.Since(info.ModTime()) > leftOver {
			s.remove(filepath.Join(s.dir, e.Name()))
		}
	}
}

func (s *Store) remove(path string) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		slog.Warn("an old checkpoint could not be removed", "error", err)
	}
}

func (s *Store) path(number uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s%0*d", prefix, digits, number))
}

// numbers are those of all checkpoints, the youngest first.
func (s *Store) numbers() ([]uint64, error) {
	entries, err := os.ReadDir(s.dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, e := range entries {
		text, is := strings.CutPrefix(e.Name(), prefix)
		if n, err := strconv.ParseUint(text, 10, 64); is && err == nil && len(text) == digits && n < maxNumber && e.Type().IsRegular() {
			all = append(all, n)
		}
	}
	slices.Reverse(all)
	return all, nil
}

// List describes all checkpoints, the youngest first.
func (s *Store) List() ([]Info, error) {
	numbers, err := s.numbers()
	if err != nil {
		return nil, err
	}
	all := make([]Info, 0, len(numbers))
	for _, n := range numbers {
		stat, err := os.Stat(s.path(n))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was removed just now
		}
		if err != nil {
			return nil, err
		}
		info := Info{Number: n, Size: stat.Size(), At: stat.ModTime().UTC()}
		if h, err := readHeader(s.path(n)); err != nil || int64(h.length+len(h.line)+len(h.sum)+1) != info.Size {
			info.Damaged = true
		} else {
			info.At = h.at
		}
		all = append(all, info)
	}
	return all, nil
}

// Read returns the checkpoint with that number. The error may be ErrDamaged or
// ErrNone.
func (s *Store) Read(number uint64) (Info, []byte, error) {
	at, body, err := readFile(s.path(number))
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, nil, fmt.Errorf("%w with the number %d", ErrNone, number)
	}
	if err != nil {
		return Info{}, nil, err
	}
	return Info{Number: number, At: at, Size: int64(len(encode(at, nil)) + len(body))}, body, nil
}

// Latest hands the youngest checkpoint to use. If it is damaged, or use returns an error, the log
// says so and the one before takes its place. The error is ErrNone if there is none left.
func (s *Store) Latest(use func(Info, []byte) error) (Info, error) {
	numbers, err := s.numbers()
	if err != nil {
		return Info{}, err
	}
	for _, n := range numbers {
		info, body, err := s.Read(n)
		if errors.Is(err, ErrNone) {
			continue // it was removed just now
		}
		if err == nil {
			err = use(info, body)
		}
		if err == nil {
			return info, nil
		}
		slog.Warn("a checkpoint is skipped", "file", s.path(n), "error", err)
	}
	return Info{}, ErrNone
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
