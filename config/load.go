package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// maxFile is the longest file that is read. 16MiB hold some 100000 tenants.
const maxFile = 16 * MiB

// Load reads the configuration file at path and the tenants' folder it names,
// with variables taken from the environment. The error is an Errors, unless the
// file itself could not be read. Warnings come with errors or without.
func Load(path string) (*Config, []Warning, error) {
	_, c, warnings, err := ReadFiles(path)
	return c, warnings, err
}

// Parse checks data as Load checks a file called name, with variables taken from
// env (nil: none is set). It touches nothing but its arguments: of a
// tenants_dir it knows that it is there, not what is in it.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, []Warning, error) {
	l := newLoader()
	if Size(len(data)) > maxFile {
		return nil, nil, Errors{{File: name, Text: tooLong(maxFile).Error()}}
	}
	l.parse(newSource(name, env), data)
	return l.finish()
}

// loader puts a Config together from its files.
type loader struct {
	config  *Config
	main    *source
	files   []*source        // main first
	readDir bool             // tenants_dir was read
	tenants map[string]place // where each tenant is defined
	secrets map[string]owner // hash -> whose it is

	certificates map[string]owner // name -> whose it is

	warnings []Warning
	pending  map[string]int // feature -> index of its one warning
	uses     map[string]int // feature -> how often it was given
	known    *Files         // what was parsed before; nil: nothing
	parsed   *Files         // where to note what is parsed; nil: nowhere
	same     bool           // the main file says what it said in known
	taken    int            // tenants that are the known ones
}

// place is a key of a file.
type place struct {
	*source
	path string
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line(p.path)) }

func newLoader() *loader {
	return &loader{
		config:  Default(),
		tenants: map[string]place{}, secrets: map[string]owner{}, certificates: map[string]owner{},
		pending: map[string]int{}, uses: map[string]int{},
	}
}

// parse decodes the main file.
func (l *loader) parse(s *source, data []byte) {
	l.main, l.files = s, []*source{s}
	top, ok := l.tree(s, data)
	if !ok {
		return
	}
	if top != nil {
		s.value(top, reflect.ValueOf(l.config).Elem(), "")
	}
	for id := range l.config.Tenants {
		l.tenants[id] = place{s, join("tenants", id)}
	}
}

// readTenantsDir decodes the files of tenants_dir; base is where a relative one starts.
func (l *loader) readTenantsDir(base string, from reader) {
	dir := l.config.TenantsDir
	if dir == "" {
		return
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(base, dir)
	}
	names, err := from.list(dir)
	if err != nil {
		l.main.errorf("tenants_dir", "%v", err)
		return
	}
	l.readDir = true
	for _, name := range names {
		file := filepath.Join(dir, name)
		id, isYAML := strings.CutSuffix(name, ".yaml")
		switch {
		case strings.HasPrefix(name, "."): // editors' and Kubernetes' own files
		case isYAML:
			l.readTenant(from, file, id)
		case strings.HasSuffix(name, ".yml"):
			l.warnings = append(l.warnings, Warning{File: file, Text: "is ignored: the name of a tenant's file ends in .yaml"})
		}
	}
}

func (l *loader) readTenant(from reader, file, id string) {
	s := newSource(file, l.main.env)
	l.files = append(l.files, s)
	data, err := from.read(file)
	if err != nil {
		s.errorAt(0, "", "%v", err)
		return
	}
	if len(data) == 0 {
		// It is as likely that somebody is writing it, or could not since the disk is full; it would lock all of the tenant's users out.
		s.errorAt(0, "", "is empty (a tenant without anything is written {})")
		return
	}
	t := l.takeOver(s, data)
	if t == nil {
		t = l.decodeTenant(s, data)
	}
	if other, twice := l.tenants[id]; twice {
		s.errorAt(1, "", "tenant %s is also defined at %s", quote(id), other)
		return
	}
	l.tenants[id] = place{s, ""}
	l.config.Tenants[id] = t
}

// decodeTenant reads what a tenant's file says.
func (l *loader) decodeTenant(s *source, data []byte) *Tenant {
	t := newTenant()
	if top, ok := l.tree(s, data); top != nil && ok {
		s.value(top, reflect.ValueOf(t).Elem(), "")
	}
	return t
}

// locate puts base before the relative names of files and folders. The spool is in the folder of the state if nothing else is
// said.
func locate(c *Config, base string) {
	locateJWT(&c.JWT, base)
	if c.StateDir != "" && c.Usage.Spool == "" {
		c.Usage.Spool = filepath.Join(c.StateDir, "usage")
	}
	names := []*string{&c.StateDir, &c.Usage.Spool, &c.Audit.Dir}
	for _, k := range c.EncryptionKeys {
		names = append(names, &k.File)
	}
	if t := c.TLS; t != nil {
		names = append(names, &t.Cert, &t.Key, &t.ClientCA)
	}
	if t := c.Upstream.TLS; t != nil {
		names = append(names, &t.CA, &t.Cert, &t.Key)
	}
	for _, name := range names {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(base, *name)
		}
	}
}

// finish checks what was decoded and sorts what there is to say.
func (l *loader) finish() (*Config, []Warning, error) {
	if !l.main.unreadable {
		l.check()
	}
	warnings, errs := l.report()
	if len(errs) > 0 {
		return nil, warnings, errs
	}
	return l.config, warnings, nil
}

// report is what there is to say, in the order of files and lines.
func (l *loader) report() ([]Warning, Errors) {
	for feature, i := range l.pending {
		if others := l.uses[feature] - 1; others > 0 {
			l.warnings[i].Text += fmt.Sprintf(" (nor in %d other places)", others)
		}
	}
	var errs Errors
	rank := make(map[string]int, len(l.files))
	for i, s := range l.files {
		rank[s.file] = i - len(l.files) // files that were ignored have none and come last
		slices.SortStableFunc(s.problems, func(a, b Problem) int { return a.Line - b.Line })
		errs = append(errs, s.problems...)
	}
	slices.SortStableFunc(l.warnings, func(a, b Warning) int {
		return cmp.Or(rank[a.File]-rank[b.File], a.Line-b.Line)
	})
	return l.warnings, errs
}
