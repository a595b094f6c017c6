package rewrite

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// allowOOM is a flag (Redis 7 and later) that lets a script write although the
// memory is full. It is for values that become shorter, since compressing may be
// what the operator does just because of that, and for the state of the job.
const allowOOM = "#!lua flags=allow-oom\n"

// script is a script with and without the flag.
type script struct{ plain, flagged *redis.Script }

func newScript(text string) *script {
	return &script{redis.NewScript(text), redis.NewScript(allowOOM + text)}
}

func (s *script) get(flagged bool) *redis.Script {
	if flagged {
		return s.flagged
	}
	return s.plain
}

// knowsFlags finds out whether the upstream takes scripts with flags.
func knowsFlags(ctx context.Context, client *redis.Client) (bool, error) {
	err := extend.flagged.Load(ctx, client).Err()
	var reply redis.Error
	if errors.As(err, &reply) && !transient(err) {
		return false, nil
	}
	return err == nil, err
}
