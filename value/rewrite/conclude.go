package rewrite

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// conclude ends a complete pass: it drops the dictionaries that nobody needs any more.
func (r *run) conclude(ctx context.Context) error {
	var server string
	var moves int64
	err := r.retry(ctx, func() (err error) {
		server, moves, err = r.server(ctx)
		return err
	})
	if err == nil && server != r.state.Upstream {
		err = errOtherServer
	}
	if err == nil {
		err = r.drop(ctx, moves)
	}
	if err != nil {
		return err
	}
	r.state.Finished = time.Now().UTC()
	return r.save(ctx)
}

// drop drops the dictionaries that were retired when the pass began and that no
// value was seen to need. A value that was renamed while the scan went on may have
// gone past it, so a single renaming in the whole upstream keeps all of them: they are small,
// and without them values are lost.
func (r *run) drop(ctx context.Context, moves int64) error {
	s := &r.state
	var unused []string
	for _, id := range s.Retired {
		if s.Dicts[id] == 0 && !slices.Contains(s.Dropped, id) {
			unused = append(unused, id)
		}
	}
	if r.Drop == nil || len(unused) == 0 {
		return nil
	}
	if s.Dicts[others] > 0 {
		s.Kept = fmt.Sprintf("values seem to need more dictionaries than can be counted: %d unused ones are kept", len(unused))
		return nil
	}
	if moves != s.Moves {
		s.Kept = fmt.Sprintf("keys were renamed, copied or restored in the upstream meanwhile, so that values may not have been seen: %d unused dictionaries are kept", len(unused))
		return nil
	}
	for _, id := range unused {
		n, err := strconv.ParseUint(id, 16, 32)
		if err != nil {
			return fmt.Errorf("the state of the job is damaged: dictionary %q", id)
		}
		if err := r.Drop(ctx, uint32(n)); err != nil {
			return fmt.Errorf("dropping dictionary %s: %w", id, err)
		}
		s.Dropped = append(s.Dropped, id)
	}
	return nil
}
