package audit

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// A folder holds streams, each of which one process writes at a time: a proxy that takes over from
// another, which still answers its last clients, finds the first stream taken and uses
// the second. A stream is a chain of records in files that are named by the first number in
// each: audit-<stream>-<number>.jsonl.

// maxStreams is how many processes may write to one folder at once.
const maxStreams = 16

var fileName = regexp.MustCompile(`^audit-([0-9]{1,2})-([0-9]{12,19})\.jsonl$`)

// logFile is one file of a stream.
type logFile struct {
	path   string
	stream int
	first  uint64 // number of its first record
}

func nameOf(stream int, first uint64) string {
	return fmt.Sprintf("audit-%d-%012d.jsonl", stream, first)
}

// listFiles lists the files of a folder, by stream and then by age.
func listFiles(dir string) ([]logFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []logFile
	for _, e := range entries {
		m := fileName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		stream, _ := strconv.Atoi(m[1])
		first, err := strconv.ParseUint(m[2], 10, 64)
		if err != nil {
			continue
		}
		all = append(all, logFile{filepath.Join(dir, e.Name()), stream, first})
	}
	slices.SortFunc(all, func(a, b logFile) int {
		return cmp.Or(cmp.Compare(a.stream, b.stream), cmp.Compare(a.first, b.first))
	})
	return all, nil
}

// filesOf are those of one stream.
func filesOf(dir string, stream int) ([]logFile, error) {
	all, err := listFiles(dir)
	return slices.DeleteFunc(all, func(f logFile) bool { return f.stream != stream }), err
}

var errTaken = errors.New("another process writes there")

// lock takes a stream for this process, until the file is closed.
func lock(dir string, stream int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("audit-%d.lock", stream)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errTaken
	}
	return nil, fmt.Errorf("%s: %w", f.Name(), err)
}

// lockAny takes the first stream that nobody has.
func lockAny(dir string) (stream int, held *os.File, err error) {
	for stream = range maxStreams {
		if held, err = lock(dir, stream); !errors.Is(err, errTaken) {
			return stream, held, err
		}
	}
	return 0, nil, fmt.Errorf("%s: %d processes write there already", dir, maxStreams)
}
