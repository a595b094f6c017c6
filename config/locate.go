package config

import (
	"errors"
	"os"
)

// KeyError is what is wrong with something that a key of the main file names, and that checking the file does not look at:
// a certificate, a master key.
type KeyError struct {
	Path string // of the key, as in tls.cert
	Err  error
}

// At is err as a KeyError; the names are those of a path, as in encryption_keys and 2026-11.
func At(err error, names ...string) error {
	path := ""
	for _, name := range names {
		path = join(path, name)
	}
	return &KeyError{path, err}
}

func (e *KeyError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap is for package errors.
func (e *KeyError) Unwrap() error { return e.Err }

// Locate makes Errors, with the lines, of a KeyError or of several that were joined. Other errors it returns as they are.
func (f *Files) Locate(err error) error {
	all := []error{err}
	if joined, is := err.(interface{ Unwrap() []error }); is {
		all = joined.Unwrap()
	}
	if f == nil || err == nil {
		return err
	}
	l := newLoader() // which has lines; nobody remembers them for the few times that they are asked for
	l.parse(newSource(f.Path, os.LookupEnv), f.texts[f.Path])
	var problems Errors
	for _, one := range all {
		var at *KeyError
		if !errors.As(one, &at) {
			return err
		}
		problems = append(problems, Problem{f.Path, l.main.line(at.Path), at.Path, at.Err.Error()})
	}
	return problems
}
