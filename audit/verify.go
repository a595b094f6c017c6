package audit

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// Report is what Verify has found out about one log: a chain of records over one or several files.
type Report struct {
	Log      string    `json:"log"`
	Files    []string  `json:"files"`
	Records  uint64    `json:"records"`
	First    uint64    `json:"first"` // number of the first record
	Last     uint64    `json:"last"`
	From     time.Time `json:"from,omitzero"`
	To       time.Time `json:"to,omitzero"`
	Blocks   uint64    `json:"blocks"`             // number of the last block
	Head     string    `json:"head"`               // its hash: who has noted it can tell later whether the end was cut off
	Unsealed uint64    `json:"unsealed,omitempty"` // records behind the last seal
	Stopped  bool      `json:"stopped"`            // the last record says that the process has ended as it should
	Dropped  uint64    `json:"dropped"`            // records that the log says it had no room for
	Problems []Problem `json:"problems,omitempty"`
	More     int       `json:"more_problems,omitempty"` // that are not listed
}

// Problem is a place at which a log is not what it was.
type Problem struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"`
}

func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text) }

// OK reports whether nothing was found.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// maxProblems is how many are listed of one log.
const maxProblems = 100

func (r *Report) problem(file string, line int, format string, args ...any) {
	if len(r.Problems) == maxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, Problem{file, line, fmt.Sprintf(format, args...)})
}

// Verify reads files of logs, in any order, and looks whether all records are there and as they were
// written. A folder stands for the files of logs in it. secrets are those that the logs may have been
// written with. The error is that of reading; what is wrong with a log is in its Report.
func Verify(paths []string, secrets [][]byte) ([]*Report, error) {
	files, err := expand(paths)
	if err != nil {
		return nil, err
	}
	v := verifier{secrets: secrets, removed: make(map[string]uint64)}
	var heads []fileHead
	for _, path := range files {
		h, err := readHead(path)
		if err != nil {
			return nil, err
		}
		heads = append(heads, h)
	}
	slices.SortStableFunc(heads, func(a, b fileHead) int {
		return cmp.Or(cmp.Compare(a.Log, b.Log), cmp.Compare(a.Record, b.Record))
	})
	for len(heads) > 0 {
		n := 1
		for n < len(heads) && heads[n].Log == heads[0].Log {
			n++
		}
		if err := v.log(heads[:n]); err != nil {
			return nil, err
		}
		heads = heads[n:]
	}
	v.beginnings()
	return v.reports, nil
}

// expand puts the files of folders in their places.
func expand(paths []string) (files []string, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		all, err := listFiles(path)
		if err != nil {
			return nil, err
		}
		for _, f := range all {
			files = append(files, f.path)
		}
	}
	if len(files) == 0 {
		return nil, errors.New("there are no files of an audit log")
	}
	return files, nil
}

// fileHead is what tells a file's place.
type fileHead struct {
	header
	path string
}

// readHead reads the first record. A file that does not begin with one as it should is a log of its own.
func readHead(path string) (h fileHead, err error) {
	h.path = path
	f, err := os.Open(path)
	if err != nil {
		return h, err
	}
	defer f.Close()
	line, err := newLines(f).next()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errTorn) && !errors.Is(err, errLong) {
		return h, err
	}
	if json.Unmarshal(line, &h.header) != nil || h.Event != headerEvent || h.Log == "" || h.Block == 0 || h.Record == 0 {
		h.header = header{}
	}
	return h, nil
}

type verifier struct {
	secrets [][]byte
	reports []*Report
	removed map[string]uint64 // files that were removed because of their age: number of the last record
}

// log verifies the files of one log, in their order.
func (v *verifier) log(files []fileHead) error {
	r := &Report{Log: files[0].Log}
	v.reports = append(v.reports, r)
	w := walk{verifier: v, report: r}
	for i, f := range files {
		r.Files = append(r.Files, f.path)
		if err := w.file(f, i == len(files)-1); err != nil {
			return err
		}
	}
	r.Last, r.Blocks, r.Head = w.record, w.block, hex.EncodeToString(w.head[:])
	return nil
}

// beginnings accounts for the first records of logs, which may have been removed because of their age.
func (v *verifier) beginnings() {
	for _, r := range v.reports {
		if r.First <= 1 || r.Log == "" {
			continue
		}
		accounted := false
		for _, through := range v.removed {
			accounted = accounted || through == r.First-1
		}
		if !accounted {
			r.problem(r.Files[0], 1, "the log begins with record %d, and no record tells that those before were removed because of their age", r.First)
		}
	}
}
