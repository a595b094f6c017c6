package audit

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// walk goes through the records of one log.
type walk struct {
	*verifier
	report    *Report
	link             // the block that the next one has to follow
	known     bool   // its hash is
	begun     bool   // there was a block
	lastEvent string // of a record

	sealer  *sealer // nil: the file's secret is not known
	name    string  // of the file
	line    int
	first   int    // line of the block
	records uint64 // in it so far
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
	w.next()
	in := newLines(f)
	for {
		w.line++
		line, err := in.next()
		switch {
		case err == nil:
			w.look(line)
			continue
		case errors.Is(err, errLong):
			w.report.problem(w.name, w.line, "the line is too long")
			if err = in.skip(); err == nil {
				continue
			}
		case errors.Is(err, errTorn):
			w.records++
			err = io.EOF
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
		break
	}
	switch {
	case w.line == 1:
		w.report.problem(w.name, 1, "the file is empty")
	case w.records > 0 && !last:
		w.report.problem(w.name, w.first, "what follows has no seal")
	}
	w.report.Unsealed = w.records
	w.report.Stopped = w.lastEvent == "stop" && w.records == 0
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
	if len(h.Previous) == 2*hashSize {
		hex.Decode(previous[:], []byte(h.Previous))
	}
	expected := link{h.Block - 1, h.Record - 1, previous}
	switch {
	case !w.begun:
		if h.Block == 1 && expected != (link{}) {
			w.report.problem(w.name, 1, "the first block follows another one")
		}
		w.report.First = h.Record
	case h.Block > w.block+1:
		w.report.problem(w.name, 1, "%s missing before this file (%d records)", blocks("block", w.block+1, h.Block-1), h.Record-1-w.record)
	case h.Block < w.block+1:
		w.report.problem(w.name, 1, "block %d follows block %d", h.Block, w.block)
	case w.known && expected != w.link && h.Damaged == "":
		w.report.problem(w.name, 1, "does not follow %s, which was changed at its end", filepath.Base(w.report.Files[len(w.report.Files)-2]))
	}
	w.link, w.known, w.begun = expected, true, true
}

// next begins a block.
func (w *walk) next() {
	w.first, w.records = w.line+1, 0
	if w.sealer != nil {
		w.sealer.head = w.head
		w.sealer.begin()
	}
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

// look looks at one line.
func (w *walk) look(line []byte) {
	if body, says, head, ok := parseSeal(line); ok {
		if w.sealer != nil {
			w.sealer.hash.Write(body)
			w.sealer.end()
		}
		w.sealed(&says, head)
		w.next()
		return
	}
	if w.sealer != nil {
		w.sealer.hash.Write(line)
		w.sealer.hash.Write([]byte("\n"))
	}
	w.note(line)
}

// note looks at a line that is no seal.
func (w *walk) note(line []byte) {
	var says struct {
		removal
		Time  time.Time `json:"time"`
		Count uint64    `json:"count"`
	}
	w.records++
	if json.Unmarshal(line, &says) != nil {
		w.report.problem(w.name, w.line, "is no record")
		return
	}
	r := w.report
	if r.Records == 0 {
		r.From = says.Time
	}
	r.Records++
	r.To, w.lastEvent = says.Time, says.Event
	switch says.Event {
	case removalEvent:
		w.removed[says.File] = says.Through
	case "dropped":
		r.Dropped += says.Count
	}
}

// sealed looks at a seal.
func (w *walk) sealed(says *seal, head [hashSize]byte) {
	r := w.report
	follows := w.known && says.Block == w.block+1
	switch {
	case !w.begun:
		r.First = says.Last - says.Records + 1
	case says.Block <= w.block:
		r.problem(w.name, w.line, "block %d follows block %d", says.Block, w.block)
	case says.Block > w.block+1 && w.records > says.Records:
		r.problem(w.name, w.line, "%s missing before this line", blocks("the seal of block", w.block+1, says.Block-1))
	case says.Block > w.block+1:
		r.problem(w.name, w.line, "%s missing before this block, which begins at line %d", blocks("block", w.block+1, says.Block-1), w.first)
	}
	switch {
	case w.records < says.Records:
		r.problem(w.name, w.line, "%d of %d records are missing in the block of lines %d to %d", says.Records-w.records, says.Records, w.first, w.line)
	case w.records > says.Records && follows:
		r.problem(w.name, w.line, "%d records were added to the block of lines %d to %d", w.records-says.Records, w.first, w.line)
	case w.sealer != nil && follows && w.sealer.head != head:
		r.problem(w.name, w.line, "the block of lines %d to %d was changed", w.first, w.line)
	case follows && says.Last != w.record+says.Records:
		r.problem(w.name, w.line, "the block's last record is %d, and not %d", says.Last, w.record+says.Records)
	}
	w.link, w.known, w.begun = says.link(head), true, true
}

// blocks words which are missing.
func blocks(what string, from, to uint64) string {
	if from == to {
		return fmt.Sprintf("%s %d is", what, from)
	}
	return fmt.Sprintf("%ss %d to %d are", what, from, to)
}
