package admin

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
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

// longestTenantFile is as much of one as is read, in bytes. It is as long as a configuration's file may be.
const longestTenantFile = 16 << 20

// read gives a tenant's file; nil: it has none. A link that leads out of the folder is not followed, and what is no file
// is not waited for.
func (f *tenantFiles) read(dir, id string) ([]byte, error) {
	root, err := f.open(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	data, err := readRegular(root, fileOf(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		slog.Warn("a tenant's file can not be read", "tenant", id, "error", err)
		return nil, problem("conflict", "the tenant's file can not be read here: it may be no file, or a link that leads out of tenants_dir")
	}
	return data, nil
}

func readRegular(root *os.Root, name string) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would keep whoever opens it
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a file")
	case info.Size() > longestTenantFile:
		return nil, errors.New("is longer than 16MiB")
	}
	return io.ReadAll(io.LimitReader(f, longestTenantFile))
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
		return unwritable(err)
	}
	_, err = bytes.NewReader(data).WriteTo(out)
	err = errors.Join(err, out.Sync(), out.Close())
	if err == nil {
		err = root.Rename(temporary, fileOf(id))
	}
	if err != nil {
		return unwritable(errors.Join(err, root.Remove(temporary)))
	}
	return syncRoot(root)
}

// unwritable tells whoever edits why the folder can not be written, as far as that is the machine's matter.
func unwritable(err error) error {
	slog.Error("tenants_dir can not be written", "error", err)
	for _, why := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EACCES, syscall.EPERM} {
		if errors.Is(err, why) {
			return problem("storage", why.Error()+", so nothing was changed")
		}
	}
	return problem("storage", "nothing was changed; the log of the proxy has more")
}

// temporaryAge is after how long a temporary file is nobody's any more: edits take seconds.
const temporaryAge = time.Hour

// tidy removes temporary files that crashes have left.
func (f *tenantFiles) tidy(dir string, now time.Time) {
	root, err := f.open(dir)
	if err != nil {
		return
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !temporaryName.MatchString(e.Name()) || now.Sub(info.ModTime()) <= temporaryAge {
			continue
		}
		if err := root.Remove(e.Name()); err != nil {
			slog.Warn("a file that an unfinished edit has left can not be removed", "file", e.Name(), "error", err)
		} else {
			slog.Info("a file is removed that an unfinished edit has left", "file", e.Name())
		}
	}
}

// temporaryName is what write calls them.
var temporaryName = regexp.MustCompile(`^\.[a-z0-9][a-z0-9_-]{0,62}\.[A-Z2-7]{26}$`)

// remove takes a tenant's file away.
func (f *tenantFiles) remove(dir, id string) error {
	root, err := f.open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Remove(fileOf(id)); err != nil {
		return unwritable(err)
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
