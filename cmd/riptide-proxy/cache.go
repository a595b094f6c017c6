package main

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"riptide-proxy/admin"
)

// cacheCommand is riptide-proxy cache: a client of /admin/cache.
func cacheCommand() *cobra.Command {
	a := &apiTool{}
	stats := a.sub("stats", "Show hits, misses, memory and keys of tenants", cobra.NoArgs, func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		var s admin.CacheStats
		r, err := a.get(ctx, "/admin/cache/stats", &s)
		if err != nil {
			return err
		}
		return a.show(cmd.OutOrStdout(), r, func(w io.Writer) {
			row(w, "TENANT", "HITS", "MISSES", "HIT%", "MEMORY", "KEYS")
			for _, t := range s.Tenants {
				row(w, t.Tenant, t.Hits, t.Misses, fmt.Sprintf("%.1f", 100*t.HitRate), fmt.Sprintf("%.0f", t.Memory), fmt.Sprintf("%.0f", t.Keys))
			}
		})
	})
	return a.group("cache", "Show and delete what tenants have stored", stats,
		cacheDelete(a, "invalidate TENANT PATTERN", "Delete a tenant's keys that match a pattern, in one database", 2),
		cacheDelete(a, "clear TENANT", "Delete all keys of a tenant, or those of one database", 1))
}

func cacheDelete(a *apiTool, use, short string, n int) *cobra.Command {
	var database int
	var wait bool
	var cmd *cobra.Command
	cmd = a.sub(use, short, cobra.ExactArgs(n), func(ctx context.Context, _ *cobra.Command, args []string) error {
		k := map[string]any{"tenant": args[0]}
		if n == 2 {
			k["pattern"] = args[1]
		}
		if cmd.Flags().Changed("database") {
			k["database"] = database
		}
		r, err := a.ask(ctx, http.MethodPost, "/admin/cache/"+cmd.Name(), k)
		if err != nil {
			return err
		}
		return a.followJob(ctx, cmd, r, wait)
	})
	cmd.Flags().IntVar(&database, "database", 0, "in which database")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is done")
	return cmd
}
