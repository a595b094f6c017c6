package rewrite

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// A value is replaced by a script, since only there can it be compared and
// written in one step. A flag (Redis 7 and later) lets the script write although
// the memory is full: this is for values that become shorter, and compressing may be what
// the operator does just because of that.
const (
	allowOOM = "#!lua flags=allow-oom\n"

	swapString = `if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return {0} end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return {1}`

	// HSET takes a field's time to live away (Redis 7.4 and later have them), so it
	// is given back. Servers without them do not know the command that asks for it.
	swapFields = `local done, ttl = {}, true
for i = 1, #ARGV, 3 do
  local field, at = ARGV[i], nil
  if redis.pcall('HGET', KEYS[1], field) == ARGV[i+1] then
    if ttl then
      at = redis.pcall('HPEXPIRETIME', KEYS[1], 'FIELDS', 1, field)
      if at.err then
        if not string.find(at.err, 'nknown') then return at end
        ttl = false
      end
    end
    redis.call('HSET', KEYS[1], field, ARGV[i+2])
    if ttl and at[1] and at[1] > 0 then
      redis.call('HPEXPIREAT', KEYS[1], string.format('%.0f', at[1]), 'FIELDS', 1, field)
    end
    done[#done+1] = 1
  else
    done[#done+1] = 0
  end
end
return done`
)

// swapper is a script with and without the flag.
type swapper struct{ any, shrinking *redis.Script }

func newSwapper(text string) *swapper {
	return &swapper{redis.NewScript(text), redis.NewScript(allowOOM + text)}
}

var texts, fields = newSwapper(swapString), newSwapper(swapFields)

// flags is whether the upstream knows flags of scripts.
type flags int

const (
	notAsked flags = iota
	known
	unknown
)

// swap replaces values of one key.
type swap struct {
	by     *swapper
	key    string
	args   []any // what the script takes
	before int   // bytes
	after  int
	script *redis.Script
	cmd    *redis.Cmd
}

// swapAll runs the scripts. Each of the answers has a 1 for every value that was
// replaced, and a 0 for one that had changed.
func (r *run) swapAll(ctx context.Context, swaps []*swap) error {
	if r.flags == notAsked {
		if err := r.askFlags(ctx); err != nil {
			return err
		}
	}
	todo := swaps
	for _, s := range swaps {
		s.script = s.by.any
		if s.after <= s.before && r.flags == known {
			s.script = s.by.shrinking
		}
	}
	for try := 0; len(todo) > 0; try++ {
		err := r.pipe(ctx, func(p redis.Pipeliner) {
			for _, s := range todo {
				if try == 0 {
					s.cmd = s.script.EvalSha(ctx, p, []string{s.key}, s.args...)
				} else {
					s.cmd = s.script.Eval(ctx, p, []string{s.key}, s.args...)
				}
			}
		})
		if err != nil {
			return err
		}
		var missing []*swap
		for _, s := range todo {
			switch err := s.cmd.Err(); {
			case err == nil:
			case try == 0 && strings.HasPrefix(err.Error(), "NOSCRIPT"):
				missing = append(missing, s)
			default:
				return fmt.Errorf("the upstream did not replace a value: %w", err)
			}
		}
		todo = missing
	}
	return nil
}

// askFlags finds out whether the upstream takes scripts with flags.
func (r *run) askFlags(ctx context.Context) error {
	var load *redis.StringCmd
	err := r.pipe(ctx, func(p redis.Pipeliner) { load = texts.shrinking.Load(ctx, p) })
	if err != nil {
		return err
	}
	r.flags = known
	if load.Err() != nil {
		r.flags = unknown
	}
	return nil
}

// replaced is what the script answered about its i-th value.
func (s *swap) replaced(i int) bool {
	list, _ := s.cmd.Val().([]any)
	return i < len(list) && list[i] == int64(1)
}
