package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"riptide-proxy/config"
	"riptide-proxy/namespace/jwt"
	"riptide-proxy/value/keys"
)

// checkCommand is riptide-proxy check: is a configuration good to run with? It
// reads what serve would read, the tenants' folder and the environment included,
// and connects to nothing. Certificates and encryption keys it only gets if it is told to: that may need
// rights, and other machines, that the one who checks does not have.
//
// Warnings follow the verdict on standard output. Errors go to standard error,
// one a line, beginning with file:line so that editors find the place; what the
// command returns, for main to print, is only how many there are.
func checkCommand() *cobra.Command {
	var file string
	var withKeys bool
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Check a configuration and report every problem with its line",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage, cmd.SilenceErrors = true, true
			files, c, warnings, err := config.ReadFiles(file)
			if err != nil {
				return notOK(cmd, file, err)
			}
			tenants := "tenants"
			if len(c.Tenants) == 1 {
				tenants = "tenant"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok, %d %s\n", file, len(c.Tenants), tenants)
			for _, w := range warnings {
				fmt.Fprintln(cmd.OutOrStdout(), w)
			}
			if withKeys {
				err := checkCertificates(c)
				if err == nil {
					err = checkKeys(cmd, c)
				}
				return notOK(cmd, file, files.Locate(err))
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	cmd.Flags().BoolVar(&withKeys, "keys", false, "also get certificates and encryption keys (read their files, run their commands) and the keys for tokens (read their files)")
	if err := cmd.MarkFlagRequired("config"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// notOK prints problems that have a place, and returns how many they are; other errors as they are.
func notOK(cmd *cobra.Command, file string, err error) error {
	var problems config.Errors
	if !errors.As(err, &problems) {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), problems)
	return fmt.Errorf("%s: not ok, errors: %d", file, len(problems))
}

// checkKeys gets the encryption keys as serve does, and tries whether the tenants can use them. Then it reads the
// files with keys for tokens.
func checkKeys(cmd *cobra.Command, c *config.Config) error {
	masters, err := keys.Load(cmd.Context(), c.EncryptionKeys)
	if err != nil {
		return err
	}
	for _, id := range sortedKeys(c.Tenants) {
		if _, err := keys.Codec(c, id, masters); err != nil {
			return err
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "encryption keys: ok, %d\n", len(masters))
	if len(c.JWT.Issuers) == 0 {
		return nil
	}
	tokens := jwt.New()
	defer tokens.Close()
	if _, err := tokens.Load(&c.JWT); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "files with keys for tokens: ok, issuers: %d\n", len(c.JWT.Issuers))
	return nil
}
