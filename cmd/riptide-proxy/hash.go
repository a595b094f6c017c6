package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"riptide-proxy/config"
)

// longestSecret is more than any secret needs, in bytes; it keeps a file that
// was redirected by mistake from being hashed.
const longestSecret = 4096

// hashCommand is riptide-proxy hash: it turns a secret into what a configuration
// stores. The secret comes from standard input only, since arguments are visible
// to every user of the machine and stay in the shell's history.
func hashCommand() *cobra.Command {
	var argon2id bool
	cmd := &cobra.Command{
		Use:   "hash [--argon2id]",
		Short: "Read a secret from standard input and print its hash for the configuration",
		Long: `Reads a secret from standard input, without echo on a terminal, and prints its
hash: by default SHA-256 for the key sha256, which suits long random secrets;
with --argon2id a slow salted hash for the key argon2id, which suits passwords
that people choose. A newline at the end is not part of the secret.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 { // cobra.NoArgs would repeat it in its message
				return errors.New("takes no argument: the secret is read from standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			secret, err := readSecret(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			hash := config.HashSecret(secret)
			if argon2id {
				hash = config.HashArgon2id(secret)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), hash)
			return err
		},
	}
	cmd.Flags().BoolVar(&argon2id, "argon2id", false, "print an argon2id hash, for secrets that people choose")
	return cmd
}

// readSecret reads all of in, or one line without echo when in is a terminal.
func readSecret(in io.Reader, prompt io.Writer) (string, error) {
	var data []byte
	var err error
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(prompt, "Secret: ")
		data, err = term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(prompt)
	} else {
		data, err = io.ReadAll(io.LimitReader(in, longestSecret+2)) // the newline may be \r\n
	}
	if err != nil {
		return "", fmt.Errorf("reading the secret: %w", err)
	}
	secret, ended := strings.CutSuffix(string(data), "\n")
	if ended {
		secret = strings.TrimSuffix(secret, "\r")
	}
	switch {
	case secret == "":
		return "", errors.New("the secret is empty")
	case len(secret) > longestSecret:
		return "", fmt.Errorf("the secret is longer than %d bytes", longestSecret)
	}
	return secret, nil
}
