package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/spf13/cobra"

	"riptide-proxy/quota/billing"
)

// usageBillCommand is riptide-proxy usage bill.
func usageBillCommand() *cobra.Command {
	u := &usageTool{}
	cmd := u.command(&cobra.Command{
		Use:   "bill --config FILE | --admin HOST:PORT [--from T] [--to T] [--tenant ID] [--format csv|json|table]",
		Short: "Show the bills of a period",
		Long: `Shows the bills of a period. Of a period that was closed it is the bill that was
kept then, whatever prices are now; of another it is what it would be with the
prices of now. Calendar months are closed by the proxies.

With --admin it asks the admin listener of a running proxy instead of the upstream.`,
	}, func(ctx context.Context, cmd *cobra.Command) error {
		if u.api.admin != "" {
			return u.ask(ctx, cmd, http.MethodGet, "/billing", "")
		}
		return u.bills(func(ctx context.Context, q *billing.Query) ([]*billing.Bill, error) {
			return q.Run(ctx, u.store, u.cfg)
		})(ctx, cmd)
	})
	u.api.flags(cmd.Flags())
	return cmd
}

// usageCloseCommand is riptide-proxy usage close.
func usageCloseCommand() *cobra.Command {
	u := &usageTool{}
	cmd := u.command(&cobra.Command{
		Use:   "close --config FILE | --admin HOST:PORT --from T --to T [--tenant ID] [--format csv|json|table]",
		Short: "Close a period, and keep its bills for ever",
		Long: `Closes a period that has been over for as long as usage.grace says, and keeps its
bills with the prices of now. They never change after that; to close a period
again shows them. Proxies do it by themselves for calendar months.

With --admin a running proxy does it, by its own configuration, for a token with the role
admin, and it is in the audit log.`,
	}, func(ctx context.Context, cmd *cobra.Command) error {
		switch {
		case u.from == "" || u.to == "":
			return errors.New("say what to close, with --from and --to")
		case u.api.admin != "":
			return u.ask(ctx, cmd, http.MethodPost, "/billing/close", "")
		}
		return u.bills(func(ctx context.Context, q *billing.Query) ([]*billing.Bill, error) {
			return q.Close(ctx, u.store, u.cfg)
		})(ctx, cmd)
	})
	u.api.flags(cmd.Flags())
	return cmd
}

// bills prints what find comes up with. An error of one tenant does not keep the
// others' bills back.
func (u *usageTool) bills(find func(ctx context.Context, q *billing.Query) ([]*billing.Bill, error)) func(context.Context, *cobra.Command) error {
	return func(ctx context.Context, cmd *cobra.Command) error {
		bills, err := find(ctx, &billing.Query{From: u.begin, To: u.end, Tenant: u.tenant, Tags: u.chosen})
		if bills == nil {
			return err
		}
		return errors.Join(billing.Write(cmd.OutOrStdout(), u.form, bills), err)
	}
}
