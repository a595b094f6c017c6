package upstream

import (
	"context"
	"errors"
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
	Server  string // what it calls itself: redis, valkey
	Version string // of that, which clients look at
	// RedisVersion is the version of Redis that it is compatible with.
	RedisVersion string
	// Notifies are its notify-keyspace-events, if NotifiesKnown.
	Notifies      string
	NotifiesKnown bool
	// Known says for every row of the command table whether the server has
	// the command; nil when the server can not tell.
	Known []bool
	// MaxBulk is the longest argument, in bytes, that it takes. It closes a
	// connection that sends a longer one.
	MaxBulk int
	// MaxClients is how many connections it takes.
	MaxClients int
	// Sanitizes tells that the server checks what RESTORE gives it.
	Sanitizes bool
	// Risks say, each in a clause, in what the server is not fit for tenants: settings that let one of them harm the
	// others, a version that is too old, being a replica or a cluster's node.
	Risks []string
}

// DefaultMaxBulk is Redis's default for proto-max-bulk-len.
const DefaultMaxBulk = 512 << 20

// DefaultMaxClients is Redis's default for maxclients.
const DefaultMaxClients = 10000

// Probe asks the server what it is.
func Probe(ctx context.Context, c *redis.Client) (*Facts, error) {
	info, err := c.Info(ctx, "server").Result()
	if err != nil && !isCommandError(err) {
		return nil, err
	}
	f := &Facts{Server: "redis", Version: infoField(info, "redis_version"), MaxBulk: DefaultMaxBulk, MaxClients: DefaultMaxClients}
	f.RedisVersion = f.Version
	if name := infoField(info, "server_name"); name != "" && infoField(info, name+"_version") != "" {
		f.Server, f.Version = name, infoField(info, name+"_version")
	}
	if err := f.settings(ctx, c); err != nil {
		return nil, err
	}
	if err := f.role(ctx, c, info); err != nil {
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

// settings learns what the server does to a connection that asks for too much.
// All of it may be secret to the proxy's user; then the defaults are assumed.
func (f *Facts) settings(ctx context.Context, c *redis.Client) error {
	for _, name := range []string{"proto-max-bulk-len", "client-query-buffer-limit", "client-output-buffer-limit", "maxmemory-clients", "maxclients", "notify-keyspace-events", "sanitize-dump-payload"} {
		v, err := c.ConfigGet(ctx, name).Result()
		if err != nil {
			if isCommandError(err) {
				return nil
			}
			return err
		}
		value, given := v[name]
		switch n, err := strconv.Atoi(value); {
		case name == "proto-max-bulk-len" && err == nil && n > 0:
			f.MaxBulk = min(f.MaxBulk, n)
		case name == "maxclients" && err == nil && n > 0:
			f.MaxClients = n
		case name == "client-query-buffer-limit" && err == nil && n > 0:
			// It holds an argument, and what was read behind it.
			f.MaxBulk = min(f.MaxBulk, n-n/8)
		case name == "client-output-buffer-limit" && value != "" && !strings.Contains(value, "normal 0 0 0"),
			name == "maxmemory-clients" && value != "" && value != "0":
			f.Risks = append(f.Risks, name+" is "+value+": a tenant's large reply makes the upstream close the connection that tenants share")
		case name == "notify-keyspace-events":
			f.Notifies, f.NotifiesKnown = value, given
		case name == "sanitize-dump-payload":
			f.Sanitizes = value == "yes" || value == "clients" || value == "no" && sanitize(ctx, c)
			if !f.Sanitizes {
				f.Risks = append(f.Risks, "sanitize-dump-payload is "+value+": with a forged value for RESTORE a tenant could crash the upstream, so RESTORE is refused")
			}
		}
	}
	return nil
}

// sanitize has the server check values that clients restore, as it does not by
// default, and reports whether it does now.
func sanitize(ctx context.Context, c *redis.Client) bool {
	if err := c.ConfigSet(ctx, "sanitize-dump-payload", "clients").Err(); err != nil {
		return false
	}
	slog.Info("the upstream was told to check what clients restore", "setting", "sanitize-dump-payload clients")
	return true
}

// isCommandError tells a server that does not have a command, or does not let
// the proxy's user run it, from one that can not serve now.
func isCommandError(err error) bool {
	var e redis.Error
	return errors.As(err, &e) && !isBusy([]byte("-"+e.Error())) && !strings.HasPrefix(e.Error(), "NOAUTH ")
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
	if len(fields) < 10 { // a server that does not list subcommands has them all
		for _, sub := range cmd.Subs {
			known[sub.ID] = true
		}
	} else {
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

// Busy tells that the server answers nothing but that a script holds it.
const Busy = "BUSY "

// Watch keeps an eye on the server until ctx ends. It calls changed with the
// server's facts when the server is found, or found again, and with nil when it
// stops answering. It calls busy whenever the server says that a script holds it. What comes through suspect makes it find everything out
// again, at once.
func Watch(ctx context.Context, c *redis.Client, suspect <-chan struct{}, changed func(*Facts), busy func()) {
	up, healthy := false, false
	for {
		if err := look(ctx, c, up, changed); err != nil && ctx.Err() == nil {
			var said redis.Error
			if errors.As(err, &said) && strings.HasPrefix(said.Error(), Busy) {
				busy()
			}
			if healthy {
				slog.Error("the upstream fails its health check", "error", err)
				changed(nil)
			}
			up, healthy = false, false
		} else {
			up, healthy = true, true
		}
		select {
		case <-ctx.Done():
			return
		case <-suspect:
			up = false
		case <-time.After(healthPeriod/2 + rand.N(healthPeriod/2)):
		}
	}
}

func look(ctx context.Context, c *redis.Client, up bool, changed func(*Facts)) (err error) {
	defer func() {
		if p := recover(); p != nil { // the reply was not what go-redis can read
			err = fmt.Errorf("panic: %v", p)
		}
	}()
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
