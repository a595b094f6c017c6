// Package rewrite goes through all values that a tenant has stored and seals
// them anew: as the configuration says now (recompress), with the current key
// (rekey), or not at all (recompress, plain).
//
// It runs beside the proxies that serve the tenant. Each value is replaced only
// if it still is what was read, in one step of the upstream; if not, somebody
// has just written it, and sealed it as the configuration says. A run that was
// broken off goes on where it was.
package rewrite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/value"
)

// Job is what a run is for.
type Job string

const (
	// Recompress opens every value and seals it as the configuration says now.
	Recompress Job = "recompress"
	// Rekey seals what is not encrypted with the current key by the current cipher,
	// and reads of other values only how they begin.
	Rekey Job = "rekey"
)

// jobs are all there are.
var jobs = [...]Job{Recompress, Rekey}

// Options are what a run needs. Those without a word on their absence must be there.
type Options struct {
	// Client reaches the upstream. Nothing in it needs to be retried: Run does.
	Client *redis.Client

	// Root is what all keys of the tenant begin with: "t:<tenant>:".
	Root string

	// Codec opens and seals the tenant's values.
	Codec *value.Codec

	Job Job

	// Plain has Recompress leave all values as the clients know them.
	Plain bool

	// Config identifies the configuration that Codec follows. What a run with another one has
	// done does not count: it begins anew.
	Config string

	// Restart begins anew in any case.
	Restart bool

	// Rate is how many keys are handled each second at most. 0: no limit but that
	// the run always rests as long as it has worked.
	Rate int

	// Retired lists the dictionaries that may be dropped once no value needs
	// them: no proxy may write with them any more, also none that hears late of
	// changes. Drop drops one. Nil: none is dropped.
	Retired func(ctx context.Context) ([]uint32, error)
	Drop    func(ctx context.Context, id uint32) error

	// Reload gives Codec the dictionaries that there are now. It is called when a
	// value needs one that Codec does not have. Nil: such a value is not opened.
	Reload func(ctx context.Context) error

	// Progress is told where the run begins, and then how far it is each time that Every (default 5s) has
	// passed. Nil: nobody.
	Progress func(State)
	Every    time.Duration
}

var (
	// ErrInterrupted: the context of Run ended. The next run goes on.
	ErrInterrupted = errors.New("interrupted; the next run goes on from here")
	// ErrLockLost: somebody else may have begun, since the upstream was out of reach for too long.
	ErrLockLost = errors.New("the lock of the job was lost; the next run goes on from what was last saved")
)

// RunningError is about a tenant for whom a job runs already.
type RunningError struct{ Holder string }

func (e *RunningError) Error() string {
	return "a job of this tenant runs already: " + e.Holder + " (if it has crashed, its lock ends within 30s)"
}

// Run goes through all of a tenant's values, or through those that an earlier
// run has left. The state is how far it came, also with an error. When ctx ends,
// Run finishes the keys at hand and returns an error that is ErrInterrupted.
func Run(ctx context.Context, o Options) (State, error) {
	r, err := newRun(o)
	if err != nil {
		return State{}, err
	}
	// What is under way may go on for a little when ctx ends, so that figures and
	// cursor fit each other.
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(grace):
			cancel(ErrInterrupted)
		case <-work.Done():
		}
	})()
	if r.flags, err = knowsFlags(work, o.Client); err != nil {
		return State{}, err
	}
	lock, err := takeLock(work, o.Client, r.flags, o.Root, o.Job)
	if err != nil {
		return State{}, err
	}
	defer lock.release(work)
	defer lock.keep(work, cancel)()
	r.lock = lock

	r.stop = ctx.Done()
	err = r.all(ctx, work)
	if cause := context.Cause(work); err != nil && cause != nil {
		err = cause
	}
	return r.state, err
}

// grace is how long a run may work on after it was told to stop.
const grace = 5 * time.Second

// newRun checks the options.
func newRun(o Options) (*run, error) {
	switch {
	case o.Codec == nil:
		return nil, errors.New("there is no codec")
	case o.Job != Recompress && o.Job != Rekey:
		return nil, fmt.Errorf("there is no job %q", o.Job)
	case o.Plain && o.Job != Recompress:
		return nil, errors.New("only recompress makes values plain")
	}
	r := &run{Options: o, pace: pace{rate: o.Rate}}
	if r.Every == 0 {
		r.Every = 5 * time.Second
	}
	if o.Job == Rekey {
		// An empty value shows what the codec encrypts with.
		probe, _ := o.Codec.Seal(&r.counters, nil, nil, value.Name{})
		if r.now, _, _ = value.ParseHeader(probe); r.now.Cipher == value.NoCipher {
			return nil, errors.New("there is no key to encrypt with; to decrypt use recompress")
		}
	}
	return r, nil
}

// run is one call of Run.
type run struct {
	Options
	state State
	lock  *lock
	pace  pace
	stop  <-chan struct{} // closed when Run shall end

	now      value.Header // Rekey: how it shall be
	counters value.Counters
	flags    bool // the upstream takes scripts with flags

	saved, told, worked, reloaded time.Time
}

// all does complete passes until one was not cut in two by the upstream.
func (r *run) all(stop, work context.Context) error {
	for {
		if err := r.begin(work); err != nil {
			return err
		}
		err := r.pass(stop, work)
		if err == nil {
			err = r.conclude(work)
		}
		if !errors.Is(err, errOtherServer) {
			return err
		}
		r.Restart, r.state = true, State{}
	}
}

// pass scans from the state's cursor to the end.
func (r *run) pass(stop, work context.Context) error {
	for {
		if stop.Err() != nil {
			if err := r.save(work); err != nil {
				return err
			}
			return ErrInterrupted
		}
		before := r.state.clone()
		next, err := r.scan(work)
		if err != nil {
			// The figures of half a page would not fit the cursor.
			r.state = before
			return err
		}
		r.state.Cursor = next
		if next == 0 {
			return nil
		}
		if err := r.report(work); err != nil {
			return err
		}
	}
}

// report saves the state and tells of it, if it is time to.
func (r *run) report(work context.Context) error {
	now := time.Now()
	if r.Progress != nil && now.Sub(r.told) >= r.Every {
		r.told = now
		r.Progress(r.state.clone())
	}
	if now.Sub(r.saved) < saveEvery {
		return nil
	}
	return r.save(work)
}

// saveEvery is how much work is done twice at most after a crash.
const saveEvery = time.Second
