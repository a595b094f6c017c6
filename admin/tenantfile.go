package admin

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// tenantFiles are the files of tenants_dir. Their names are made of checked ids, and os.Root keeps
// what is read and written inside the folder even so.
type tenantFiles struct {
	file string        // of the configuration
	edit chan struct{} // has one in it while somebody edits
}

func newTenantFiles(file string) *tenantFiles {
	return &tenantFiles{file: file, edit: make(chan struct{}, 1)}
}

// errNoDir tells that tenants can not be written.
func errNoDir() *Problem {
	return problem("conflict", "the configuration has no tenants_dir, so there is nowhere to write tenants")
}

// open gives the folder; dir is as the configuration has it.
func (f *tenantFiles) open(dir string) (*os.Root, error) {
	if dir == "" || f.file == "" {
		return nil, errNoDir()
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(filepath.Dir(f.file), dir)
	}
	return os.OpenRoot(dir)
}

func fileOf(id string) string { return id + ".yaml" }

// read gives a tenant's file; nil: it has none. A link that leads out of the folder is not followed.
func (f *tenantFiles) read(dir, id string) ([]byte, error) {
	root, err := f.open(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	data, err := root.ReadFile(fileOf(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		slog.Warn("a tenant's file can not be read", "tenant", id, "error", err)
		return nil, problem("conflict", "the tenant's file can not be read here: it may be a link that leads out of tenants_dir")
	}
	return data, nil
}

// list tells which tenants have a file. Without a folder none has.
func (f *tenantFiles) list(dir string) (map[string]bool, error) {
	if dir == "" || f.file == "" {
		return nil, nil
	}
	root, err := f.open(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	ids := make(map[string]bool, len(entries))
	for _, e := range entries {
		if id, isYAML := strings.CutSuffix(e.Name(), ".yaml"); isYAML {
			ids[id] = true
		}
	}
	return ids, nil
}

// write replaces a tenant's file as a whole: whoever reads it finds the old one or the new one, also
// after a crash.
func (f *tenantFiles) write(dir, id string, data []byte) error {
	root, err := f.open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	mode := fs.FileMode(0o640)
	if info, err := root.Stat(fileOf(id)); err == nil {
		mode = info.Mode().Perm()
	}
	temporary := "." + id + "." + rand.Text() // a name with a dot in front is no tenant's
	out, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = bytes.NewReader(data).WriteTo(out)
	err = errors.Join(err, out.Sync(), out.Close())
	if err == nil {
		err = root.Rename(temporary, fileOf(id))
	}
	if err != nil {
		return errors.Join(err, root.Remove(temporary))
	}
	return syncRoot(root)
}

// remove takes a tenant's file away.
func (f *tenantFiles) remove(dir, id string) error {
	root, err := f.open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Remove(fileOf(id)); err != nil {
		return err
	}
	return syncRoot(root)
}

// put makes a tenant's file what it was: nil is none.
func (f *tenantFiles) put(dir, id string, data []byte) error {
	if data == nil {
		return f.remove(dir, id)
	}
	return f.write(dir, id, data)
}

func syncRoot(root *os.Root) error {
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// editTime bounds how long an edit waits for those before it.
const editTime = 30 * time.Second

// lock waits until nobody else edits.
func (f *tenantFiles) lock(c *call) (unlock func(), err error) {
	t := time.NewTimer(editTime)
	defer t.Stop()
	select {
	case f.edit <- struct{}{}:
		return func() { <-f.edit }, nil
	case <-c.Context().Done():
	case <-t.C:
	}
	return nil, problem("busy", "others are being edited")
}
