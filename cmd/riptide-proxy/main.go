// Command riptide-proxy turns one Redis into many isolated ones.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set by the linker; see the Makefile.
var version = "dev"

func main() {
	root := serveCommand()
	root.AddCommand(checkCommand(), hashCommand(), recompressCommand(), rekeyCommand(), dictCommand(), topCommand(), usageCommand(),
		tenantCommand(), planCommand(), stateCommand(), cacheCommand(), auditCommand(), certificateCommand(), upgradeCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "riptide-proxy:", err)
		os.Exit(1)
	}
}

// newRoot is the command without a name of its own: it serves.
func newRoot(run func(*cobra.Command, []string) error) *cobra.Command {
	return &cobra.Command{
		Use:           "riptide-proxy",
		Short:         "One Redis, many isolated tenants",
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          run,
	}
}
