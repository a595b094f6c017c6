package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"riptide-proxy/value/rewrite"
)

// line is how far a job is.
func (j *job) line(s rewrite.State) string {
	return fmt.Sprintf("%s %s: %.0f %%, %d keys, %d values, %d rewritten, %s, errors: %d, %.0f keys/s",
		j.kind, j.tenant, 100*s.Done(), s.Keys, s.Values, s.Rewritten, bytesLine(s), s.Failed, s.Rate())
}

// bytesLine tells what became of the bytes.
func bytesLine(s rewrite.State) string {
	change := "saved"
	saved := s.Saved()
	if saved < 0 {
		change, saved = "more", -saved
	}
	percent := 0.0
	if s.Before > 0 {
		percent = 100 * float64(saved) / float64(s.Before)
	}
	return fmt.Sprintf("%s -> %s (%s %s, %.0f %%)", human(s.Before), human(s.After), human(saved), change, percent)
}

// human is a number of bytes for people.
func human(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/1024, 0
	for size >= 1024 && unit < 3 {
		size, unit = size/1024, unit+1
	}
	return fmt.Sprintf("%.1f %s", size, [...]string{"KiB", "MiB", "GiB", "TiB"}[unit])
}

// print writes what a job has done; names are those of keys by their ids.
func (j *job) print(out io.Writer, s rewrite.State, names map[string]string) error {
	if j.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-18s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	what := string(j.kind)
	if s.Plain {
		what += " --plain"
	}
	switch {
	case strings.HasPrefix(s.Running, string(j.kind)+" "):
		row(what, "tenant %s: %.0f %% done, runs now (%s)", j.tenant, 100*s.Done(), s.Running)
	case s.Finished.IsZero():
		row(what, "tenant %s: %.0f %% done, stopped %s; the next run goes on", j.tenant, 100*s.Done(), s.Updated.Format(time.RFC3339))
	default:
		row(what, "tenant %s: finished %s", j.tenant, s.Finished.Format(time.RFC3339))
	}
	row("time", "%v, runs: %d, %.0f keys/s", time.Duration(s.Seconds*float64(time.Second)).Round(time.Millisecond), s.Runs, s.Rate())
	row("keys", "%d: strings %d, hashes %d, streams %d, others %d", s.Keys, s.Strings, s.Hashes, s.Streams, s.Keys-s.Strings-s.Hashes-s.Streams)
	row("values", "%d: rewritten %d, written by others meanwhile %d, left because of errors %d", s.Values, s.Rewritten, s.Raced, s.Failed)
	row("bytes", "%s", bytesLine(s))
	if s.Streams > 0 {
		row("streams", "%d values of fields, of which %d are sealed; they stay as they were added", s.StreamValues, s.StreamSealed)
	}
	for _, id := range sortedKeys(s.KeyID) {
		name, known := names[id]
		if !known {
			name = "not configured"
		}
		row("key", "%s (%s): %d values", name, id, s.KeyID[id])
	}
	for _, id := range sortedKeys(s.Dicts) {
		row("dictionary", "%s: %d values", id, s.Dicts[id])
	}
	if len(s.Dropped) > 0 {
		row("dropped", "dictionaries %s, which no value needed", strings.Join(s.Dropped, ", "))
	}
	if s.Kept != "" {
		row("kept", "%s", s.Kept)
	}
	for _, f := range s.Failures {
		if f.Field != "" {
			f.Key += " field " + f.Field
		}
		row("error", "%s: %s", f.Key, f.Error)
	}
	if more := s.Failed - int64(len(s.Failures)); more > 0 {
		row("error", "and %d more", more)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// printable takes out what a terminal would obey. The state of a job is in the
// upstream, where others may write too.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
