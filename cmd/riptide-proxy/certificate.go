package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"riptide-proxy/config"
	"riptide-proxy/tlsterm"
	"riptide-proxy/upstream"
)

// certificateCommand is riptide-proxy certificate: by which names may a tenant's user be known that
// has this certificate? It prints them as the list certificates of a user takes them.
func certificateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "certificate FILE",
		Short: "Show the names in a client's certificate, as users' lists of certificates have them",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			data, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			block, _ := pem.Decode(data)
			if block == nil || block.Type != "CERTIFICATE" {
				return fmt.Errorf("%s does not begin with a certificate in PEM form", args[0])
			}
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			for _, name := range tlsterm.Names(c) {
				fmt.Fprintln(cmd.OutOrStdout(), name)
			}
			return nil
		},
	}
}

// checkCertificates loads the certificates as serve does.
func checkCertificates(c *config.Config) error {
	if c.TLS != nil {
		if _, err := tlsterm.ServerFiles(c.TLS); err != nil {
			return err
		}
	}
	if c.Upstream.TLS != nil {
		if _, err := upstream.NewTarget(&c.Upstream); err != nil {
			return err
		}
	}
	return nil
}
