package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a Keeper works with.
type Options struct {
	Interval time.Duration // between two checkpoints; 0: none by itself
	Keep     int           // how many are kept

	// Take returns what is to be saved.
	Take func(ctx context.Context) ([]byte, error)
	// Restore takes it over again. What it does not understand is an error.
	Restore func(ctx context.Context, info Info, body []byte) error
}

// Keeper has checkpoints written every few minutes. It is a prometheus.Collector.
type Keeper struct {
	store   *Store
	o       Options
	metrics *metrics

	saving  sync.Mutex // one at a time
	changed chan time.Duration
	cancel  context.CancelFunc
	ended   sync.WaitGroup
}

// NewKeeper begins to write checkpoints to a store. Close has to be called in the end.
func NewKeeper(s *Store, o Options) *Keeper {
	k := &Keeper{store: s, o: o, metrics: newMetrics(), changed: make(chan time.Duration, 1)}
	s.Keep(o.Keep)
	var ctx context.Context
	ctx, k.cancel = context.WithCancel(context.Background())
	k.ended.Go(func() { k.run(ctx, o.Interval) })
	return k
}

func (k *Keeper) run(ctx context.Context, interval time.Duration) {
	for {
		var due <-chan time.Time
		if interval > 0 {
			due = time.After(interval)
		}
		select {
		case <-ctx.Done():
			return
		case interval = <-k.changed:
		case <-due:
			k.Save(ctx) // an error is in the log
		}
	}
}

// Apply changes how often checkpoints are written, and how many are kept.
func (k *Keeper) Apply(interval time.Duration, keep int) {
	k.store.Keep(keep)
	select {
	case <-k.changed: // which was not taken yet
	default:
	}
	select {
	case k.changed <- interval:
	default: // somebody else is changing it at this moment
	}
}

// Save writes a checkpoint now.
func (k *Keeper) Save(ctx context.Context) (info Info, err error) {
	k.saving.Lock()
	defer k.saving.Unlock()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error: %v", p)
			slog.Error("panic in a checkpoint", "panic", p, "stack", string(debug.Stack()))
		}
		k.metrics.saved(info, err)
		if err != nil && !errors.Is(err, context.Canceled) {
			slog.Error("the checkpoint could not be written", "error", err)
		}
	}()
	begun := time.Now()
	body, err := k.o.Take(ctx)
	if err != nil {
		return Info{}, err
	}
	info, err = k.store.Save(begun, body)
	if err != nil {
		return Info{}, err
	}
	took := time.Since(begun)
	k.metrics.duration.Observe(took.Seconds())
	slog.Debug("checkpoint", "number", info.Number, "bytes", info.Size, "took", took)
	return info, nil
}

// Restore takes over the checkpoint with that number; 0: the youngest one that can be used.
// The error may be ErrNone or ErrDamaged.
func (k *Keeper) Restore(ctx context.Context, number uint64) (Info, error) {
	use := func(info Info, body []byte) error { return k.o.Restore(ctx, info, body) }
	if number == 0 {
		return k.store.Latest(use)
	}
	info, body, err := k.store.Read(number)
	if err == nil {
		err = use(info, body)
	}
	return info, err
}

// List describes the checkpoints that there are, the youngest first.
func (k *Keeper) List() ([]Info, error) { return k.store.List() }

// Close ends the checkpoints every few minutes. Save still works.
func (k *Keeper) Close() {
	k.cancel()
	k.ended.Wait()
}

// Describe implements prometheus.Collector.
func (k *Keeper) Describe(ch chan<- *prometheus.Desc) { k.metrics.Describe(ch) }

// Collect implements prometheus.Collector.
func (k *Keeper) Collect(ch chan<- prometheus.Metric) { k.metrics.Collect(ch) }
