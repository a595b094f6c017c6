package ledger

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// column is one of a CSV file.
type column struct {
	name string
	text func(l *Line) string
}

func number(name string, of func(l *Line) int64) column {
	return column{name, func(l *Line) string { return strconv.FormatInt(of(l), 10) }}
}

// columns are named as the fields are in JSON.
var columns = []column{
	{"tenant", func(l *Line) string { return l.Tenant }},
	{"from", func(l *Line) string { return l.From.Format(time.RFC3339) }},
	{"to", func(l *Line) string { return l.To.Format(time.RFC3339) }},
	{"plan", func(l *Line) string { return Cell(l.Plan) }},
	number("hours", func(l *Line) int64 { return l.Hours }),
	{"closed", func(l *Line) string { return strconv.FormatBool(l.Closed) }},
	number("operations", func(l *Line) int64 { return l.Operations }),
	number("reads", func(l *Line) int64 { return l.Reads }),
	number("writes", func(l *Line) int64 { return l.Writes }),
	number("scripts", func(l *Line) int64 { return l.Scripts }),
	number("pubsub", func(l *Line) int64 { return l.PubSub }),
	number("other_operations", func(l *Line) int64 { return l.Other }),
	number("bytes_in", func(l *Line) int64 { return l.In }),
	number("bytes_out", func(l *Line) int64 { return l.Out }),
	number("throttled", func(l *Line) int64 { return l.Throttled }),
	number("refused", func(l *Line) int64 { return l.Refused }),
	number("connection_seconds", func(l *Line) int64 { return l.ConnSeconds }),
	{"connections_avg", func(l *Line) string { return l.ConnAverage.String() }},
	number("connections_peak", func(l *Line) int64 { return l.ConnPeak }),
	number("memory_byte_hours", func(l *Line) int64 { return l.MemoryByteHours }),
	number("memory_avg", func(l *Line) int64 { return l.MemoryAverage }),
	number("memory_peak", func(l *Line) int64 { return l.MemoryPeak }),
	number("keys_avg", func(l *Line) int64 { return l.KeysAverage }),
	number("keys_peak", func(l *Line) int64 { return l.KeysPeak }),
	number("storage_byte_hours", func(l *Line) int64 { return l.StorageByteHours }),
	number("storage_avg", func(l *Line) int64 { return l.StorageAverage }),
	number("storage_peak", func(l *Line) int64 { return l.StoragePeak }),
	number("late_operations", func(l *Line) int64 { return l.Late }),
}

// Cell makes text safe for a spreadsheet, which would take some for formulas.
func Cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}

// TagNames are those that any of the maps has, in order.
func TagNames(all []map[string]string) []string {
	names := make(map[string]struct{})
	for _, tags := range all {
		for name := range tags {
			names[name] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func tagNames(lines []*Line) []string {
	all := make([]map[string]string, len(lines))
	for i, l := range lines {
		all[i] = l.Tags
	}
	return TagNames(all)
}

// WriteCSV writes a header, and for each line a record: the columns, then one for
// each tag that any line has.
func WriteCSV(out io.Writer, lines []*Line) error {
	tags := tagNames(lines)
	w := csv.NewWriter(out)
	var record []string
	for _, c := range columns {
		record = append(record, c.name)
	}
	for _, tag := range tags {
		record = append(record, "tag_"+tag)
	}
	w.Write(record) // an error stays, for w.Error
	for _, l := range lines {
		record = record[:0]
		for _, c := range columns {
			record = append(record, c.text(l))
		}
		for _, tag := range tags {
			record = append(record, Cell(l.Tags[tag]))
		}
		w.Write(record)
	}
	w.Flush()
	return w.Error()
}

// WriteJSON writes a list of the lines.
func WriteJSON(out io.Writer, lines []*Line) error {
	if lines == nil {
		lines = []*Line{}
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(lines)
}

// WriteTable writes the main figures for people.
func WriteTable(out io.Writer, lines []*Line) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "TENANT\tFROM\tTO\tOPERATIONS\tIN\tOUT\tMEMORY AVG\tKEYS AVG\tCONNECTIONS\tTHROTTLED\tREFUSED\t")
	for _, l := range lines {
		open := ""
		if !l.Closed {
			open = "*"
		}
		fmt.Fprintf(w, "%s\t%s\t%s%s\t%d\t%d\t%d\t%d\t%d\t%s\t%d\t%d\t\n", l.Tenant, l.From.Format(minuteLayout), l.To.Format(minuteLayout), open,
			l.Operations, l.In, l.Out, l.MemoryAverage, l.KeysAverage, l.ConnAverage, l.Throttled, l.Refused)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if slices.ContainsFunc(lines, func(l *Line) bool { return !l.Closed }) {
		fmt.Fprintln(out, "* not closed yet")
	}
	return nil
}

const minuteLayout = "2006-01-02 15:04"
