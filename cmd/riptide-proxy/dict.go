package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"riptide-proxy/config"
	"riptide-proxy/namespace/glob"
	"riptide-proxy/value"
	"riptide-proxy/value/dictionary"
	"riptide-proxy/value/keys"
)

// dictCommand is riptide-proxy dict: a tenant's compression dictionaries.
func dictCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dict",
		Short: "Train and show a tenant's compression dictionaries",
		Long: `A dictionary is what zstd knows beforehand about a tenant's values; it makes short
values that resemble each other several times smaller. The proxies train them by
themselves from what is written. These commands do it from what is stored
already, and show what there is.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(dictTrainCommand(), dictListCommand(), dictShowCommand())
	return cmd
}

// dictTool is what the commands have in common.
type dictTool struct {
	file   string
	tenant string

	client *redis.Client
	store  *dictionary.Store
	of     dictionary.Tenant
}

// command is cmd with the common flags; do runs with the upstream at hand.
func (d *dictTool) command(cmd *cobra.Command, do func(ctx context.Context, cmd *cobra.Command, args []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := running(cmd)
		defer stop()
		if err := d.open(ctx); err != nil {
			return err
		}
		defer d.client.Close()
		return do(ctx, cmd, args)
	}
	f := cmd.Flags()
	f.StringVarP(&d.file, "config", "c", "", "configuration file")
	f.StringVarP(&d.tenant, "tenant", "t", "", "tenant whose dictionaries are meant")
	for _, name := range []string{"config", "tenant"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}

func (d *dictTool) open(ctx context.Context) error {
	cfg, _, err := config.Load(d.file)
	if err != nil {
		return err
	}
	t, known := cfg.Tenants[d.tenant]
	switch {
	case !known:
		return fmt.Errorf("%s has no tenant %q", d.file, d.tenant)
	case cfg.Upstream.Mode == config.Embedded:
		return errors.New("the embedded upstream lives in the proxy's process only, out of reach for this one")
	}
	masters, err := keys.Load(ctx, cfg.EncryptionKeys)
	if err != nil {
		return err
	}
	settings, err := keys.Settings(cfg, d.tenant, masters)
	if err != nil {
		return err
	}
	if d.client, err = jobClient(cfg); err != nil {
		return err
	}
	d.store = dictionary.NewStore(d.client)
	d.of = dictionary.FromConfig(d.tenant, t, settings)
	return nil
}

// list is the tenant's dictionaries; what can not be read is told on errs.
func (d *dictTool) list(ctx context.Context, errs io.Writer) ([]*dictionary.Entry, error) {
	all, damaged, err := d.store.List(ctx, &d.of)
	for _, id := range sortedIDs(damaged) {
		fmt.Fprintf(errs, "warning: dictionary %08x can not be read: %v\n", id, damaged[id])
	}
	return all, err
}

func sortedIDs(m map[uint32]error) []uint32 {
	ids := make([]uint32, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func dictTrainCommand() *cobra.Command {
	d := &dictTool{}
	var pattern string
	cmd := d.command(&cobra.Command{
		Use:   "train --config FILE --tenant ID [--pattern P]",
		Short: "Train dictionaries from the values that are stored",
		Long: `Looks at some of the tenant's values, trains a dictionary for each pattern of
keys that the configuration has and one for all other keys, or only for one of
them, and measures it on values that it was not trained with. It is stored if it
makes values at least 10 % shorter than no dictionary, or the present one, does.
The proxies write with it a moment later. What is stored already stays as it is
until recompress runs.`,
		Args: cobra.NoArgs,
	}, func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		return d.train(ctx, pattern, cmd.OutOrStdout(), cmd.ErrOrStderr())
	})
	cmd.Flags().StringVarP(&pattern, "pattern", "p", "", `only for this pattern of compression.dictionaries.patterns, or "*" for all other keys`)
	return cmd
}

func (d *dictTool) train(ctx context.Context, pattern string, out, errs io.Writer) error {
	patterns := append(slices.Clone(d.of.Patterns), dictionary.Everything)
	switch {
	case !d.of.Writes:
		return fmt.Errorf("tenant %s has no compression with dictionaries", d.tenant)
	case pattern != "" && !slices.Contains(patterns, pattern):
		return fmt.Errorf("tenant %s has no pattern %q in compression.dictionaries.patterns", d.tenant, pattern)
	case pattern != "":
		patterns = []string{pattern}
	}
	entries, err := d.list(ctx, errs)
	if err != nil {
		return err
	}
	codec, err := value.NewCodec(d.of.Settings)
	if err != nil {
		return err
	}
	var known []*value.Dict
	for _, e := range entries {
		if e.Dict() != nil {
			known = append(known, e.Dict())
		}
	}
	codec.SetDicts(value.NewDicts(known, nil))
	found, err := dictionary.Collect(ctx, d.client, &d.of, codec, glob.Match, patterns)
	if err != nil {
		return err
	}
	if found.Failed > 0 {
		fmt.Fprintf(errs, "warning: %d values could not be opened, the first because %v\n", found.Failed, found.Err)
	}
	fmt.Fprintf(out, "looked at %d keys\n", found.Keys)
	for _, p := range patterns {
		said, err := d.store.Train(ctx, &d.of, p, found.Samples[p])
		if err != nil && !errors.Is(err, dictionary.ErrNoGain) && !errors.Is(err, dictionary.ErrTooFew) {
			return fmt.Errorf("pattern %s: %w", p, err)
		}
		printTrained(out, p, said, err)
	}
	return nil
}

func dictListCommand() *cobra.Command {
	d := &dictTool{}
	var asJSON bool
	cmd := d.command(&cobra.Command{
		Use:   "list --config FILE --tenant ID [--json]",
		Short: "List a tenant's dictionaries",
		Long: `Lists a tenant's dictionaries. Values are written with the current one of their
pattern; those that were written with a retired one need it until recompress
has run, which drops it then.`,
		Args: cobra.NoArgs,
	}, func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		all, err := d.list(ctx, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		if asJSON {
			return printDictsJSON(cmd.OutOrStdout(), all)
		}
		return printDicts(cmd.OutOrStdout(), all)
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the list in JSON")
	return cmd
}

func dictShowCommand() *cobra.Command {
	d := &dictTool{}
	var raw bool
	cmd := d.command(&cobra.Command{
		Use:   "show --config FILE --tenant ID DICTIONARY [--raw]",
		Short: "Show one dictionary",
		Long: `Shows what is known of a dictionary. With --raw the dictionary itself goes to
standard output, in the format of zstd, decrypted if the tenant has encryption:
it consists of what many of the tenant's values have in common.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one dictionary by its id, which dict list shows")
			}
			return nil
		},
	}, func(ctx context.Context, cmd *cobra.Command, args []string) error {
		id, err := dictionary.ParseID(args[0])
		if err != nil {
			return err
		}
		e, err := d.store.Get(ctx, &d.of, id)
		switch {
		case err != nil:
			return fmt.Errorf("dictionary %s of tenant %s: %w", args[0], d.tenant, err)
		case raw && len(e.Blob) == 0:
			return fmt.Errorf("dictionary %s of tenant %s was dropped", args[0], d.tenant)
		case raw:
			_, err := cmd.OutOrStdout().Write(e.Blob)
			return err
		}
		return printDict(cmd.OutOrStdout(), e)
	})
	cmd.Flags().BoolVar(&raw, "raw", false, "write the dictionary itself to standard output")
	return cmd
}
