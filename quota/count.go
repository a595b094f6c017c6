package quota

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// countPage is how many keys of the upstream one step of a count looks at.
const countPage = 1000

// countBatch is how many keys are measured at once. It takes the upstream about a
// tenth of a millisecond.
const countBatch = 100

// sizes measures keys: KEYS are their names. What is gone takes nothing. Where the server does not tell, a key is taken
// to need what it has serialized, and some room for Redis's structures.
var sizes = redis.NewScript(`local s = {}
for i = 1, #KEYS do
  local n = redis.pcall('MEMORY', 'USAGE', KEYS[i])
  if type(n) == 'table' then
    local d = redis.pcall('DUMP', KEYS[i])
    if type(d) == 'string' then n = #d + #KEYS[i] + 96 else n = redis.call('EXISTS', KEYS[i]) == 1 and 96 end
  end
  s[i] = n or -1
end
return s`)

// Pace bounds how many commands per second a count sends. It is for one goroutine.
type Pace struct {
	PerSecond int64
	Beat      func() // called every beatTime; nil: nothing is
	next      time.Time
	beat      time.Time
}

const beatTime = 5 * time.Second

func (p *Pace) wait(ctx context.Context) error {
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	if p.Beat != nil && now.Sub(p.beat) > beatTime {
		p.beat = now
		p.Beat()
	}
	p.next = p.next.Add(time.Second / time.Duration(max(1, p.PerSecond)))
	d := p.next.Sub(now)
	if d < 5*time.Millisecond {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Count goes through all keys of the upstream that match a pattern, and adds up what
// they take. owner tells, for each key, whose it is, -1 for nobody's; into has a place for
// each owner. A key that is there all the time counts once.
func Count(ctx context.Context, client *redis.Client, pace *Pace, match string, owner func(key string) int, into []Amounts) error {
	seen := make(map[string]struct{})
	var batch []string
	var owners []int
	measure := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := pace.wait(ctx); err != nil {
			return err
		}
		all, err := sizes.Run(ctx, client, batch).Int64Slice()
		if err != nil {
			return err
		}
		if len(all) != len(batch) {
			return errAnswer
		}
		for i, n := range all {
			if n >= 0 {
				into[owners[i]][Bytes] += n
				into[owners[i]][Keys]++
			}
		}
		batch, owners = batch[:0], owners[:0]
		return nil
	}
	cursor := uint64(0)
	for {
		if err := pace.wait(ctx); err != nil {
			return err
		}
		keys, next, err := scan(ctx, client, cursor, match)
		if err != nil {
			return err
		}
		// The upstream may name a key twice, mostly on the same page or the next ones.
		if len(seen) > 64*countPage {
			clear(seen)
		}
		for _, k := range keys {
			o := owner(k)
			if _, twice := seen[k]; twice || o < 0 {
				continue
			}
			seen[k] = struct{}{}
			batch, owners = append(batch, k), append(owners, o)
			if len(batch) == countBatch {
				if err := measure(); err != nil {
					return err
				}
			}
		}
		if next == 0 {
			return measure()
		}
		cursor = next
	}
}

func scan(ctx context.Context, client *redis.Client, cursor uint64, match string) (keys []string, next uint64, err error) {
	args := []any{"SCAN", strconv.FormatUint(cursor, 10), "COUNT", countPage}
	if match != "" {
		args = append(args, "MATCH", match)
	}
	reply, err := client.Do(ctx, args...).Slice()
	if err != nil {
		return nil, 0, err
	}
	if len(reply) == 2 {
		text, _ := reply[0].(string)
		list, isList := reply[1].([]any)
		for _, k := range list {
			if key, isString := k.(string); isString {
				keys = append(keys, key)
			}
		}
		if next, err = strconv.ParseUint(text, 10, 64); err == nil && isList && len(keys) == len(list) {
			return keys, next, nil
		}
	}
	return nil, 0, fmt.Errorf("SCAN: %w", errAnswer)
}

// Counting is a count of one tenant's keys that others may change meanwhile.
type Counting struct {
	grown Amounts
	start time.Time
}

// countLag is for how long what was reported last may still be on its way to the keys.
const countLag = 50 * time.Millisecond

// BeginCounts begins counts of several tenants. It is to be called before the first key is
// looked at, and lets what was reported before arrive there.
func BeginCounts(ctx context.Context, client redis.Cmdable, roots [][]byte) ([]Counting, error) {
	counts, err := grownSoFar(ctx, client, roots)
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(countLag):
		return counts, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// grownSoFar reads what tenants' keys ever grew by.
func grownSoFar(ctx context.Context, client redis.Cmdable, roots [][]byte) ([]Counting, error) {
	all, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, root := range roots {
			p.HMGet(ctx, SpaceKey(root), "g1", "g2")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	counts, start := make([]Counting, len(roots)), time.Now()
	for n, one := range all {
		counts[n].start = start
		for i, v := range one.(*redis.SliceCmd).Val() {
			if text, ok := v.(string); ok && i < Resources {
				grown, _ := strconv.ParseFloat(text, 64)
				counts[n].grown[i] = int64(grown)
			}
		}
	}
	return counts, nil
}

// End puts what was counted in the place of what was reported until the count began.
func (c *Counting) End(ctx context.Context, client redis.Scripter, root []byte, found Amounts) error {
	return countedScript.Run(ctx, client, []string{SpaceKey(root)},
		found[Bytes], found[Keys], c.grown[Bytes], c.grown[Keys], time.Since(c.start).Milliseconds()).Err()
}

// stillCounting says so unless the count has been given up meanwhile.
var stillCounting = redis.NewScript(`if redis.call('HEXISTS', KEYS[1], 'counting') == 0 then return 0 end
local t = redis.call('TIME')
return redis.call('HSET', KEYS[1], 'counting', t[1] * 1000 + math.floor(t[2] / 1000))`)

// StillCounting keeps others from counting the same tenant's keys, as they would if nothing was heard
// of the count for 15 s.
func StillCounting(ctx context.Context, client redis.Scripter, root []byte) error {
	return stillCounting.Run(ctx, client, []string{SpaceKey(root)}).Err()
}
