package main

import (
	"errors"
	"fmt"
	"syscall"
)

// advised adds to the error of a listener what most likely is the matter.
func advised(err error) error {
	for _, known := range []struct {
		cause  error
		advice string
	}{
		{syscall.EADDRINUSE, "something else listens there, perhaps another riptide-proxy (ss -ltnp shows what)"},
		{syscall.EADDRNOTAVAIL, "this machine does not have that address; 0.0.0.0 stands for all that it has"},
		{syscall.EACCES, "this user may not; ports below 1024 and folders of others take rights"},
	} {
		if errors.Is(err, known.cause) {
			return fmt.Errorf("%w: %s", err, known.advice)
		}
	}
	return err
}
