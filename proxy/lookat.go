package proxy

import (
	"context"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/command"
	"riptide-proxy/namespace"
)

// What a command that amplifies writes can not be measured where it is part of a
// transaction, or has to be rewritten. Then it is charged with what it reads, which is
// looked at first.

// looked is what the command that a session is about to run can write.
type looked struct {
	cmd  *command.Command
	size int64
}

// restoreRatio is how much longer than a RESTORE its value is taken to be: the
// dump may be compressed.
const restoreRatio = 20

// measurable reports whether a command can be measured.
func (s *session) measurable(cmd *command.Command, r *namespace.Request) bool {
	h := &handlers[cmd.Handler]
	return s.pin == nil && s.tx == nil && h.slow == nil && s.w.srv.keeper.measures() &&
		(s.mode&modeValues == 0 || !s.stats.values.inside(cmd, r))
}

// lookAt finds out what a command can write. The session goes on when that is known.
func (s *session) lookAt(cmd *command.Command, r *namespace.Request) {
	w := s.w
	w.indexes, _ = cmd.Prefixed(w.indexes[:0], r)
	keys := stored(r, w.indexes, s.prefix)
	found := &looked{cmd: cmd}
	if cmd.Restores {
		found.size = restoreRatio * int64(len(r.Raw))
	}
	if len(keys) == 0 || !w.srv.keeper.measures() {
		s.looked = found
		w.loop.After(0, s.tryResume)
		return
	}
	client := w.srv.keeper.client
	s.async(func(ctx context.Context) func() {
		pipe := client.Pipeline()
		sizes := make([]*redis.IntCmd, len(keys))
		for i, key := range keys {
			sizes[i] = pipe.MemoryUsage(ctx, string(key))
		}
		pipe.Exec(ctx) // a key that is not there has an error, and no size
		for _, size := range sizes {
			found.size += size.Val()
		}
		return func() { s.looked = found }
	})
}
