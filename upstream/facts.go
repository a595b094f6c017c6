package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/command"
)

// Facts is what the proxy knows of the server behind it. It never changes
// once made.
type Facts struct {
	Version string // redis_version, which clients look at
	// Known says for every row of the command table whether the server has
	// the command; nil when the server can not tell.
	Known []bool
	// MaxBulk is the longest argument, in bytes, that it takes. It closes a
	// connection that sends a longer one.
	MaxBulk int
}

// DefaultMaxBulk is Redis's default for proto-max-bulk-len.
const DefaultMaxBulk = 512 << 20

// Probe asks the server what it is.
func Probe(ctx context.Context, c *redis.Client) (*Facts, error) {
	info, err := c.Info(ctx, "server").Result()
	if err != nil && !isCommandError(err) {
		return nil, err
	}
	f := &Facts{Version: infoField(info, "redis_version"), MaxBulk: DefaultMaxBulk}
	if v, err := c.ConfigGet(ctx, "proto-max-bulk-len").Result(); err == nil {
		if n, err := strconv.Atoi(v["proto-max-bulk-len"]); err == nil && n > 0 {
			f.MaxBulk = n
		}
	} else if !isCommandError(err) {
		return nil, err
	}
	reply, err := c.Do(ctx, "COMMAND").Slice()
	if err != nil {
		if isCommandError(err) {
			return f, nil
		}
		return nil, err
	}
	known := make([]bool, command.Count())
	found := 0
	for _, row := range reply {
		found += mark(known, row)
	}
	if found > 0 {
		f.Known = known
	}
	return f, nil
}

// isCommandError tells a server that does not have the command, or does not
// let the proxy's user run it, from one that can not be reached.
func isCommandError(err error) bool {
	return strings.HasPrefix(err.Error(), "ERR ") || strings.HasPrefix(err.Error(), "NOPERM ")
}

// mark notes one row of COMMAND's reply, and the rows of its subcommands,
// which are its tenth element.
func mark(known []bool, row any) int {
	fields, ok := row.([]any)
	if !ok || len(fields) < 6 {
		return 0
	}
	name, ok := fields[0].(string)
	if !ok {
		return 0
	}
	container, sub, isSub := strings.Cut(name, "|")
	cmd := command.Lookup([]byte(container))
	if cmd != nil && isSub {
		cmd = cmd.Sub([]byte(sub))
	}
	if cmd == nil {
		return 0
	}
	known[cmd.ID] = true
	if len(fields) >= 10 {
		if subs, ok := fields[9].([]any); ok {
			for _, s := range subs {
				mark(known, s)
			}
		}
	}
	return 1
}

func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

const (
	healthPeriod  = time.Second
	healthTimeout = 3 * time.Second
)

// Watch keeps an eye on the server until ctx ends. It calls changed with the
// server's facts when the server is found, or found again, and with nil when it
// stops answering.
func Watch(ctx context.Context, c *redis.Client, changed func(*Facts)) {
	up := false
	for {
		if err := look(ctx, c, up, changed); err != nil && ctx.Err() == nil {
			if up {
				slog.Error("the upstream fails its health check", "error", err)
				changed(nil)
			}
			up = false
		} else {
			up = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(healthPeriod/2 + rand.N(healthPeriod/2)):
		}
	}
}

func look(ctx context.Context, c *redis.Client, up bool, changed func(*Facts)) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	if err := c.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	if up {
		return nil
	}
	f, err := Probe(ctx, c)
	if err != nil {
		return err
	}
	changed(f)
	return nil
}
