package config

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Files is the text of a configuration as it was found: the main file and those of the tenants' folder. It
// does not change when the files do, so the same configuration can be had from it again.
type Files struct {
	// Path is that of the main file, as it was named.
	Path string
	// TenantsDir is the tenants' folder; empty: there is none.
	TenantsDir string

	texts  map[string][]byte     // by path
	names  []string              // of all in TenantsDir
	trees  map[string]*yaml.Node // what the files say, by path; nothing changes them
	sound  sound
	failed map[string]error // why a file could not be read, by path
}

// rememberedFile is the longest file whose tree is worth remembering: few tenants' are longer, and a tree
// takes a multiple of its text.
const rememberedFile = 64 * KiB

// tree is s.parseYAML of data, or what that was the last time if the data is the same.
func (l *loader) tree(s *source, data []byte) (top *yaml.Node, ok bool) {
	remembered := false
	if k := l.known; k != nil {
		top, remembered = k.trees[s.file]
		remembered = remembered && bytes.Equal(k.texts[s.file], data)
	}
	if !remembered {
		if top, ok = s.parseYAML(data); !ok {
			return nil, false
		}
	}
	if l.parsed != l.known && l.parsed != nil && Size(len(data)) <= rememberedFile {
		l.parsed.trees[s.file] = top
	}
	return top, true
}

// ReadFiles reads the files that Load would read, and says what Load would say. The Files are those that were read,
// also if there is an error; nil if the main file could not be.
func ReadFiles(path string) (*Files, *Config, []Warning, error) { return readFiles(path, nil) }

// Again is ReadFiles of the same configuration. What has not changed is not parsed anew, which is most of
// the work where there are many tenants.
func (f *Files) Again() (*Files, *Config, []Warning, error) { return readFiles(f.Path, f) }

func readFiles(path string, known *Files) (*Files, *Config, []Warning, error) {
	f := &Files{Path: path, texts: make(map[string][]byte), trees: make(map[string]*yaml.Node), failed: make(map[string]error)}
	read := readAnything
	if known != nil {
		read = readMain
	}
	data, err := f.record(path, read)
	if err != nil {
		return nil, nil, nil, err
	}
	c, warnings, err := f.load(data, diskReader{f}, known)
	return f, c, warnings, err
}

// Load is what the files say, with variables taken from the environment as it is now.
func (f *Files) Load() (*Config, []Warning, error) { return f.load(f.texts[f.Path], f, f) }

func (f *Files) load(data []byte, from reader, known *Files) (*Config, []Warning, error) {
	l := newLoader()
	l.known, l.parsed = known, f
	l.parse(newSource(f.Path, os.LookupEnv), data)
	l.same = l.alike(data)
	l.readTenantsDir(filepath.Dir(f.Path), from)
	c, warnings, err := l.finish()
	switch {
	case err == nil:
		l.noteSound(f)
		locate(c, filepath.Dir(f.Path))
	case l.taken > 0:
		f.sound = sound{}
		return f.load(data, f, f)
	}
	return c, warnings, err
}

// With is what Again would be if one tenant's file had this text and no other file had changed; nil: if that file were gone.
func (f *Files) With(id string, data []byte) (*Files, *Config, []Warning, error) {
	next := &Files{Path: f.Path, TenantsDir: f.TenantsDir, texts: maps.Clone(f.texts), trees: make(map[string]*yaml.Node, len(f.trees))}
	name := id + ".yaml"
	file := filepath.Join(f.TenantsDir, name)
	at, found := slices.BinarySearch(f.names, name)
	switch {
	case data == nil:
		delete(next.texts, file)
		if next.names = slices.Clone(f.names); found {
			next.names = slices.Delete(next.names, at, at+1)
		}
	default:
		next.texts[file] = data
		if next.names = slices.Clone(f.names); !found {
			next.names = slices.Insert(next.names, at, name)
		}
	}
	c, warnings, err := next.load(next.texts[f.Path], next, f)
	return next, c, warnings, err
}

// Hash tells texts apart: SHA-256 over all names and contents, in hexadecimal digits.
func (f *Files) Hash() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(f.texts)) {
		fmt.Fprintf(h, "%d %s\n%d\n", len(name), name, len(f.texts[name]))
		h.Write(f.texts[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (f *Files) record(name string, read func(string) ([]byte, error)) ([]byte, error) {
	data, err := read(name)
	if err == nil {
		f.texts[name] = data
	} else {
		f.failed[name] = err
	}
	return data, err
}

// reader is where a loader gets the tenants' folder from.
type reader interface {
	// list names what is in a folder, sorted.
	list(dir string) ([]string, error)
	read(name string) ([]byte, error)
}

// diskReader reads files and remembers what was in them.
type diskReader struct{ f *Files }

func (d diskReader) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	d.f.TenantsDir = dir
	for _, e := range entries {
		d.f.names = append(d.f.names, e.Name())
	}
	return d.f.names, nil
}

func (d diskReader) read(name string) ([]byte, error) { return d.f.record(name, readTenantFile) }

func (f *Files) list(dir string) ([]string, error) {
	if dir != f.TenantsDir {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: fs.ErrNotExist}
	}
	return f.names, nil
}

func (f *Files) read(name string) ([]byte, error) {
	if data, ok := f.texts[name]; ok {
		return data, nil
	}
	return nil, cmp.Or(f.failed[name], fs.ErrNotExist)
}
