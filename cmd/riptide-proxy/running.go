package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// running is for a command whose arguments were right: errors from now on are not about its
// usage. The context ends with a signal to end.
func running(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}
