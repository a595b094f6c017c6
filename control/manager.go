// Package control owns the configuration that a proxy runs with: it reads the files anew when they
// have changed or somebody says so, checks and provisions what they say, has every part of the
// process take it over at once, or keeps the old one whole and says why. The last good ones are kept, to go back to.
package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"riptide-proxy/config"
)

// kept is how many generations there are to go back to, with the running one.
const kept = 10

// Generation is a configuration that was good and is, or was, running. It never changes.
type Generation struct {
	Number   uint64 // from 1, the one that the process started with
	Hash     string // of its files, in hexadecimal digits
	At       time.Time
	Source   string // who had it taken over: "start", "file", "signal", "api", "rollback to 3"
	Config   *config.Config
	Warnings []config.Warning
	// Restart names keys that differ from what the process was started with and hold from the next start on.
	Restart []string

	files *config.Files
}

// Prepare gets whatever a configuration takes, such as keys and certificates, and returns what has it
// take effect, which must not fail. An error means that it can not be had: nothing changes.
type Prepare func(ctx context.Context, cfg *config.Config) (commit func(), err error)

// Proxy runs with a configuration. A proxy.Server does.
type Proxy interface {
	Apply(ctx context.Context, cfg *config.Config) error
}

// Results of a try to change the configuration.
const (
	Applied   = "applied"
	Unchanged = "unchanged"
	Failed    = "failed"
)

// Errors of a Manager.
var (
	ErrNoFile    = errors.New("the proxy runs without a configuration file")
	ErrNoSuch    = errors.New("there is no such generation (any more)")
	errCanceled  = errors.New("the proxy is shutting down")
	errUnchanged = errors.New("unchanged")
)

// Manager is safe for concurrent use.
type Manager struct {
	proxy    Proxy
	started  *config.Config
	current  atomic.Pointer[Generation]
	counters map[string]*atomic.Uint64 // by result; never changes

	mu       sync.Mutex // one change at a time
	prepares []Prepare
	results  []func(Result)
	history  []*Generation // oldest first, the running one last
	number   uint64
	seen     reading                 // what was tried last
	last     atomic.Pointer[failure] // nil: the last try did not fail
}

type failure struct {
	err error
	at  time.Time
}

// reading is what came of reading the files. The same files may be good or not by what else is there, such as a folder.
type reading struct {
	hash  string // empty: the main file could not be read
	wrong string // empty: nothing
}

func newReading(files *config.Files, err error) (r reading) {
	if files != nil {
		r.hash = files.Hash()
	}
	if err != nil {
		r.wrong = err.Error()
	}
	return r
}

// New is a Manager of a proxy that was started with what the files say; files are nil if there are none.
func New(p Proxy, files *config.Files, cfg *config.Config, warnings []config.Warning) *Manager {
	m := &Manager{proxy: p, started: cfg, number: 1, counters: make(map[string]*atomic.Uint64)}
	for _, result := range []string{Applied, Unchanged, Failed} {
		m.counters[result] = new(atomic.Uint64)
	}
	g := &Generation{Number: 1, At: time.Now(), Source: "start", Config: cfg, Warnings: warnings, files: files}
	if files != nil {
		m.seen = newReading(files, nil)
		g.Hash = m.seen.hash
	}
	m.current.Store(g)
	m.history = []*Generation{g}
	return m
}

// Add has a part of the process take over what Apply does, before the proxy does and in the order of the calls.
func (m *Manager) Add(p Prepare) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.prepares = append(m.prepares, p)
}

// OnApply has f called whenever another configuration is running.
func (m *Manager) OnApply(f func(old, now *config.Config)) {
	m.Add(func(_ context.Context, cfg *config.Config) (func(), error) {
		old := m.Current().Config
		return func() { f(old, cfg) }, nil
	})
}

// Current is the generation that is running.
func (m *Manager) Current() *Generation { return m.current.Load() }

// History are the generations that there are to go back to, the oldest first and the running one last.
func (m *Manager) History() []*Generation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.history)
}

// LastError is when the last try to change the configuration failed, and why; nil if it did not.
func (m *Manager) LastError() (at time.Time, err error) {
	if f := m.last.Load(); f != nil {
		return f.at, f.err
	}
	return at, nil
}

// Count is how many tries have had a result.
func (m *Manager) Count(result string) uint64 { return m.counters[result].Load() }

// Reload reads the files and has the proxy run with what they say, even if they are as they were: files that
// they name may not be. The error, a config.Errors if it is the files' fault, means that nothing has changed.
func (m *Manager) Reload(ctx context.Context, source string) error {
	return m.reload(ctx, source, true)
}

