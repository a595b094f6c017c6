package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"riptide-proxy/config"
	"riptide-proxy/quota/ledger"
)

// usageTool is what riptide-proxy usage and its subcommands have in common.
type usageTool struct {
	file     string
	tenant   string
	from, to string
	format   string
	tags     []string

	api apiTool // asked instead of the upstream, if it is told whom

	cfg        *config.Config
	client     *redis.Client
	store      *ledger.Store
	begin, end ledger.Hour
	chosen     map[string]string // tags
	form       ledger.Format
}

// usageCommand is riptide-proxy usage: what tenants have used, and what it costs.
func usageCommand() *cobra.Command {
	u := &usageTool{}
	var by string
	cmd := u.command(&cobra.Command{
		Use:   "usage --config FILE | --admin HOST:PORT [--from T] [--to T] [--tenant ID] [--by hour|day|month|total] [--format csv|json|table]",
		Short: "Show what tenants have used, and their bills",
		Long: `Shows what tenants have used: operations, bytes, memory, keys, connections. All
times are of UTC and begin an hour: 2026-11, 2026-11-23, 2026-11-23T15. Without
--from it is the month that has begun; --to is not in it, and is now without one.

With --admin it asks the admin listener of a running proxy instead of the upstream.

docs/usage.md says what is counted, and how exactly, docs/quotas.md what can be limited.`,
	}, func(ctx context.Context, cmd *cobra.Command) error {
		if u.api.admin != "" {
			return u.ask(ctx, cmd, http.MethodGet, "/usage", by)
		}
		q := ledger.Query{From: u.begin, To: u.end, Tenant: u.tenant, Tags: u.chosen}
		var err error
		if q.By, err = ledger.ParseBy(by); err != nil {
			return fmt.Errorf("--by: %w", err)
		}
		lines, err := q.Run(ctx, u.store, u.cfg)
		if err != nil {
			return err
		}
		return ledger.Write(cmd.OutOrStdout(), u.form, lines)
	})
	cmd.Flags().StringVar(&by, "by", "total", "what a line is for: hour, day, month or total")
	u.api.flags(cmd.Flags())
	cmd.AddCommand(usageBillCommand(), usageCloseCommand())
	return cmd
}

// command is cmd with the common flags; do runs with the upstream at hand.
func (u *usageTool) command(cmd *cobra.Command, do func(ctx context.Context, cmd *cobra.Command) error) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := running(cmd)
		defer stop()
		if err := u.open(); err != nil {
			return err
		}
		if u.client != nil {
			defer u.client.Close()
		}
		err := do(ctx, cmd)
		if failed := net.Error(nil); u.client != nil && errors.As(err, &failed) {
			return fmt.Errorf("the upstream at %s can not be asked: %w", u.client.Options().Addr, err)
		}
		return err
	}
	f := cmd.Flags()
	f.StringVarP(&u.file, "config", "c", "", "configuration file")
	f.StringVarP(&u.tenant, "tenant", "t", "", "only this tenant")
	f.StringVar(&u.from, "from", "", "when it begins")
	f.StringVar(&u.to, "to", "", "when it ends")
	f.StringVarP(&u.format, "format", "f", "table", "csv, json or table")
	f.StringArrayVar(&u.tags, "tag", nil, "only tenants with this tag, name=value; may be given several times")
	return cmd
}

// ask has a proxy's admin listener tell, or with POST close.
func (u *usageTool) ask(ctx context.Context, cmd *cobra.Command, method, path, by string) error {
	if err := u.api.open(); err != nil {
		return err
	}
	defer u.api.client.CloseIdleConnections()
	q := url.Values{"format": {u.format}, "tag": u.tags}
	for name, value := range map[string]string{"by": by, "from": u.from, "to": u.to, "tenant": u.tenant} {
		if value != "" {
			q.Set(name, value)
		}
	}
	r, err := u.api.ask(ctx, method, path+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(r.body)
	return err
}

func (u *usageTool) open() error {
	var err error
	if u.begin, u.end, err = ledger.ParseSpan(u.from, u.to, time.Now()); err != nil {
		return err
	}
	if u.form, err = ledger.ParseFormat(u.format); err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	u.chosen = make(map[string]string)
	for _, tag := range u.tags {
		name, value, err := ledger.ParseTag(tag)
		if err != nil {
			return fmt.Errorf("--tag: %w", err)
		}
		u.chosen[name] = value
	}
	switch {
	case u.api.admin != "" && u.file != "":
		return errors.New("--admin or --config, not both")
	case u.api.admin != "":
		return nil
	case u.file == "":
		return errors.New("--config names a configuration file, or --admin the admin listener of a proxy that runs")
	}
	if u.cfg, _, err = config.Load(u.file); err != nil {
		return err
	}
	if u.cfg.Upstream.Mode == config.Embedded {
		return errors.New("the embedded upstream lives in the proxy's process only, out of reach for this one")
	}
	if u.client, err = jobClient(u.cfg); err != nil {
		return err
	}
	u.store = ledger.NewStore(u.client, time.Duration(u.cfg.Usage.Grace))
	return nil
}
