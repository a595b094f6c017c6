package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"riptide-proxy/audit"
	"riptide-proxy/config"
)

// auditCommand is riptide-proxy audit.
func auditCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Look at audit logs",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(auditVerifyCommand(), auditKeyCommand())
	return c
}

// auditVerifyCommand is riptide-proxy audit verify.
func auditVerifyCommand() *cobra.Command {
	var file string
	var secretFiles []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify [--config FILE] [--secret-file FILE]... [FILE|FOLDER]...",
		Short: "Tell whether records of an audit log were changed or removed",
		Long: `Reads files of audit logs, in any order, and looks whether each record is as it was
written and follows the one before. Without files it reads those of the
configuration. What is wrong is told with file and line, and makes the exit code 1.

That records are missing at the very end shows only by comparing the printed head,
the hash of the last block, with one that was noted elsewhere.`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			cmd.SilenceUsage, cmd.SilenceErrors = true, true
			secrets, err := readSecrets(secretFiles)
			if err != nil {
				return err
			}
			if file != "" {
				cfg, _, err := config.Load(file)
				if err != nil {
					return err
				}
				if s := cfg.Audit.Secret.Reveal(); s != "" {
					secrets = append(secrets, []byte(s))
				}
				if len(paths) == 0 && cfg.Audit.Dir != "" {
					paths = []string{cfg.Audit.Dir}
				}
			}
			if len(paths) == 0 {
				return errors.New("say which files, or which configuration has an audit log (--config)")
			}
			reports, err := audit.Verify(paths, secrets)
			if err != nil {
				return err
			}
			return printReports(cmd.OutOrStdout(), reports, asJSON)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration file, for the log's folder and secret")
	c.Flags().StringArrayVar(&secretFiles, "secret-file", nil, "file with a secret that the log was, or is, written with")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// readSecrets reads a secret from each file, without the line feed at its end.
func readSecrets(files []string) (secrets [][]byte, err error) {
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if text = bytes.TrimRight(text, "\r\n"); len(text) == 0 {
			return nil, fmt.Errorf("%s: the secret is empty", name)
		}
		secrets = append(secrets, text)
	}
	return secrets, nil
}

func printReports(out io.Writer, reports []*audit.Report, asJSON bool) error {
	bad := 0
	for _, r := range reports {
		if !r.OK() {
			bad++
		}
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(reports); err != nil {
			return err
		}
	} else {
		for _, r := range reports {
			printReport(out, r)
		}
	}
	if bad > 0 {
		return fmt.Errorf("audit logs that are not as they were written: %d of %d", bad, len(reports))
	}
	return nil
}

func printReport(out io.Writer, r *audit.Report) {
	verdict := "ok"
	if !r.OK() {
		verdict = "NOT OK"
	}
	fmt.Fprintf(out, "log %s: %s, %d records (%d to %d) in %d files, %s to %s\n", printable(r.Log), verdict, r.Records, r.First, r.Last, len(r.Files),
		r.From.Format("2006-01-02T15:04:05Z"), r.To.Format("2006-01-02T15:04:05Z"))
	for _, p := range r.Problems {
		fmt.Fprintln(out, printable(p.String()))
	}
	if r.More > 0 {
		fmt.Fprintf(out, "and %d more\n", r.More)
	}
	if r.Dropped > 0 {
		fmt.Fprintf(out, "dropped: %d records, for want of room or because they could not be written\n", r.Dropped)
	}
	if !r.Stopped {
		fmt.Fprintln(out, "end: the log is still written, its process was killed, or its last records were removed")
	}
	fmt.Fprintf(out, "head: block %d, %s\n", r.Blocks, r.Head)
}

// auditKeyCommand is riptide-proxy audit key.
func auditKeyCommand() *cobra.Command {
	var file, tenant string
	c := &cobra.Command{
		Use:   "key --config FILE --tenant ID KEY...",
		Short: "Tell what names of keys look like in the log where they are hashed",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, keys []string) error {
			cmd.SilenceUsage, cmd.SilenceErrors = true, true
			cfg, _, err := config.Load(file)
			if err != nil {
				return err
			}
			secret := cfg.Audit.Secret.Reveal()
			if secret == "" {
				return errors.New("the configuration has no audit.secret")
			}
			h := audit.NewKeyHash([]byte(secret))
			for _, k := range keys {
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", h.Append(nil, tenant, []byte(k)), printable(k))
			}
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	c.Flags().StringVarP(&tenant, "tenant", "t", "", "whose keys they are")
	for _, name := range []string{"config", "tenant"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return c
}
