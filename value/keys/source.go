package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"time"
)

const (
	// longest is more than any form of a key needs, in bytes.
	longest = 256
	// mostError is how much is shown of what a program says on standard error.
	mostError = 1024
)

// patience is how long a program may take; a variable for the tests.
var patience = 10 * time.Second

func fromFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening it could block
		return nil, fmt.Errorf("%s is not a file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, longest))
	if err != nil {
		return nil, err
	}
	key, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	if others := info.Mode().Perm() & 0o006; others != 0 {
		slog.Warn("everybody on this machine has access to the file of an encryption key; chmod 600 ends it",
			"file", name, "mode", info.Mode().Perm().String())
	}
	return key, nil
}

// fromCommand runs a program that prints a key. It is run as it is given, without
// a shell, with the proxy's environment and with nothing on standard input.
func fromCommand(ctx context.Context, command []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out, said bounded
	out.most, said.most = longest, 64*mostError // the error is read to its end, so that nothing blocks
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = time.Second // for children that keep the pipes open
	err := cmd.Run()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("has not finished within %v", patience)
	case err == nil && out.over:
		err = fmt.Errorf("printed more than the %d bytes that a key takes at most", longest)
	case err == nil:
		var key []byte
		if key, err = parse(out.data); err == nil {
			return key, nil
		}
		if err = fmt.Errorf("printed what %w", err); len(bytes.TrimSpace(out.data)) == 0 {
			err = errors.New("printed nothing")
		}
	default:
		err = fmt.Errorf("failed: %w", err)
	}
	return nil, fmt.Errorf("%s %w%s", command[0], err, complaint(said.data, out.data))
}

// complaint is what a program said on standard error, in one line. A program
// that repeats there what it printed may show the key, so that is not shown.
func complaint(said, printed []byte) string {
	said = bytes.TrimSpace(said)
	if len(said) == 0 {
		return ""
	}
	if p := bytes.TrimSpace(printed); len(p) >= 8 && bytes.Contains(said, p) {
		return "; what it said on standard error contains what it printed and is not shown"
	}
	if len(said) > mostError {
		said = said[:mostError]
	}
	return "; it said " + strconv.Quote(string(said))
}

// bounded keeps the beginning of what is written to it, and takes the rest.
type bounded struct {
	data []byte
	most int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.most-len(b.data))
	b.data = append(b.data, p[:n]...)
	b.over = b.over || n < len(p)
	return len(p), nil
}
