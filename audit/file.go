package audit

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// header is the first record of each file.
type header struct {
	Event    string    `json:"event"`
	Time     time.Time `json:"time,omitzero"`
	Log      string    `json:"log"`               // names the chain, over all its files
	Previous string    `json:"previous"`          // hash of the record before, in the file before
	Secret   string    `json:"secret,omitempty"`  // fingerprint of the secret that the chain is made with
	Damaged  string    `json:"damaged,omitempty"` // the file before, where it is damaged
}

const headerEvent = "file"

// stream is the chain of records that a process writes, and the file that it is at.
type stream struct {
	dir    string
	number int
	lock   *os.File
	sealer *sealer
	secret string // fingerprint
	log    string // header.Log
	now    func() time.Time

	file *os.File
	size int64
	born time.Time // of the file
}

// openStream takes a stream of a folder and goes on at its end.
func openStream(dir string, secret []byte, now func() time.Time) (*stream, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	number, held, err := lockAny(dir)
	if err != nil {
		return nil, err
	}
	s := &stream{dir: dir, number: number, lock: held, sealer: newSealer(secret), secret: fingerprint(secret), now: now}
	if err := s.resume(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// resume finds the end of the chain. What follows the last whole line is what a process was
// writing when it was killed, and is cut off.
func (s *stream) resume() error {
	files, err := filesOf(s.dir, s.number)
	if err != nil {
		return err
	}
	for len(files) > 0 {
		last := files[len(files)-1]
		end, err := readEnd(last.path)
		if err != nil {
			return err
		}
		if end.records == 0 && !end.damaged {
			// It was just being begun.
			if err := os.Remove(last.path); err != nil {
				return err
			}
			files = files[:len(files)-1]
			continue
		}
		s.sealer.link, s.log = end.link, end.header.Log
		if end.damaged || end.header.Secret != s.secret {
			damaged := ""
			if end.damaged {
				damaged = filepath.Base(last.path)
				slog.Warn("the audit log's last file is damaged, another one is begun", "file", last.path)
				s.sealer.n = max(s.sealer.n, last.first) // its name is taken
			}
			return s.begin(damaged)
		}
		return s.goOn(last.path, end)
	}
	return s.begin("")
}

func (s *stream) goOn(path string, end fileEnd) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if _, err = f.Seek(end.size, io.SeekStart); err == nil {
		err = f.Truncate(end.size)
	}
	if err != nil {
		f.Close()
		return err
	}
	s.file, s.size, s.born = f, end.size, end.header.Time
	return nil
}

// begin begins another file.
func (s *stream) begin(damaged string) error {
	if s.log == "" {
		s.log = hex.EncodeToString([]byte(rand.Text())[:8])
	}
	path := filepath.Join(s.dir, nameOf(s.number, s.sealer.n+1))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	now := s.now().UTC()
	object, err := marshal(header{Event: headerEvent, Log: s.log, Previous: hex.EncodeToString(s.sealer.head[:]), Secret: s.secret, Damaged: damaged})
	before := s.sealer.link
	var line []byte
	if err == nil {
		line = s.sealer.append(nil, appendFields(nil, now, object))
		_, err = f.Write(line)
	}
	if err != nil {
		s.sealer.link = before
		f.Close()
		return errors.Join(err, os.Remove(path))
	}
	if s.file != nil {
		s.file.Close()
	}
	s.file, s.size, s.born = f, int64(len(line)), now
	if d, err := os.Open(s.dir); err == nil { // so that the name outlives a power cut
		d.Sync()
		d.Close()
	}
	return nil
}

// write writes whole records, sealed since link was before. If they can not be written they were never there.
func (s *stream) write(records []byte, before link) error {
	if s.file == nil {
		s.sealer.link = before
		return errors.New("there is no file")
	}
	n, err := s.file.Write(records)
	if err == nil {
		s.size += int64(n)
		return nil
	}
	s.sealer.link = before
	if _, err2 := s.file.Seek(s.size, io.SeekStart); err2 != nil {
		return errors.Join(err, err2)
	}
	return errors.Join(err, s.file.Truncate(s.size))
}

func (s *stream) sync() error {
	if s.file == nil {
		return nil
	}
	return s.file.Sync()
}

func (s *stream) close() error {
	var err error
	if s.file != nil {
		err = errors.Join(s.file.Sync(), s.file.Close())
		s.file = nil
	}
	return errors.Join(err, s.lock.Close())
}

// fileEnd is what a file says of the chain's end.
type fileEnd struct {
	link
	header  header
	size    int64 // up to the end of the last whole line
	records int   // that were looked at
	damaged bool  // they are not all records that follow each other
}

// readEnd reads the first record of a file, and its end up to the last whole record. Whether it was
// changed is for Verify to find out; this looks for what a crash of the machine leaves.
func readEnd(path string) (end fileEnd, err error) {
	f, err := os.Open(path)
	if err != nil {
		return end, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return end, err
	}
	first, err := newLines(io.NewSectionReader(f, 0, size)).next()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, errTorn):
		return end, nil
	case errors.Is(err, errLong):
		end.damaged = true
		return end, nil
	case err != nil:
		return end, err
	}
	body, _, ok := split(first)
	if !ok || json.Unmarshal(append(bytes.Clone(body), '}'), &end.header) != nil || end.header.Event != headerEvent {
		end.damaged = true
		return end, nil
	}
	from := max(0, size-2*maxLine)
	rest := newLines(io.NewSectionReader(f, from, size-from))
	end.size = from
	if from > 0 { // in the middle of a line
		line, err := rest.next()
		if err != nil {
			end.damaged = true
			return end, nil
		}
		end.size += int64(len(line)) + 1
	}
	for {
		line, err := rest.next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			end.damaged = end.records == 0
			return end, nil
		case errors.Is(err, errLong):
			end.damaged = true
			return end, nil
		case err != nil:
			return end, err
		}
		_, at, ok := split(line)
		if !ok || end.records > 0 && at.n != end.n+1 {
			end.damaged = true
			return end, nil
		}
		end.link = at
		end.records++
		end.size += int64(len(line)) + 1
	}
}
