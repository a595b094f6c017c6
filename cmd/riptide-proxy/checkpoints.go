package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"riptide-proxy/admin"
	"riptide-proxy/checkpoint"
	"riptide-proxy/config"
	"riptide-proxy/proxy"
)

// state is what the process keeps of itself in state_dir. Its zero value keeps nothing.
type state struct {
	store  *checkpoint.Store
	found  *proxy.State // of an earlier process; nil: none
	keeper *checkpoint.Keeper
}

// openState finds what an earlier process has left. What is damaged is skipped.
func openState(cfg *config.Config) (*state, error) {
	if cfg.StateDir == "" {
		return &state{}, nil
	}
	store, err := checkpoint.Open(cfg.StateDir, cfg.Checkpoint.Keep)
	if err != nil {
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	s := &state{store: store}
	info, err := store.Latest(func(_ checkpoint.Info, body []byte) (err error) {
		s.found, err = proxy.ParseState(body)
		return err
	})
	switch {
	case err == nil:
		slog.Info("there is a checkpoint", "number", info.Number, "at", info.At, "bytes", info.Size)
	case !errors.Is(err, checkpoint.ErrNone):
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	return s, nil
}

// keep begins to write checkpoints of a server.
func (s *state) keep(cfg *config.Config, srv *proxy.Server) {
	if s.store == nil {
		return
	}
	s.found = nil // it is taken over
	s.keeper = checkpoint.NewKeeper(s.store, checkpoint.Options{
		Interval: time.Duration(cfg.Checkpoint.Interval),
		Keep:     cfg.Checkpoint.Keep,
		Take: func(context.Context) ([]byte, error) {
			now, err := srv.State()
			if err != nil {
				return nil, err
			}
			return now.Encode()
		},
		Restore: func(_ context.Context, _ checkpoint.Info, body []byte) error {
			then, err := proxy.ParseState(body)
			if err != nil {
				return err
			}
			return srv.Restore(then)
		},
	})
}

// apply takes over what can be changed while the process runs.
func (s *state) apply(cfg *config.Config) {
	if s.keeper != nil {
		s.keeper.Apply(time.Duration(cfg.Checkpoint.Interval), cfg.Checkpoint.Keep)
	}
}

// save writes a checkpoint, if any are kept.
func (s *state) save() {
	if s.keeper != nil {
		s.keeper.Save(context.Background()) // an error is in the log
	}
}

// close ends the checkpoints.
func (s *state) close() {
	if s.keeper != nil {
		s.keeper.Close()
	}
}

// metrics are those of checkpoints.
func (s *state) metrics() []prometheus.Collector {
	if s.keeper == nil {
		return nil
	}
	return []prometheus.Collector{s.keeper}
}

// checkpoints are what the admin listener does with them; nil if none are kept.
func (s *state) checkpoints() admin.Checkpoints {
	if s.keeper == nil {
		return nil
	}
	return keeper{s.keeper}
}

// keeper is a Keeper in the admin listener's words.
type keeper struct{ of *checkpoint.Keeper }

func (k keeper) Save(ctx context.Context) (admin.Checkpoint, error) {
	info, err := k.of.Save(ctx)
	return told(info), err
}

func (k keeper) Restore(ctx context.Context, number uint64) (admin.Checkpoint, error) {
	info, err := k.of.Restore(ctx, number)
	if errors.Is(err, checkpoint.ErrNone) {
		err = admin.ErrNoCheckpoint
	}
	return told(info), err
}

// List implements admin.Checkpoints. Those that can be seen to be damaged are left out.
func (k keeper) List() ([]admin.Checkpoint, error) {
	infos, err := k.of.List()
	all := make([]admin.Checkpoint, 0, len(infos))
	for _, info := range infos {
		if !info.Damaged {
			all = append(all, told(info))
		}
	}
	return all, err
}

func told(i checkpoint.Info) admin.Checkpoint {
	return admin.Checkpoint{Number: i.Number, At: i.At, Bytes: i.Size}
}
