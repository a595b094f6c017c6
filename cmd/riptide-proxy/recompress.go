package main

import (
	"github.com/spf13/cobra"

	"riptide-proxy/value/rewrite"
)

// recompressCommand is riptide-proxy recompress: all values of a tenant are
// stored as the configuration says now.
func recompressCommand() *cobra.Command {
	j := job{kind: rewrite.Recompress}
	cmd := j.command(&cobra.Command{
		Use:   "recompress --config FILE --tenant ID",
		Short: "Store all values of a tenant as the configuration says now",
		Long: `Goes through all values of a tenant and stores them as the configuration says
now: compressed with its algorithm, level and dictionary, encrypted or not. The
proxies go on serving meanwhile; a value that a client writes at the same time
is left as the client wrote it. In the end dictionaries that no value needs any
more are dropped.

With --plain all values are stored as clients know them, whatever the
configuration says. Do that before the sections compression and encryption are
taken out of it, after their algorithms were set to none.

` + jobHelp,
	})
	cmd.Flags().BoolVar(&j.plain, "plain", false, "store all values without compression and encryption")
	return cmd
}
