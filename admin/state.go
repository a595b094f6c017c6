package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"riptide-proxy/config"
	"riptide-proxy/control"
)

// State is the configuration that the proxy runs with, and how to change it. A control.Manager does.
type State interface {
	Current() *control.Generation
	// History is the last good ones, the running one last.
	History() []*control.Generation
	// Reload reads the files and runs with them, or goes on as before. The error may have a
	// config.Errors in it.
	Reload(ctx context.Context, source string) error
	// Edit is Reload after one tenant's file was written (nil: removed), and no other.
	Edit(ctx context.Context, source, tenant string, data []byte) error
	// Rollback runs with an earlier generation.
	Rollback(ctx context.Context, number uint64) error
	// LastError is when the last reload failed, and why; nil: it did not.
	LastError() (at time.Time, err error)
}

// rolledBack is what Generation.Source begins with after Rollback.
const rolledBack = "rollback"

// Checkpoints are copies of the proxy's own state.
type Checkpoints interface {
	Save(ctx context.Context) (Checkpoint, error)
	// Restore takes over the one with that number; 0: the youngest good one.
	Restore(ctx context.Context, number uint64) (Checkpoint, error)
	// List has the youngest first.
	List() ([]Checkpoint, error)
}

// ErrNoCheckpoint is Restore's error when there is none with that number, or none at all.
var ErrNoCheckpoint = errors.New("there is no such checkpoint")

// Checkpoint is one of the proxy's state.
type Checkpoint struct {
	Number uint64    `json:"number"`
	At     time.Time `json:"at"`
	Bytes  int64     `json:"bytes"`
}

// Generation is one configuration.
type Generation struct {
	Number  uint64    `json:"number"`
	Hash    string    `json:"hash"` // SHA-256 of the files
	At      time.Time `json:"at"`
	Source  string    `json:"source"` // start, file, signal, api, rollback to a number
	Tenants int       `json:"tenants"`
	Plans   int       `json:"plans"`

	Warnings []Fault  `json:"warnings,omitempty"`
	Restart  []string `json:"restart,omitempty"` // keys that hold from the next start on
}

// StateReport is /admin/state/current.
type StateReport struct {
	Current Generation   `json:"current"`
	History []Generation `json:"history"` // good ones, the youngest first
	// Failed is why the files could not be taken the last time; absent: they could.
	Failed      *Failure     `json:"failed,omitempty"`
	Checkpoints []Checkpoint `json:"checkpoints,omitempty"` // the youngest first
}

// Failure is a reload that was refused.
type Failure struct {
	At     time.Time `json:"at"`
	Errors []Fault   `json:"errors"`
}

// Numbered names a generation or a checkpoint.
type Numbered struct {
	Number uint64 `json:"number"` // 0, or absent: the last one before, or the youngest
}

func generation(g *control.Generation) Generation {
	return Generation{
		Number: g.Number, Hash: g.Hash, At: g.At.UTC(), Source: g.Source, Tenants: len(g.Config.Tenants), Plans: len(g.Config.Plans),
		Warnings: faults(g.Warnings), Restart: g.Restart,
	}
}

func showState(a *api, w http.ResponseWriter, c *call) error {
	report, err := a.state()
	if err != nil {
		return err
	}
	return c.writeTagged(w, report)
}

func (a *api) state() (*StateReport, error) {
	r := &StateReport{Current: generation(a.o.State.Current()), History: []Generation{}}
	for _, g := range slices.Backward(a.o.State.History()) {
		r.History = append(r.History, generation(g))
	}
	if at, err := a.o.State.LastError(); err != nil {
		r.Failed = &Failure{at.UTC(), faultsOf(err)}
	}
	if a.o.Checkpoints != nil {
		list, err := a.o.Checkpoints.List()
		if err != nil {
			return nil, err
		}
		r.Checkpoints = list
	}
	return r, nil
}

// faultsOf are the places that an error of a reload names.
func faultsOf(err error) []Fault {
	var errs config.Errors
	if errors.As(err, &errs) {
		return faults(errs)
	}
	return []Fault{{Text: err.Error()}}
}

