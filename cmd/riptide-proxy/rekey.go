package main

import (
	"github.com/spf13/cobra"

	"riptide-proxy/value/rewrite"
)

// rekeyCommand is riptide-proxy rekey: all values of a tenant are encrypted with
// the current key.
func rekeyCommand() *cobra.Command {
	j := job{kind: rewrite.Rekey}
	return j.command(&cobra.Command{
		Use:   "rekey --config FILE --tenant ID",
		Short: "Encrypt all values of a tenant with its current key",
		Long: `Goes through all values of a tenant and encrypts with the current key what is
encrypted with another one, or not at all. The proxies go on serving meanwhile.
Once it is through, and says that no value needs the old key, that key can be
taken out of the configuration.

` + jobHelp,
	})
}
