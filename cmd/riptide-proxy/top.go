package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"riptide-proxy/config"
)

// topTokenEnv is where the token is taken from if no flag gives it.
const topTokenEnv = "RIPTIDE_ADMIN_TOKEN"

// topOptions are what riptide-proxy top was told.
type topOptions struct {
	addresses []string
	file      string
	token     string
	interval  time.Duration
	sort      string
	reverse   bool
	filter    string
	count     int
	once      bool
	json      bool
}

// topCommand is riptide-proxy top: what every tenant does at the moment, over one or several
// proxies. On a terminal it is a screen that goes on until it is quit; anywhere else it prints
// one table, so that scripts need no option.
func topCommand() *cobra.Command {
	o := &topOptions{}
	cmd := &cobra.Command{
		Use:   "top [--admin HOST:PORT]... [--config FILE]",
		Short: "Show live what tenants do",
		Long: `Shows each tenant's operations, bytes, latency, hits, memory, connections and
what was throttled and refused, as numbers per second, added up over all proxies
that are named. It asks their admin listeners.

Keys: left and right choose the column to sort by, r turns the order round, / filters
by tenant, up, down, page up, page down, home and end scroll, space pauses, + and -
change the interval, q quits.

Not on a terminal, or with --once, --json or -n, it prints tables instead, after
the interval that their numbers are about.

A token for the admin listener is better given in ` + topTokenEnv + ` than by --token, which
others on the machine can see.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := running(cmd)
			defer stop()
			if o.once && cmd.Flags().Changed("count") && o.count != 1 {
				return errors.New("--once is --count 1")
			}
			return o.run(ctx, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.addresses, "admin", "a", nil, "admin listener of a proxy, host:port or a URL; repeatable")
	f.StringVarP(&o.file, "config", "c", "", "configuration file whose admin.listen is asked")
	f.StringVar(&o.token, "token", "", "bearer token for the admin listeners; default: from "+topTokenEnv)
	f.DurationVarP(&o.interval, "interval", "i", 2*time.Second, "time between two looks")
	f.StringVarP(&o.sort, "sort", "s", "ops", "column to sort by: "+strings.Join(topColumnKeys(), ", "))
	f.BoolVarP(&o.reverse, "reverse", "r", false, "smallest first")
	f.StringVarP(&o.filter, "tenant", "t", "", "only tenants whose id contains this, or matches it if it has * or ?")
	f.IntVarP(&o.count, "count", "n", 0, "print this many tables and end")
	f.BoolVar(&o.once, "once", false, "print one table and end")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line instead of tables")
	return cmd
}

// topShortest is the shortest interval, since each look asks every event loop.
const topShortest = 100 * time.Millisecond

func (o *topOptions) run(ctx context.Context, in io.Reader, out, errs io.Writer) error {
	if !slices.Contains(topColumnKeys(), o.sort) {
		return fmt.Errorf("--sort %s: want one of %s", o.sort, strings.Join(topColumnKeys(), ", "))
	}
	switch {
	case o.interval < topShortest:
		return fmt.Errorf("--interval %v: at least %v", o.interval, topShortest)
	case o.count < 0:
		return fmt.Errorf("--count %d: want a positive number", o.count)
	}
	fleet, err := o.fleet()
	if err != nil {
		return err
	}
	if !o.once && !o.json && o.count == 0 && isTerminal(in) && isTerminal(out) && os.Getenv("TERM") != "dumb" {
		return o.screen(ctx, fleet, in, out)
	}
	return o.print(ctx, fleet, out, errs)
}

// fleet is who is to be asked.
func (o *topOptions) fleet() (*topFleet, error) {
	addresses := slices.Clone(o.addresses)
	if o.file != "" {
		cfg, _, err := config.Load(o.file)
		if err != nil {
			return nil, err
		}
		if cfg.Admin.Listen == "" {
			return nil, fmt.Errorf("%s has no admin.listen", o.file)
		}
		addresses = append(addresses, reachable(cfg.Admin.Listen))
	}
	if len(addresses) == 0 {
		return nil, errors.New("name a proxy's admin listener with --admin, or a configuration that has admin.listen with --config")
	}
	token := o.token
	if token == "" {
		token = os.Getenv(topTokenEnv)
	}
	return newTopFleet(addresses, token)
}

// reachable is where to connect to what listens on an address, from the same machine.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// print writes tables, each about an interval. That some proxies do not answer it says on errs; that
// none does is an error.
func (o *topOptions) print(ctx context.Context, fleet *topFleet, out, errs io.Writer) error {
	watch := newTopWatch()
	watch.look(fleet.ask(ctx))
	for range max(1, o.count) {
		select {
		case <-time.After(o.interval):
		case <-ctx.Done():
			return nil
		}
		view := watch.look(fleet.ask(ctx))
		if ctx.Err() != nil {
			return nil
		}
		if view.up() == 0 {
			return view.err()
		}
		view.arrange(o.filter, o.sort, o.reverse)
		if o.json {
			if err := view.printJSON(out); err != nil {
				return err
			}
			continue
		}
		for _, p := range view.Proxies {
			if p.Error != "" {
				fmt.Fprintf(errs, "warning: %s: %s\n", p.Address, p.Error)
			}
		}
		if _, err := io.WriteString(out, view.table()); err != nil {
			return err
		}
	}
	return nil
}

// isTerminal reports whether a reader or writer is a terminal.
func isTerminal(x any) bool {
	f, isFile := x.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd()))
}
