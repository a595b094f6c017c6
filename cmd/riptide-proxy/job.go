package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"

	"riptide-proxy/config"
	"riptide-proxy/upstream"
	"riptide-proxy/value"
	"riptide-proxy/value/dictionary"
	"riptide-proxy/value/keys"
	"riptide-proxy/value/rewrite"
)

const jobHelp = `It rests as long as it works, so that the upstream keeps half of its time, and
with --rate it handles no more keys each second than that. How far it is stands
on standard error, and what it did in the end on standard output. Ctrl-C stops
it; the next run goes on where it was, unless the configuration of the tenant's
values has changed. --status shows how far a job is or how it ended, from
anywhere.

What can not be opened, for want of a key or a dictionary, is left as it is and
listed, and the exit code is 1. The values of streams' entries can not be
rewritten; they only count for what is in use.`

// job is what recompress and rekey have in common.
type job struct {
	kind    rewrite.Job
	file    string
	tenant  string
	plain   bool
	rate    int
	restart bool
	json    bool
	status  bool
}

func (j *job) command(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		return j.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	f := cmd.Flags()
	f.StringVarP(&j.file, "config", "c", "", "configuration file")
	f.StringVarP(&j.tenant, "tenant", "t", "", "tenant whose values are meant")
	f.IntVar(&j.rate, "rate", 0, "keys per second at most; 0: no limit but the rests")
	f.BoolVar(&j.restart, "restart", false, "begin anew, also if an earlier run was broken off")
	f.BoolVar(&j.json, "json", false, "print the result in JSON")
	f.BoolVar(&j.status, "status", false, "only show how far the job is")
	for _, name := range []string{"config", "tenant"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}

func (j *job) run(ctx context.Context, out, errs io.Writer) error {
	cfg, _, err := config.Load(j.file)
	if err != nil {
		return err
	}
	t, known := cfg.Tenants[j.tenant]
	switch {
	case !known:
		return fmt.Errorf("%s has no tenant %q", j.file, j.tenant)
	case cfg.Upstream.Mode == config.Embedded:
		return errors.New("the embedded upstream lives in the proxy's process only, out of reach for this one")
	case j.rate < 0:
		return errors.New("--rate is how many keys per second, or 0")
	}
	client, err := jobClient(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	root := config.KeyPrefix(j.tenant, t.HashTag)
	names := keyNames(cfg)
	if j.status {
		states, err := rewrite.Status(ctx, client, root)
		if err != nil {
			return err
		}
		s, known := states[j.kind]
		if !known {
			return fmt.Errorf("%s has never run for tenant %s", j.kind, j.tenant)
		}
		return j.print(out, s, names)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	o, err := j.options(ctx, cfg, client, errs)
	if err != nil {
		return err
	}
	s, err := rewrite.Run(ctx, o)
	if err != nil && s.Job == "" {
		return err
	}
	return errors.Join(j.print(out, s, names), err, left(s))
}

// left is an error if there are values that were left for a reason.
func left(s rewrite.State) error {
	if s.Failed == 0 {
		return nil
	}
	return fmt.Errorf("%d values were left as they are", s.Failed)
}

// options prepares a run: keys, codec, dictionaries.
func (j *job) options(ctx context.Context, cfg *config.Config, client *redis.Client, errs io.Writer) (rewrite.Options, error) {
	t := cfg.Tenants[j.tenant]
	masters, err := keys.Load(ctx, cfg.EncryptionKeys)
	if err != nil {
		return rewrite.Options{}, err
	}
	codec, err := keys.Codec(cfg, j.tenant, masters)
	if err != nil {
		return rewrite.Options{}, err
	}
	plain := j.plain
	switch {
	case codec == nil && j.kind == rewrite.Rekey:
		return rewrite.Options{}, fmt.Errorf("tenant %s has no encryption", j.tenant)
	case codec != nil && plain:
		fmt.Fprintf(errs, "warning: the configuration still has compression or encryption for tenant %s, so proxies that run with it go on sealing what is written\n", j.tenant)
	}
	// The opener opens all that was ever sealed, and seals nothing.
	if codec == nil {
		plain = true
		if codec, err = keys.Opener(cfg, j.tenant, masters); err != nil {
			return rewrite.Options{}, err
		}
	}
	o := rewrite.Options{
		Client: client, Root: config.KeyPrefix(j.tenant, t.HashTag), Codec: codec,
		Job: j.kind, Plain: plain, Config: keys.Fingerprint(t), Restart: j.restart, Rate: j.rate,
		Progress: func(s rewrite.State) { fmt.Fprintln(errs, j.line(s)) },
	}
	settings, err := keys.Settings(cfg, j.tenant, masters)
	if err != nil {
		return rewrite.Options{}, err
	}
	d := newDicts(client, dictionary.FromConfig(j.tenant, t, settings), codec)
	if err := d.prepare(ctx, j.kind, plain); err != nil {
		return rewrite.Options{}, err
	}
	o.Reload, o.Retired = d.reload, d.retired
	o.Drop = func(ctx context.Context, id uint32) error { return d.store.Drop(ctx, &d.tenant, id) }
	return o, nil
}

// jobClient is a client whose reading does not count as use of a key, where the
// server has that.
func jobClient(cfg *config.Config) (*redis.Client, error) {
	logging.Disable() // what matters is in the errors that go-redis returns
	target, err := upstream.NewTarget(&cfg.Upstream)
	if err != nil {
		return nil, err
	}
	// A single value may be as long as limits.bulk.
	target.Timeout = max(target.Timeout, time.Minute)
	const conns = 2 // the second one keeps the lock
	client := target.Client(conns)
	o := *client.Options()
	client.Close()
	o.OnConnect = func(ctx context.Context, c *redis.Conn) error {
		// Servers before 7.2 do not know it: then the keys look used.
		if err := c.Do(ctx, "CLIENT", "NO-TOUCH", "ON").Err(); err != nil {
			slog.Debug("the upstream counts reading as use", "error", err)
		}
		return nil
	}
	return redis.NewClient(&o), nil
}

// keyNames are the names of the keys by the ids that stored values have.
func keyNames(cfg *config.Config) map[string]string {
	names := map[string]string{}
	for name := range cfg.EncryptionKeys {
		names[fmt.Sprintf("%08x", value.KeyID(name))] = name
	}
	return names
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	all := make([]string, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}
