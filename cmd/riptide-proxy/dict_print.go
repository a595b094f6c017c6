package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"riptide-proxy/value/dictionary"
)

// printTrained says what came of a training.
func printTrained(out io.Writer, pattern string, e *dictionary.Entry, err error) {
	switch {
	case errors.Is(err, dictionary.ErrTooFew):
		fmt.Fprintf(out, "%s: nothing trained, %v\n", pattern, err)
	case e == nil:
		fmt.Fprintf(out, "%s: nothing stored, %v\n", pattern, err)
	case err != nil:
		fmt.Fprintf(out, "%s: nothing stored, %v (%s)\n", pattern, err, gainText(e.Gain))
	default:
		fmt.Fprintf(out, "%s: stored dictionary %08x of %d bytes (%s)\n", pattern, e.ID, len(e.Blob), gainText(e.Gain))
	}
}

func gainText(g dictionary.Gain) string {
	text := fmt.Sprintf("%d values of %d bytes take %d without a dictionary", g.Values, g.Plain, g.Without)
	if g.Present > 0 {
		text += fmt.Sprintf(", %d with the present one", g.Present)
	}
	return text + fmt.Sprintf(" and %d with the new one, %.1f %% less than plain", g.With, g.Total())
}

func printDicts(out io.Writer, all []*dictionary.Entry) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DICTIONARY\tPATTERN\tSIZE\tCREATED\tSTATE\tSAVED\tALL TOLD")
	for _, e := range all {
		fmt.Fprintf(w, "%08x\t%s\t%d\t%s\t%s\t%.1f %%\t%.1f %%\n", e.ID, e.Pattern, len(e.Blob), e.Created.Format(time.RFC3339),
			e.State(), e.Gain.Saved(), e.Gain.Total())
	}
	return w.Flush()
}

func printDictsJSON(out io.Writer, all []*dictionary.Entry) error {
	infos := make([]dictionary.Info, len(all))
	for i, e := range all {
		infos[i] = e.Info()
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(infos)
}

func printDict(out io.Writer, e *dictionary.Entry) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	row("dictionary", "%08x", e.ID)
	row("pattern", "%s", e.Pattern)
	row("state", "%s", e.State())
	row("size", "%d bytes", len(e.Blob))
	row("encrypted", "%t", e.Sealed)
	for _, at := range []struct {
		name string
		time time.Time
	}{{"created", e.Created}, {"retired", e.Retired}, {"dropped", e.Dropped}} {
		if !at.time.IsZero() {
			row(at.name, "%s", at.time.Format(time.RFC3339))
		}
	}
	row("trained with", "%d values", e.Samples)
	row("measured on", "%d values of %d bytes", e.Gain.Values, e.Gain.Plain)
	row("without", "%d bytes", e.Gain.Without)
	if e.Gain.Present > 0 {
		row("with the one before", "%d bytes", e.Gain.Present)
	}
	row("with", "%d bytes: %.1f %% less than without, %.1f %% less than plain", e.Gain.With, e.Gain.Saved(), e.Gain.Total())
	return w.Flush()
}
