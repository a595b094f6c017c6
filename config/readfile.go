package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ReadFile reads a file of at most that length. A name that leads to a folder, a pipe or a device is refused: reading
// from those could wait without an end, or never come to one. The error leaves out the name.
func ReadFile(name string, most Size) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil {
		err = regular(info) // opening a device can have consequences
	}
	if err != nil {
		return nil, bare(err)
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may be a pipe by now
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	if info, err = f.Stat(); err == nil {
		err = regular(info)
	}
	if err != nil {
		return nil, bare(err)
	}
	data, err := readAll(f, most)
	return data, bare(err)
}

func regular(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("is not a file")
	}
	return nil
}

// readAnything reads also what a shell makes of <(command). It is for when there is nothing yet that must go on.
func readAnything(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := readAll(f, maxFile)
	return data, named(name, err)
}

// readMain reads the main file again.
func readMain(name string) ([]byte, error) {
	data, err := ReadFile(name, maxFile)
	return data, named(name, err)
}

func readTenantFile(name string) ([]byte, error) { return ReadFile(name, maxFile) }

func readAll(f *os.File, most Size) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && Size(len(data)) > most {
		return nil, tooLong(most)
	}
	return data, err
}

func tooLong(most Size) error { return fmt.Errorf("is longer than %v", most) }

// named says which file an error is about.
func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, bare(err))
}

// bare leaves out the name of the file, which the report has already.
func bare(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
