package rewrite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// lock keeps a tenant's jobs from running at the same time: one that makes plain
// and one that seals would never end.
type lock struct {
	client *redis.Client
	flags  bool // the upstream takes scripts with flags
	root   string
	value  string // a token, and who holds it
}

const (
	// lockTime is after what time the lock of a process that crashed is free.
	lockTime = 30 * time.Second
	// lockAgain is how often it is made longer.
	lockAgain = 10 * time.Second
)

func lockKey(root string) string { return root + "jobs:lock" }

func takeLock(ctx context.Context, client *redis.Client, flags bool, root string, job Job) (*lock, error) {
	host, _ := os.Hostname()
	l := &lock{client, flags, root, fmt.Sprintf("%s %s by process %d on %s", rand.Text(), job, os.Getpid(), host)}
	err := take.get(flags).Run(ctx, client, []string{lockKey(root)}, l.value, lockTime.Milliseconds()).Err()
	if errors.Is(err, redis.Nil) {
		holder, err := client.GetRange(ctx, lockKey(root), 0, 255).Result()
		if err != nil {
			return nil, err
		}
		_, who, _ := strings.Cut(holder, " ")
		return nil, &RunningError{strings.Trim(strconv.Quote(who), `"`)}
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

var (
	take   = newScript(`return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])`)
	extend = newScript(`local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if ARGV[3] then redis.call('HSET', KEYS[2], ARGV[3], ARGV[4]) end
return 1`)
	unlock = newScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1`)
)

// save writes the state of a job and makes the lock longer, if nobody else has
// it. A server that was restarted may have forgotten it.
func (l *lock) save(ctx context.Context, job Job, state []byte) error {
	return l.extend(ctx, string(job), state)
}

func (l *lock) extend(ctx context.Context, more ...any) error {
	args := append([]any{l.value, lockTime.Milliseconds()}, more...)
	held, err := extend.get(l.flags).Run(ctx, l.client, []string{lockKey(l.root), jobsKey(l.root)}, args...).Int()
	if err == nil && held == 0 {
		err = ErrLockLost
	}
	return err
}

// keep makes the lock longer until the function that it returns is called. When
// the lock is lost it cancels the work.
func (l *lock) keep(ctx context.Context, cancel context.CancelCauseFunc) (end func()) {
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(lockAgain)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				// Out of reach is not lost: then the work waits as well.
				if err := l.extend(ctx); errors.Is(err, ErrLockLost) {
					cancel(err)
					return
				}
			}
		}
	}()
	return func() {
		stop()
		<-done
	}
}

// release frees the lock for others.
func (l *lock) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockTime)
	defer cancel()
	// If that fails, it is free after lockTime.
	unlock.plain.Run(ctx, l.client, []string{lockKey(l.root)}, l.value)
}
