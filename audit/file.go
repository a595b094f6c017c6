package audit

import (
	"crypto/rand"
	"encoding/hex"
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
	Block    uint64    `json:"block"`             // number of the file's first block
	Record   uint64    `json:"record"`            // and of its first record
	Previous string    `json:"previous"`          // hash of the block before, in the file before
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
	cut    int64 // bytes that were taken away at the end, when it was opened

	file     *os.File
	size     int64
	reserved int64     // the disk has room for so many of its bytes
	born     time.Time // of the file
}

const (
	// reserveSize is how much room is asked of the disk at once, in bytes: writing where there is room already
	// takes the kernel half of the time. A log that is seldom written asks for none.
	reserveSize = 8 << 20
	reserveFrom = 64 << 10
)

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
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// resume finds the end of the chain. What follows the last seal is what a process was
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
		if end.block == 0 && !end.damaged {
			// It was just being begun.
			if err := os.Remove(last.path); err != nil {
				return err
			}
			files = files[:len(files)-1]
			continue
		}
		s.sealer.link, s.log = end.link, end.header.Log
		if end.damaged {
			slog.Warn("the audit log's last file is damaged, another one is begun", "file", last.path)
			s.sealer.record = max(s.sealer.record, last.first) // its name is taken
			return s.begin(filepath.Base(last.path))
		}
		if end.header.Secret != s.secret {
			return s.begin("")
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
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		err = f.Truncate(end.size)
	}
	if err == nil {
		_, err = f.Seek(end.size, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return err
	}
	s.file, s.size, s.born, s.cut = f, end.size, end.header.Time, size-end.size
	return nil
}

// begin begins another file; damaged is the one before, if it is.
func (s *stream) begin(damaged string) error {
	if s.log == "" {
		s.log = hex.EncodeToString([]byte(rand.Text())[:8])
	}
	before, now := s.sealer.link, s.now().UTC()
	object, err := marshal(header{
		Event: headerEvent, Log: s.log, Block: before.block + 1, Record: before.record + 1, Previous: hex.EncodeToString(before.head[:]), Secret: s.secret, Damaged: damaged,
	})
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, nameOf(s.number, before.record+1))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	block := s.sealer.seal(appendRecord(nil, now, object), 0, 1, now)
	if _, err = f.Write(block); err != nil {
		s.sealer.link = before
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	if s.file != nil {
		s.leave() // it was synced
	}
	s.file, s.size, s.reserved, s.born = f, int64(len(block)), 0, now
	if d, err := os.Open(s.dir); err == nil { // so that the name outlives a power cut
		d.Sync()
		d.Close()
	}
	return nil
}

// write writes whole blocks, which were sealed since the chain's end was before. If they can not be written they were
// never there.
func (s *stream) write(blocks []byte, before link) error {
	if len(blocks) >= reserveFrom && s.size+int64(len(blocks)) > s.reserved {
		if reserve(s.file, s.size, reserveSize) == nil {
			s.reserved = s.size + reserveSize
		}
	}
	n, err := s.file.Write(blocks)
	if err == nil {
		s.size += int64(n)
		return nil
	}
	s.sealer.link = before
	_, err2 := s.file.Seek(s.size, io.SeekStart)
	return errors.Join(err, err2, s.file.Truncate(s.size))
}

func (s *stream) sync() error { return s.file.Sync() }

func (s *stream) close() error {
	var err error
	if s.file != nil {
		err = errors.Join(s.file.Sync(), s.leave())
	}
	return errors.Join(err, s.lock.Close())
}

// leave closes the file and gives back the room that it has not used.
func (s *stream) leave() error {
	if s.reserved > s.size {
		s.file.Truncate(s.size) // otherwise it is lost until the file is removed
	}
	return s.file.Close()
}
