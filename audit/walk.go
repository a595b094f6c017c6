package audit

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// walk goes through the records of one log.
type walk struct {
	*verifier
	report    *Report
	link              // the record that the next one has to follow
	sealer    *sealer // nil: the file's secret is not known
	known     bool    // head is the hash that the next record was made with
	name      string  // of the file
	line      int
	begun     bool // there was a record
	lastEvent string
}

// file goes through one file; last says that none follows.
func (w *walk) file(h fileHead, last bool) error {
	f, err := os.Open(h.path)
	if err != nil {
		return err
	}
	defer f.Close()
	w.name, w.line = h.path, 0
	w.begin(h)
	torn := false
	for in := newLines(f); ; {
		w.line++
		line, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			if w.line == 1 {
				w.report.problem(w.name, 1, "the file is empty")
			}
		case errors.Is(err, errTorn):
			torn = true
		case errors.Is(err, errLong):
			w.report.problem(w.name, w.line, "is no record: the line is too long")
			w.known = false
			err = in.skip()
			if err == nil {
				continue
			}
			if !errors.Is(err, io.EOF) {
				return err
			}
		case err != nil:
			return err
		default:
			w.record(line)
			continue
		}
		break
	}
	if torn && !last {
		w.report.problem(w.name, w.line, "the last line is not whole")
	}
	w.report.Stopped = w.lastEvent == "stop" && !torn
	return nil
}

// begin takes what the first record of a file says, and looks whether it follows the file before.
func (w *walk) begin(h fileHead) {
	if h.Log == "" { // it may go on with what the file before was made with
		w.known = false
		w.report.problem(w.name, 1, "is not the first record of a file")
		return
	}
	switch w.sealer = w.sealerFor(h.Secret); {
	case w.sealer == nil:
		w.report.problem(w.name, 1, "the chain was made with a secret that is not given")
	case h.Secret == "" && len(w.secrets) > 0:
		// Whoever can write there could have made it anew.
		w.report.problem(w.name, 1, "the chain was made without a secret")
	}
	var previous [hashSize]byte
	n, err := hex.Decode(previous[:], []byte(h.Previous))
	if err != nil || n != hashSize || len(h.Previous) != 2*hashSize {
		w.report.problem(w.name, 1, "does not tell the hash of the record before")
		w.known = false
		return
	}
	switch {
	case !w.begun && h.n == 1 && previous != [hashSize]byte{}:
		w.report.problem(w.name, 1, "the first record follows another one")
	case w.begun && w.known && h.n == w.n+1 && previous != w.head && h.Damaged == "":
		w.report.problem(w.name, 1, "the file does not follow %s: that was changed at its end", filepath.Base(w.report.Files[len(w.report.Files)-2]))
	}
	if !w.begun {
		w.n = h.n - 1
	}
	w.head, w.known = previous, true
}

// sealerFor finds the secret with a fingerprint.
func (w *walk) sealerFor(print string) *sealer {
	for _, secret := range append([][]byte{nil}, w.secrets...) {
		if fingerprint(secret) == print {
			return newSealer(secret)
		}
	}
	return nil
}

// record looks at one line.
func (w *walk) record(line []byte) {
	r := w.report
	body, at, ok := split(line)
	var says struct {
		removal
		Time  time.Time `json:"time"`
		Count uint64    `json:"count"`
	}
	if ok {
		ok = json.Unmarshal(append(body[:len(body):len(body)], '}'), &says) == nil
	}
	if !ok {
		r.problem(w.name, w.line, "is no record")
		w.known = false
		return
	}
	first := !w.begun
	if first {
		w.begun, r.First, r.From = true, at.n, says.Time
		if !w.known {
			w.n = at.n - 1
		}
	}
	gap := at.n != w.n+1
	switch {
	case at.n > w.n+2:
		r.problem(w.name, w.line, "records %d to %d are missing before this line", w.n+1, at.n-1)
	case at.n == w.n+2:
		r.problem(w.name, w.line, "record %d is missing before this line", w.n+1)
	case gap:
		r.problem(w.name, w.line, "record %d follows record %d", at.n, w.n)
	}
	// What follows a gap can not be looked at, but at the beginning of a file, which tells what it follows.
	if w.sealer != nil && w.known && (!gap || w.line == 1) {
		w.sealer.head = w.head
		w.sealer.advance(body)
		if w.sealer.head != at.head {
			r.problem(w.name, w.line, "record %d was changed, or the one before", at.n)
		}
	}
	w.link, w.known, w.lastEvent = at, true, says.Event
	r.Records++
	r.To = says.Time
	switch says.Event {
	case removalEvent:
		w.removed[says.File] = says.Through
	case "dropped":
		r.Dropped += says.Count
	}
}
