package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"riptide-proxy/admin"
)

// planCommand is riptide-proxy plan: a client of /admin/plans.
func planCommand() *cobra.Command {
	a := &apiTool{}
	list := a.sub("list", "List the plans", cobra.NoArgs, func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		var plans admin.PlanList
		r, err := a.get(ctx, "/admin/plans", &plans)
		if err != nil {
			return err
		}
		return a.show(cmd.OutOrStdout(), r, func(w io.Writer) {
			row(w, "PLAN", "TENANTS", "QUOTAS AND PRICES")
			for _, p := range plans.Plans {
				text, err := json.Marshal(p.Config)
				if err != nil {
					text = []byte("?")
				}
				row(w, p.Name, p.Tenants, string(text))
			}
		})
	})
	get := a.sub("get NAME", "Show a plan", cobra.ExactArgs(1), func(ctx context.Context, cmd *cobra.Command, args []string) error {
		r, err := a.ask(ctx, http.MethodGet, "/admin/plans/"+url.PathEscape(args[0]), nil)
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(r.body)
		return err
	})
	return a.group("plan", "Show the plans of a running proxy", list, get)
}

// stateCommand is riptide-proxy state: a client of /admin/state.
func stateCommand() *cobra.Command {
	a := &apiTool{}
	current := a.sub("current", "Show which configuration runs, and those before it", cobra.NoArgs, func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		r, err := a.ask(ctx, http.MethodGet, "/admin/state/current", nil)
		if err != nil {
			return err
		}
		return a.showState(cmd, r)
	})
	return a.group("state", "Show, reload and roll back the configuration of a running proxy", current,
		stateChange(a, "reload", "Read the configuration's files and run with them", false, (*apiTool).showState),
		stateChange(a, "rollback [NUMBER]", "Run with an earlier configuration: the one before, or this", true, (*apiTool).showState),
		stateChange(a, "checkpoint", "Save the proxy's own state", false, (*apiTool).showCheckpoint),
		stateChange(a, "restore [NUMBER]", "Take over a saved state: the youngest, or this", true, (*apiTool).showCheckpoint))
}

// stateChange is a POST, of which some take a number.
func stateChange(a *apiTool, use, short string, numbered bool, show func(a *apiTool, cmd *cobra.Command, r *apiReply) error) *cobra.Command {
	args := cobra.NoArgs
	if numbered {
		args = cobra.MaximumNArgs(1)
	}
	var cmd *cobra.Command
	var etag string
	cmd = a.sub(use, short, args, func(ctx context.Context, _ *cobra.Command, args []string) error {
		var body any
		if len(args) == 1 {
			n, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("%q is not a number", args[0])
			}
			body = admin.Numbered{Number: n}
		}
		r, err := a.ask(ctx, http.MethodPost, "/admin/state/"+cmd.Name(), body, ifMatch(etag)...)
		if err != nil {
			return err
		}
		return show(a, cmd, r)
	})
	etagFlag(cmd, &etag)
	return cmd
}

func (a *apiTool) showState(cmd *cobra.Command, r *apiReply) error {
	var s admin.StateReport
	if err := json.Unmarshal(r.body, &s); err != nil {
		return err
	}
	return a.show(cmd.OutOrStdout(), r, func(w io.Writer) {
		row(w, "GENERATION", "AT", "SOURCE", "TENANTS", "PLANS", "HASH", "")
		for _, g := range s.History {
			row(w, g.Number, g.At.Format(time.RFC3339), g.Source, g.Tenants, g.Plans, g.Hash[:min(12, len(g.Hash))], choice(g.Number == s.Current.Number, "running", ""))
		}
		if s.Failed != nil {
			row(w, "the files could not be taken at "+s.Failed.At.Format(time.RFC3339)+":")
			for _, f := range s.Failed.Errors {
				row(w, fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Path, f.Text))
			}
		}
		for _, c := range s.Checkpoints {
			row(w, fmt.Sprintf("checkpoint %d of %s, %d bytes", c.Number, c.At.Format(time.RFC3339), c.Bytes))
		}
		if etag := r.header.Get("ETag"); etag != "" {
			row(w, "etag "+etag)
		}
	})
}

func (a *apiTool) showCheckpoint(cmd *cobra.Command, r *apiReply) error {
	var c admin.Checkpoint
	if err := json.Unmarshal(r.body, &c); err != nil {
		return err
	}
	return a.show(cmd.OutOrStdout(), r, func(w io.Writer) {
		row(w, fmt.Sprintf("checkpoint %d of %s, %d bytes", c.Number, c.At.Format(time.RFC3339), c.Bytes))
	})
}
