package config

import (
	"bytes"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Reader loads a configuration again and again. It remembers what the files of
// tenants_dir said, since parsing them takes most of the time and usually one of thousands has
// changed. Its zero value is ready; it may not be used by several goroutines at once.
type Reader struct {
	before, now map[string]parsedFile // by name
}

// parsedFile is what a file said. Nothing changes the nodes once they are parsed.
type parsedFile struct {
	data []byte
	top  *yaml.Node
}

// rememberedFile is the longest file that is worth remembering: few tenants' are longer, and
// their nodes take a multiple of it.
const rememberedFile = 64 * KiB

// Load is the package's Load.
func (r *Reader) Load(path string) (*Config, []Warning, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, nil, err
	}
	r.now = make(map[string]parsedFile, len(r.before))
	l := newLoader()
	l.reader = r
	l.parse(newSource(path, os.LookupEnv), data)
	l.readTenantsDir(filepath.Dir(path))
	c, warnings, err := l.finish()
	if err == nil {
		locate(c, filepath.Dir(path))
	}
	r.before, r.now = r.now, nil // files that are gone are forgotten
	return c, warnings, err
}

// parse is s.parseYAML of a file's data, or what that was the last time if the data is the same.
func (r *Reader) parse(s *source, data []byte) (*yaml.Node, bool) {
	if r == nil {
		return s.parseYAML(data)
	}
	if p, known := r.before[s.file]; known && bytes.Equal(p.data, data) {
		r.now[s.file] = p
		return p.top, true
	}
	top, ok := s.parseYAML(data)
	if ok && Size(len(data)) <= rememberedFile {
		r.now[s.file] = parsedFile{data, top}
	}
	return top, ok
}
