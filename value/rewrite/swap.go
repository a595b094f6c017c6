package rewrite

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/value"
)

// A value is replaced by a script, since only there can it be compared and
// written in one step.
const (
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

var texts, fields = newScript(swapString), newScript(swapFields)

// swap replaces values of one key.
type swap struct {
	by     *script
	key    string
	args   []any // what the script takes
	before int   // bytes
	after  int
	script *redis.Script
	cmd    *redis.Cmd
	full   error // the memory is full, and the values would become longer
}

// swapAll runs the scripts. Each of the answers has a 1 for every value that was
// replaced, and a 0 for one that had changed.
func (r *run) swapAll(ctx context.Context, swaps []*swap) error {
	todo := swaps
	for _, s := range swaps {
		s.script = s.by.get(r.flags && s.after <= s.before)
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
			case strings.HasPrefix(err.Error(), "OOM") && r.Job == Recompress && !r.Plain:
				s.full = err // others become shorter
			default:
				return fmt.Errorf("the upstream did not replace a value: %w", err)
			}
		}
		todo = missing
	}
	return nil
}

// settle counts what became of the i-th value of a swap.
func (r *run) settle(s *swap, i int, c change, name value.Name, field string) {
	if s.full != nil {
		r.fail(name, field, s.full)
		r.keep(c.before, len(c.before))
		return
	}
	r.changed(c, s.replaced(i))
}

// replaced is what the script answered about its i-th value.
func (s *swap) replaced(i int) bool {
	list, _ := s.cmd.Val().([]any)
	return i < len(list) && list[i] == int64(1)
}