// reloadTime bounds a reload. It goes on when whoever asked for it is gone.
const reloadTime = time.Minute

// reload has the proxy run with what the files say now.
func (a *api) reload(c *call) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), reloadTime)
	defer cancel()
	return a.o.State.Reload(ctx, "api")
}

// edited has the proxy run with the tenant's file as it was just written; nil: removed.
func (a *api) edited(c *call, data []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), reloadTime)
	defer cancel()
	return a.o.State.Edit(ctx, "api", c.tenant, data)
}

// startState waits until nobody else changes the configuration, and then looks whether the state is still what c has seen.
func (a *api) startState(c *call) (unlock func(), err error) {
	if unlock, err = a.files.lock(c); err != nil {
		return nil, err
	}
	if header := c.Header.Values("If-Match"); len(header) > 0 {
		err = a.unchanged(header)
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// unchanged is an error unless one of the tags of If-Match is that of the state.
func (a *api) unchanged(header []string) error {
	report, err := a.state()
	if err != nil {
		return err
	}
	body, err := bodyOf(report)
	if err != nil {
		return err
	}
	if !matches(header, etagOf(body)) {
		return problem("changed", "GET /admin/state/current again, and decide anew")
	}
	return nil
}

func reloadState(a *api, w http.ResponseWriter, c *call) error {
	unlock, err := a.startState(c)
	if err != nil {
		return err
	}
	defer unlock()
	if err := a.reload(c); err != nil {
		p := problem("invalid", "the proxy goes on with the configuration that it had")
		p.Errors = faultsOf(err)
		return p
	}
	return showState(a, w, c)
}

func rollbackState(a *api, w http.ResponseWriter, c *call) error {
	var to Numbered
	if err := c.decode(&to, false); err != nil {
		return err
	}
	unlock, err := a.startState(c)
	if err != nil {
		return err
	}
	defer unlock()
	if to.Number == 0 {
		if to.Number = a.before(); to.Number == 0 {
			return problem("conflict", "there is no earlier configuration")
		}
	} else if !a.remembers(to.Number) {
		return problem("not-found", "there is no such generation any more")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), reloadTime)
	defer cancel()
	if err := a.o.State.Rollback(ctx, to.Number); err != nil {
		p := problem("conflict", "the proxy goes on with the configuration that it had")
		p.Errors = faultsOf(err)
		return p
	}
	return showState(a, w, c)
}

// before is the last generation that was another one before the one that runs, or before that which it was rolled
// back to; 0: there is none.
func (a *api) before() (number uint64) {
	now := a.o.State.Current()
	limit := now.Number
	if to, is := strings.CutPrefix(now.Source, rolledBack+" to "); is {
		if n, err := strconv.ParseUint(to, 10, 64); err == nil {
			limit = n
		}
	}
	for _, g := range a.o.State.History() { // the oldest first
		if g.Number < limit && g.Hash != now.Hash {
			number = g.Number
		}
	}
	return number
}

func (a *api) remembers(number uint64) bool {
	for _, g := range a.o.State.History() {
		if g.Number == number {
			return true
		}
	}
	return false
}

func takeCheckpoint(a *api, w http.ResponseWriter, c *call) error {
	unlock, err := a.startState(c)
	if err != nil {
		return err
	}
	defer unlock()
	at, err := a.o.Checkpoints.Save(c.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, at)
}

func restoreCheckpoint(a *api, w http.ResponseWriter, c *call) error {
	var which Numbered
	if err := c.decode(&which, false); err != nil {
		return err
	}
	unlock, err := a.startState(c)
	if err != nil {
		return err
	}
	defer unlock()
	at, err := a.o.Checkpoints.Restore(c.Context(), which.Number)
	switch {
	case errors.Is(err, ErrNoCheckpoint):
		return problem("not-found", "there is no such checkpoint that can be used")
	case err != nil:
		return err
	}
	return writeJSON(w, http.StatusOK, at)
}
