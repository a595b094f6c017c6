package checkpoint

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A file is one line and what was saved:
//
//	riptide-checkpoint 1 <time> <length> <checksum>
//
// The checksum is SHA-256 in hexadecimal, over the line up to there and what was saved.

// MaxSize is the longest body in bytes, so that a file can not take all memory.
const MaxSize = 256 << 20

const (
	magic      = "riptide-checkpoint 1 "
	timeFormat = "2006-01-02T15:04:05.000000000Z"
	maxHeader  = 256 // bytes of the line
)

// ErrDamaged tells that a file is not as it was written.
var ErrDamaged = errors.New("the checkpoint is damaged")

// encode is what stands in a file.
func encode(at time.Time, body []byte) []byte {
	line := fmt.Appendf(nil, "%s%s %d ", magic, at.UTC().Format(timeFormat), len(body))
	sum := checksum(line, body)
	file := make([]byte, 0, len(line)+len(sum)+1+len(body))
	file = append(file, line...)
	file = append(file, sum...)
	file = append(file, '\n')
	return append(file, body...)
}

func checksum(line, body []byte) string {
	h := sha256.New()
	h.Write(line)
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// header is a file's first line.
type header struct {
	line   string // up to the checksum
	at     time.Time
	length int
	sum    string
}

// parseHeader accepts what encode writes and nothing else.
func parseHeader(line string) (h header, err error) {
	end := strings.LastIndexByte(line, ' ') + 1
	h.line, h.sum = line[:end], line[end:]
	words := strings.Split(strings.TrimPrefix(line, magic), " ")
	if !strings.HasPrefix(line, magic) || len(words) != 3 {
		return h, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	if h.at, err = time.Parse(timeFormat, words[0]); err != nil {
		return h, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	if n, err := fmt.Sscanf(words[1], "%d", &h.length); n != 1 || err != nil || h.length < 0 || h.length > MaxSize {
		return h, fmt.Errorf("%w: its length makes no sense", ErrDamaged)
	}
	if fmt.Sprintf("%s%s %d ", magic, h.at.Format(timeFormat), h.length) != h.line {
		return h, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	return h, nil
}

// decode takes a whole file apart.
func decode(file []byte) (at time.Time, body []byte, err error) {
	line, body, ended := bytes.Cut(file, []byte("\n"))
	if !ended || len(line) > maxHeader {
		return at, nil, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	h, err := parseHeader(string(line))
	if err != nil {
		return at, nil, err
	}
	if len(body) != h.length {
		return at, nil, fmt.Errorf("%w: it has %d bytes of %d", ErrDamaged, len(body), h.length)
	}
	if checksum([]byte(h.line), body) != h.sum {
		return at, nil, fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	return h.at, body, nil
}

// readFile reads and checks a file.
func readFile(path string) (at time.Time, body []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return at, nil, err
	}
	defer f.Close()
	file, err := io.ReadAll(io.LimitReader(f, MaxSize+maxHeader+1))
	if err != nil {
		return at, nil, err
	}
	return decode(file)
}

// readHeader reads a file's first line only.
func readHeader(path string) (header, error) {
	f, err := os.Open(path)
	if err != nil {
		return header{}, err
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, maxHeader)).ReadString('\n')
	if err != nil {
		return header{}, fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	return parseHeader(strings.TrimSuffix(line, "\n"))
}
