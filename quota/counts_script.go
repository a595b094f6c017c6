package quota

import (
	"context"
	_ "embed"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed counts.lua
var countsLua string

var countsScript = redis.NewScript(countsLua)

// countAsk is a request for one tenant.
type countAsk struct {
	c        *Counts
	sequence uint64
	need     [Counted]uint32
	extra    [Counted]uint32
}

// countAnswer is what the upstream says to it.
type countAnswer struct {
	proxies int64
	granted [Counted]uint32
	others  [Counted]int64
	old     bool
}

var errCounts = errors.New("the script that counts returned something else")

// runCounts asks the upstream.
func runCounts(ctx context.Context, client redis.UniversalClient, id string, asks []countAsk) ([]countAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	results, err := pipeCounts(ctx, client, id, asks)
	if err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") {
		if err = countsScript.Load(ctx, client).Err(); err == nil {
			results, err = pipeCounts(ctx, client, id, asks)
		}
	}
	if err != nil {
		return nil, err
	}
	answers := make([]countAnswer, len(asks))
	for i, cmd := range results {
		n, err := cmd.Int64Slice()
		if err != nil {
			return nil, err
		}
		x := &answers[i]
		if len(n) == 0 {
			x.old = true
			continue
		}
		if len(n) != 1+2*int(Counted) {
			return nil, errCounts
		}
		x.proxies = n[0]
		for r := range Counted {
			x.granted[r], x.others[r] = uint32(n[2*r+1]), n[2*r+2]
		}
	}
	return answers, nil
}

func pipeCounts(ctx context.Context, client redis.UniversalClient, id string, asks []countAsk) ([]*redis.Cmd, error) {
	results := make([]*redis.Cmd, len(asks))
	_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, a := range asks {
			args := []any{id, a.sequence, countSilence.Milliseconds()}
			for r := range Counted {
				args = append(args, a.c.Limit(Resource(r)), a.need[r], a.extra[r])
			}
			results[i] = countsScript.EvalSha(ctx, p, []string{a.c.key}, args...)
		}
		return nil
	})
	return results, err
}
