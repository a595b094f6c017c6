package quota

import (
	"context"
	_ "embed"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// What a tenant's keys take is known from counting them all now and then, and in
// between from what proxies report. Each proxy has an allowance, which counts as
// used: as long as all keep to theirs, the limit holds whatever they do at once.
//
// Well below the limit a write takes as much of the allowance as it can make the
// keys grow by at most, and some are measured to find out how much of that is
// true. From exactShare on every write is measured.

// Resources are what a Report and a Grant have figures of.
const (
	Bytes     = iota // as MEMORY USAGE tells
	Keys             // over all databases
	Resources        // how many there are
)

// Amounts are figures by resource.
type Amounts [Resources]int64

// Report is what a proxy has done since its last one, and what it needs.
type Report struct {
	Proxy   string
	Count   int64   // Grant.Count of the last grant
	Limit   Amounts // 0: none
	Held    Amounts // allowance that is left
	Spent   Amounts // of the allowance since the last one
	Settled Amounts // how much of that is really taken
	Freed   Amounts // by deletions that were measured
	Needed  Amounts // at least, for those who wait; nothing is granted if there is less
	Wanted  Amounts // at best
	Guessed Amounts // of what is settled: without being measured
	Pressed bool    // somebody is refused
	Unsure  bool    // something was written that was not measured
	Hasty   bool    // likewise, and nobody knows how much it is
}

// Grant is the answer.
type Grant struct {
	Granted Amounts
	Used    Amounts // by all, allowances included
	Lent    Amounts // allowances of other proxies
	Rest    Amounts // that could have been granted in addition
	Count   int64   // how many times all keys were counted
	Exact   bool    // every write is to be measured
	Doubt   bool    // there may be what is needed: a count will tell
	Recount bool    // this proxy is to count all keys now
}

//go:embed space.lua
var spaceText string

//go:embed counted.lua
var countedText string

var (
	spaceScript   = redis.NewScript(spaceText)
	countedScript = redis.NewScript(countedText)
)

// SpaceKey is where the figures of the tenant with that root are.
func SpaceKey(root []byte) string { return string(root) + "space" }

var errAnswer = errors.New("quota: the upstream's answer makes no sense")

// Draw reports and asks for more.
func (r *Report) Draw(ctx context.Context, client redis.Scripter, root []byte) (*Grant, error) {
	args := []any{r.Proxy, r.Count, flag(r.Pressed), flag(r.Unsure || r.Hasty), flag(r.Hasty)}
	for i := range Resources {
		args = append(args, r.Limit[i], r.Held[i], r.Spent[i], r.Settled[i], r.Freed[i], r.Needed[i], r.Wanted[i], r.Guessed[i])
	}
	v, err := spaceScript.Run(ctx, client, []string{SpaceKey(root)}, args...).Int64Slice()
	if err != nil {
		return nil, err
	}
	if len(v) != 12 {
		return nil, errAnswer
	}
	return &Grant{
		Granted: Amounts{v[0], v[1]}, Used: Amounts{v[2], v[3]}, Count: v[4], Exact: v[5] == 1, Recount: v[6] == 1, Lent: Amounts{v[7], v[8]}, Doubt: v[9] == 1, Rest: Amounts{v[10], v[11]},
	}, nil
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Space is what is known of a tenant's keys without counting them.
type Space struct {
	Used    Amounts   // what is there, as far as is known
	Counted Amounts   // what they were when they were counted last
	At      time.Time // when that was; zero: never
}

// ReadSpaces reads it of several tenants.
func ReadSpaces(ctx context.Context, client redis.Cmdable, roots [][]byte) ([]Space, error) {
	all, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, root := range roots {
			p.HGetAll(ctx, SpaceKey(root))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	spaces := make([]Space, len(all))
	for i, c := range all {
		spaces[i] = parseSpace(c.(*redis.MapStringStringCmd).Val())
	}
	return spaces, nil
}

// release gives a lock back that is still one's own.
var release = redis.NewScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`)

// Release gives a lock back, which is a key with its owner's name.
func Release(ctx context.Context, client redis.Scripter, key, owner string) error {
	return release.Run(ctx, client, []string{key}, owner).Err()
}

func parseSpace(h map[string]string) (s Space) {
	number := func(text string) int64 {
		n, _ := strconv.ParseFloat(text, 64)
		return int64(n)
	}
	s.Used = Amounts{number(h["b1"]), number(h["b2"])} // and not what proxies may still use
	s.Counted = Amounts{number(h["m1"]), number(h["m2"])}
	if at := number(h["counted"]); at > 0 {
		s.At = time.UnixMilli(at)
	}
	return s
}
