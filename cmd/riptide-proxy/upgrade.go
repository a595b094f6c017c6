package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// upgradeCommand is `riptide-proxy upgrade`.
func upgradeCommand() *cobra.Command {
	var file string
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "upgrade",
		Short: "Have the running proxy replaced by a new process of its binary, without refusing a connection",
		Long: `Checks the configuration, and tells the proxy that uses its state_dir to start its binary anew with the same
arguments. The new process takes over the listeners; the old one answers what is in flight and ends. If the new
process does not come up, the old one goes on.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := running(cmd)
			defer cancel()
			_, cfg, _, _, err := load(file)
			if err != nil {
				return err
			}
			if cfg.StateDir == "" {
				return errors.New("without state_dir the running proxy can not be found; send it SIGUSR2")
			}
			ctx, stop := context.WithTimeout(ctx, timeout)
			defer stop()
			return replace(ctx, newPIDFile(cfg.StateDir), cmd.OutOrStdout())
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration file of the running proxy")
	c.Flags().DurationVar(&timeout, "timeout", 2*upgradeTime+5*time.Second, "how long to wait for the new process")
	c.MarkFlagRequired("config")
	return c
}

// replace tells the process that has the file to start a new one, and waits until that has the file.
func replace(ctx context.Context, p *pidFile, out io.Writer) error {
	old, err := p.owner()
	if err != nil {
		return err
	}
	if err := syscall.Kill(old, syscall.SIGUSR2); err != nil {
		return fmt.Errorf("process %d: %w", old, err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d was not replaced; its log says why", old)
		case <-tick.C:
		}
		now, err := p.owner()
		if err != nil {
			return fmt.Errorf("process %d has ended: %w", old, err)
		}
		if now != old {
			fmt.Fprintf(out, "process %d has taken over from process %d\n", now, old)
			return nil
		}
	}
}
