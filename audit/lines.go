package audit

import (
	"bufio"
	"errors"
	"io"
)

var (
	errTorn = errors.New("the last line is not whole")
	errLong = errors.New("a line is too long")
)

// lines reads lines of a bounded length.
type lines struct{ r *bufio.Reader }

func newLines(r io.Reader) *lines { return &lines{bufio.NewReaderSize(r, maxLine+1)} }

// next returns a line without its line feed, valid until the next one. The error is io.EOF after the last
// line, errTorn if that has no end, errLong if one has none for too long, or the reader's.
func (l *lines) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	switch {
	case err == nil:
		return line[:len(line)-1], nil
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errLong
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, errTorn
	}
	return nil, err
}

// skip passes over the rest of a line that is too long.
func (l *lines) skip() error {
	for {
		_, err := l.r.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}
