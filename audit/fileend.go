package audit

import (
	"encoding/json"
	"errors"
	"io"
	"os"
)

// fileEnd is what a file says of the chain's end.
type fileEnd struct {
	link   // block is 0 if there is no whole block
	header header
	size   int64 // up to the end of the last seal
	// damaged: what was read is not what a process leaves that was killed.
	damaged bool
}

// tailRead is how much of a file's end is looked at. What is written at once is less than half of it.
const tailRead = 4 * (writeSize + maxLine)

// readEnd reads the first record of a file, and its last seal. Whether it was changed is for Verify to find out; this
// looks for what a crash of the machine leaves.
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
	if json.Unmarshal(first, &end.header) != nil || end.header.Event != headerEvent {
		end.damaged = true
		return end, nil
	}
	at := max(0, size-tailRead)
	rest := newLines(io.NewSectionReader(f, at, size-at))
	for middle := at > 0; ; middle = false { // of a line
		line, err := rest.next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			end.damaged = end.damaged || end.block == 0 && size > tailRead/2
			return end, nil
		case errors.Is(err, errLong):
			end.damaged = true
			return end, nil
		case err != nil:
			return end, err
		}
		at += int64(len(line)) + 1
		switch _, says, head, ok := parseSeal(line); {
		case ok && end.block != 0 && says.Block != end.block+1:
			end.damaged = true
			return end, nil
		case ok:
			end.link, end.size = says.link(head), at
		case !middle && !json.Valid(line):
			end.damaged = true
			return end, nil
		}
	}
}
