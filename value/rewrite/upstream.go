package rewrite

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// errOtherServer: the connection leads to another process than before. Its hash
// tables are ordered otherwise, so the cursor means nothing to it.
var errOtherServer = errors.New("the upstream was restarted, or another one has taken over")

// longestOutage is how long the upstream may be out of reach before a run gives up.
// Its state is kept, and the next run goes on. A variable for the tests.
var longestOutage = time.Minute

// retry calls f until it works or fails for good. Everything that is done may
// be done twice: what was replaced already is found to have changed.
func (r *run) retry(ctx context.Context, f func() error) error {
	err := f()
	if !transient(err) {
		return err
	}
	giveUp := time.Now().Add(longestOutage)
	for wait := 50 * time.Millisecond; transient(err); wait = min(2*wait, 5*time.Second) {
		if time.Now().After(giveUp) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		err = f()
	}
	return err
}

// transient tells whether trying again may help.
func transient(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, ErrLockLost) || errors.Is(err, errOtherServer) {
		return false
	}
	var reply redis.Error
	if !errors.As(err, &reply) {
		return true // the network
	}
	word, _, _ := strings.Cut(reply.Error(), " ")
	switch word {
	case "LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN":
		return true
	}
	return false
}

// pipe sends commands together. Its error is none of theirs, which each of them keeps.
func (r *run) pipe(ctx context.Context, fill func(redis.Pipeliner)) error {
	return r.retry(ctx, func() error {
		cmds, err := r.Client.Pipelined(ctx, func(p redis.Pipeliner) error { fill(p); return nil })
		if err == nil {
			return nil
		}
		for _, cmd := range cmds {
			var reply redis.Error
			if err := cmd.Err(); err != nil && (!errors.As(err, &reply) || transient(err)) {
				return err
			}
		}
		return nil
	})
}

// gone tells whether a key has vanished since it was seen, or become something
// else: what it is now was written just now. fatal is any other error.
func gone(err error) (is bool, fatal error) {
	if err == nil {
		return false, nil
	}
	if errors.Is(err, redis.Nil) || strings.HasPrefix(err.Error(), "WRONGTYPE") {
		return true, nil
	}
	return false, err
}

// server identifies the upstream's process, and counts how often it has given a
// stored value another name. Such a value may pass by a scan unseen.
func (r *run) server(ctx context.Context) (id string, moves int64, err error) {
	var server, stats *redis.StringCmd
	if _, err := r.Client.Pipelined(ctx, func(p redis.Pipeliner) error {
		server, stats = p.Info(ctx, "server"), p.Info(ctx, "commandstats")
		return nil
	}); err != nil {
		return "", 0, err
	}
	return processID(server.Val()), countMoves(stats.Val()), nil
}

// processID is what a server process calls itself in what INFO says about it.
func processID(info string) string {
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(line, "run_id:"); ok {
			return strings.TrimSpace(text)
		}
	}
	return ""
}

// countMoves adds up the calls of the commands that take a stored value as it is
// to another key. A script that reads one key and writes another is not among them; it gets values
// as clients know them.
func countMoves(commandstats string) (n int64) {
	for line := range strings.Lines(commandstats) {
		name, rest, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "cmdstat_"), ":calls=")
		switch name {
		case "rename", "renamenx", "copy", "move", "restore":
			calls, _, _ := strings.Cut(rest, ",")
			c, _ := strconv.ParseInt(calls, 10, 64)
			n += c
		}
	}
	return n
}

// pace keeps a run from taking more than half of the upstream's time, or more
// keys than it may.
type pace struct {
	rate int       // keys per second; 0: any number
	from time.Time // when the last rest ended
	due  time.Time // when the keys so far may have been handled
}

// longestRest bounds a rest that nobody asked for by a rate.
const longestRest = 5 * time.Second

// chunk is how many keys are handled between two rests.
func (p *pace) chunk() int {
	if p.rate == 0 {
		return 128
	}
	return min(max(p.rate/4, 1), 128)
}

// wait is how long to rest now, after so many keys more.
func (p *pace) wait(now time.Time, keys int) time.Duration {
	wait := min(now.Sub(p.from), longestRest)
	if p.rate > 0 {
		if p.due.Before(now) {
			p.due = now
		}
		p.due = p.due.Add(time.Duration(keys) * time.Second / time.Duration(p.rate))
		wait = max(wait, p.due.Sub(now))
	}
	return wait
}

// rest waits as long as has been worked since the last rest, or until the run shall end.
func (r *run) rest(keys int) {
	wait := time.NewTimer(r.pace.wait(time.Now(), keys))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-r.stop:
	}
	r.pace.from = time.Now()
}
