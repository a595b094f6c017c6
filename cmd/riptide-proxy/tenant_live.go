package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"riptide-proxy/admin"
)

func tenantConnections(a *apiTool) *cobra.Command {
	return a.sub("connections ID", "Show a tenant's connections to the proxy", cobra.ExactArgs(1), func(ctx context.Context, cmd *cobra.Command, args []string) error {
		var list admin.ConnectionList
		r, err := a.get(ctx, tenantPath(args[0])+"/connections", &list)
		if err != nil {
			return err
		}
		return a.show(cmd.OutOrStdout(), r, func(w io.Writer) {
			row(w, "ID", "ADDRESS", "USER", "NAME", "AGE", "IDLE", "DB", "COMMAND", "FLAGS")
			for _, c := range list.Connections {
				row(w, c.ID, c.Address, c.User, c.Name, seconds(c.Age), seconds(c.Idle), c.DB, c.Command, c.Flags)
			}
		})
	})
}

func seconds(n float64) time.Duration {
	return time.Duration(n * float64(time.Second)).Round(100 * time.Millisecond)
}

func tenantSlowlog(a *apiTool) *cobra.Command {
	return a.sub("slowlog ID", "Show a tenant's slow commands", cobra.ExactArgs(1), func(ctx context.Context, cmd *cobra.Command, args []string) error {
		var list admin.SlowList
		r, err := a.get(ctx, tenantPath(args[0])+"/slowlog", &list)
		if err != nil {
			return err
		}
		return a.show(cmd.OutOrStdout(), r, func(w io.Writer) {
			row(w, "AT", "TOOK", "ADDRESS", "CLIENT", "COMMAND")
			for _, c := range list.Commands {
				row(w, c.At.Format(time.RFC3339), time.Duration(c.Micros)*time.Microsecond, c.Address, c.Client, strings.Join(c.Args, " "))
			}
		})
	})
}

func tenantHotKeys(a *apiTool) *cobra.Command {
	return a.sub("hotkeys ID", "Show the keys that a tenant's commands name most often", cobra.ExactArgs(1), func(ctx context.Context, cmd *cobra.Command, args []string) error {
		var list admin.HotList
		r, err := a.get(ctx, tenantPath(args[0])+"/hotkeys", &list)
		if err != nil {
			return err
		}
		return a.show(cmd.OutOrStdout(), r, func(w io.Writer) {
			row(w, "SHARE", "COMMANDS", "DB", "KEY")
			for _, k := range list.Keys {
				if k.Cut {
					k.Key += "..."
				}
				row(w, fmt.Sprintf("%.1f%%", 100*k.Share), k.Commands, k.Database, k.Key)
			}
		})
	})
}

// tenantLedger is usage and billing of one tenant.
func tenantLedger(a *apiTool, what, short string) *cobra.Command {
	var from, to, by, format string
	cmd := a.sub(what+" ID", short, cobra.ExactArgs(1), func(ctx context.Context, cmd *cobra.Command, args []string) error {
		q := url.Values{"format": {format}}
		if a.json {
			q.Set("format", "json")
		}
		for name, value := range map[string]string{"from": from, "to": to, "by": by} {
			if value != "" {
				q.Set(name, value)
			}
		}
		r, err := a.ask(ctx, http.MethodGet, tenantPath(args[0])+"/"+what+"?"+q.Encode(), nil)
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(r.body)
		return err
	})
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "when it begins")
	f.StringVar(&to, "to", "", "when it ends")
	f.StringVarP(&format, "format", "f", "table", "csv, json or table")
	if what == "usage" {
		f.StringVar(&by, "by", "", "what a line is for: hour, day, month or total")
	}
	return cmd
}
