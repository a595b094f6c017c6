package config

import (
	"fmt"
	"slices"
	"strings"
)

// source is one file: where each of its keys stands, and what is wrong with it.
// Keys are identified by their path, as in tenants.acme.users.default.sha256[0],
// so that a check which runs long after decoding still finds the line.
type source struct {
	file     string
	env      func(string) (string, bool)
	lines    map[string]int    // path -> line
	raw      map[string]string // path -> text before variables were expanded, where that changed it
	bad      map[string]bool   // paths that a problem was reported for
	empty    map[string]bool   // paths whose value is left to the default
	filled   map[string]string // path -> text that has come of variables
	problems []Problem

	unreadable bool // it is not YAML, so nothing of it was decoded
	warned     bool // there is a warning about it
	checked    bool // its tenant was checked before
	aliased    int  // nodes decoded through aliases so far
}

func newSource(file string, env func(string) (string, bool)) *source {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	return &source{
		file: file, env: env,
		lines: map[string]int{}, raw: map[string]string{}, bad: map[string]bool{}, empty: map[string]bool{}, filled: map[string]string{},
	}
}

// errorf reports a problem with the value at path.
func (s *source) errorf(path, format string, args ...any) {
	s.errorAt(s.line(path), path, format, args...)
}

func (s *source) errorAt(line int, path, format string, args ...any) {
	s.bad[path] = true
	s.problems = append(s.problems, Problem{s.file, line, path, fmt.Sprintf(format, args...)})
}

// has tells whether the file mentions path.
func (s *source) has(path string) bool { return s.lines[path] > 0 }

// line is where path stands; for what the file does not mention, where the
// nearest thing around it stands.
func (s *source) line(path string) int {
	for path != "" {
		if line := s.lines[path]; line > 0 {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return 1
}

// quote shows the value at path in a message: as the file has it, because what a
// variable put there may be a secret in the wrong place.
func (s *source) quote(path, value string) string {
	if raw, expanded := s.raw[path]; expanded {
		return quote(raw) + " (expanded)"
	}
	return quote(value)
}

// sorted gives the keys of a mapping at path in the order of the file.
func sorted[T any](s *source, path string, m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if d := s.line(join(path, a)) - s.line(join(path, b)); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return keys
}

// plainKey tells whether a key is 1 to 64 of A-Z a-z 0-9 _ -. It is asked for every key of
// every tenant, several times.
func plainKey(key string) bool {
	for _, c := range []byte(key) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && c != '_' && c != '-' {
			return false
		}
	}
	return key != "" && len(key) <= 64
}

// join appends a key to a path. Keys that could be mistaken for something else
// in a message are quoted.
func join(path, key string) string {
	if !plainKey(key) {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