// reload is Reload; without force it leaves files alone that are as they were when they were tried last.
func (m *Manager) reload(ctx context.Context, source string, force bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.readAll(ctx, source, force)
}

// readAll is reload with m.mu held.
func (m *Manager) readAll(ctx context.Context, source string, force bool) error {
	running := m.Current()
	if running.files == nil {
		return ErrNoFile
	}
	files, cfg, warnings, err := running.files.Again()
	now := newReading(files, err)
	if !force && now == m.seen {
		return errUnchanged // said already, if it was wrong
	}
	m.seen = now
	if err == nil {
		err = files.Locate(m.apply(ctx, &Generation{Hash: now.hash, Source: source, Config: cfg, Warnings: warnings, files: files}))
	}
	return m.done(source, running, err)
}

// Rollback has the proxy run with a former generation. The files are left as they are: when they change next, they
// are taken over again, and so they are at the next start.
func (m *Manager) Rollback(ctx context.Context, number uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	source := fmt.Sprintf("rollback to %d", number)
	i := slices.IndexFunc(m.history, func(g *Generation) bool { return g.Number == number })
	if i < 0 {
		return fmt.Errorf("generation %d: %w", number, ErrNoSuch)
	}
	was, running := m.history[i], m.Current()
	if was.files == nil {
		return ErrNoFile
	}
	cfg, warnings, err := was.files.Load() // the environment may be another one
	if err == nil {
		err = was.files.Locate(m.apply(ctx, &Generation{Hash: was.Hash, Source: source, Config: cfg, Warnings: warnings, files: was.files}))
	}
	return m.done(source, running, err)
}

// apply provisions a generation and has it take effect. m.mu is held.
func (m *Manager) apply(ctx context.Context, g *Generation) error {
	var commits []func()
	for _, prepare := range m.prepares {
		commit, err := prepare(ctx, g.Config)
		if err != nil {
			return err
		}
		if commit != nil {
			commits = append(commits, commit)
		}
	}
	if err := ctx.Err(); err != nil {
		return errCanceled
	}
	if err := m.proxy.Apply(ctx, g.Config); err != nil {
		return err
	}
	for _, commit := range commits {
		commit()
	}
	m.number++
	g.Number, g.At, g.Restart = m.number, time.Now(), config.Fixed(m.started, g.Config)
	m.remember(g)
	return nil
}

// remember has a generation be the running one. If it is the same files again it takes the place of the one before:
// whoever says "reload" ten times shall still have somewhere to go back to.
func (m *Manager) remember(g *Generation) {
	if m.Current().Hash == g.Hash {
		m.history = m.history[:len(m.history)-1]
	}
	m.current.Store(g)
	if m.history = append(slices.Clip(m.history), g); len(m.history) > kept {
		m.history = slices.Delete(m.history, 0, len(m.history)-kept)
	}
}

// done counts and logs what has come of a try; before was running until then.
func (m *Manager) done(source string, before *Generation, err error) error {
	m.tell(Result{Source: source, Err: err, Before: before, Now: m.Current()})
	if err != nil {
		m.counters[Failed].Add(1)
		m.last.Store(&failure{err, time.Now()})
		var problems config.Errors
		if !errors.As(err, &problems) {
			slog.Error("the configuration was not taken over", "source", source, "error", err)
			return err
		}
		for _, p := range problems[:min(len(problems), maxLogged)] {
			slog.Error("the configuration was not taken over", "source", source, "error", p.String(), "problems", len(problems))
		}
		return err
	}
	m.counters[Applied].Add(1)
	m.last.Store(nil)
	g := m.Current()
	slog.Info("another configuration is running", "generation", g.Number, "source", source, "tenants", len(g.Config.Tenants))
	logWarnings(g.Warnings, before.Warnings)
	if len(g.Restart) > 0 {
		slog.Warn("some of the configuration holds from the next start on", "keys", g.Restart)
	}
	return nil
}

// logWarnings logs those that have not been logged.
func logWarnings(all, before []config.Warning) {
	known := make(map[config.Warning]bool, len(before))
	for _, w := range before {
		known[w] = true
	}
	fresh := slices.DeleteFunc(slices.Clone(all), func(w config.Warning) bool { return known[w] })
	for i, w := range fresh {
		if i == maxLogged {
			slog.Warn("there are more warnings", "more", len(fresh)-i)
			return
		}
		slog.Warn(w.String())
	}
}

// maxLogged is how many problems of one configuration are logged.
const maxLogged = 20
