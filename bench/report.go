package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// The marks enclose the part of a document that belongs to this program; the
// prose around them stays.
const (
	markBegin = "<!-- bench:begin (written by go run ./bench, do not edit) -->"
	markEnd   = "<!-- bench:end -->"
)

// report is all that is known after a run.
type report struct {
	when     time.Time
	took     time.Duration
	args     []string
	rounds   int
	machine  []string
	versions []string
	absent   []string
	failures []string
	results  []*result
	stateful []*result
	values   []*result
	tenants  []*result
	sides    []*result
}

func (r report) markdown() string {
	var b strings.Builder
	r.writeHead(&b)
	r.writeGoals(&b)
	writeOverview(&b, r.results)
	writeOverview(&b, r.stateful)
	writeOverview(&b, r.values)
	for _, res := range slices.Concat(r.results, r.stateful, r.values, r.tenants, r.sides) {
		if res.latency {
			writeLatency(&b, res)
			continue
		}
		writeResult(&b, res)
	}
	return b.String()
}

func (r report) writeHead(b *strings.Builder) {
	fmt.Fprintf(b, "Measured on %s in %s with `%s`: medians of %s, smallest and largest in brackets.\n\n",
		r.when.UTC().Format("2006-01-02"), r.took.Round(time.Second),
		strings.Join(append([]string{"go run ./bench"}, r.args...), " "), plural(r.rounds, "interleaved round"))
	for _, group := range [][]string{r.machine, r.versions, r.absent} {
		for _, line := range group {
			fmt.Fprintf(b, "- %s\n", line)
		}
	}
	if len(r.failures) > 0 {
		b.WriteString("\nThese failed and are missing from the figures:\n\n")
		for _, f := range r.failures {
			fmt.Fprintf(b, "- %s\n", f)
		}
	}
}

func (r report) writeGoals(b *strings.Builder) {
	b.WriteString("\n### Targets\n\nRatios are taken within each round.\n\n")
	writeTable(b, []string{"load", "target", "measured", "holds"}, func(add func(...string)) {
		for _, g := range goals {
			var measured summary
			if res := r.find(g.row); res != nil {
				measured = res.ratio(g.ours, g.theirs, g.metric)
			}
			add(titleOf(g.row), g.String(), span(measured, twoDigits), g.holds(measured))
		}
	})
}

func (r report) find(row string) *result {
	for _, res := range slices.Concat(r.results, r.stateful, r.values, r.tenants, r.sides) {
		if res.name == row {
			return res
		}
	}
	return nil
}

// writeOverview compares the processor time of all targets at one glance, in
// rows that all have the same targets.
func writeOverview(b *strings.Builder, results []*result) {
	if len(results) == 0 {
		return
	}
	names := slices.DeleteFunc(slices.Clone(results[0].order), func(name string) bool { return name == "direct" })
	fmt.Fprintf(b, "\n### CPU of the proxy, microseconds per %s\n\n", results[0].unit)
	writeTable(b, append([]string{"load"}, names...), func(add func(...string)) {
		for _, res := range results {
			cells := []string{res.title}
			for _, name := range names {
				cells = append(cells, median(res.figures(name, cpu), twoDigits))
			}
			add(cells...)
		}
	})
}

// writeResult shows everything about one row. The last column compares the
// processor time of one series with that of each other one: riptide with its
// peers, a thousand tenants with one.
func writeResult(b *strings.Builder, res *result) {
	ours := "riptide"
	if res.samples[ours] == nil {
		ours = res.order[len(res.order)-1]
	}
	fmt.Fprintf(b, "\n### %s\n\n", res.title)
	head := []string{"", res.unit + "s/s", "p50 ms", "p99 ms", "proxy CPU us/" + res.unit, "Redis CPU us/" + res.unit,
		"CPU of " + ours + " / this"}
	writeTable(b, head, func(add func(...string)) {
		for _, name := range res.order {
			ratio := "-"
			if name != ours {
				ratio = span(res.ratio(ours, name, cpu), twoDigits)
			}
			proxy := res.figures(name, cpu)
			if proxy.max == 0 {
				proxy = summary{} // direct has no proxy
			}
			add(name,
				span(res.figures(name, rps), thousands),
				span(res.figures(name, p50), milliseconds),
				span(res.figures(name, p99), milliseconds),
				span(proxy, twoDigits),
				span(res.figures(name, redisCPU), twoDigits),
				ratio)
		}
	})
}

// writeLatency shows how long commands take in each case, beside the first one.
func writeLatency(b *strings.Builder, res *result) {
	fmt.Fprintf(b, "\n### %s\n\n", res.title)
	first := res.order[0]
	writeTable(b, []string{"", res.unit + "s/s", "p50 ms", "p99 ms", "p99 / " + first, res.noise}, func(add func(...string)) {
		for _, name := range res.order {
			ratio, noise := "-", res.figures(name, noiseRPS)
			if name != first {
				ratio = span(res.ratio(name, first, p99), twoDigits)
			}
			if noise.max == 0 {
				noise = summary{}
			}
			add(name, span(res.figures(name, rps), thousands), span(res.figures(name, p50), milliseconds),
				span(res.figures(name, p99), milliseconds), ratio, span(noise, perSecond))
		}
	})
}

// writeTable pads the cells, so that the table can be read on a terminal too.
func writeTable(b *strings.Builder, head []string, fill func(add func(...string))) {
	rule := make([]string, len(head))
	table := [][]string{head, rule}
	fill(func(cells ...string) { table = append(table, cells) })
	width := make([]int, len(head))
	for _, line := range table {
		for i, cell := range line {
			width[i] = max(width[i], len(cell), 3)
		}
	}
	for i := range rule {
		rule[i] = strings.Repeat("-", width[i])
	}
	for _, line := range table {
		for i, cell := range line {
			fmt.Fprintf(b, "| %-*s ", width[i], cell)
		}
		b.WriteString("|\n")
	}
}

func twoDigits(x float64) string    { return fmt.Sprintf("%.2f", x) }
func milliseconds(x float64) string { return fmt.Sprintf("%.2f", x) }

// perSecond is for what there may be few of.
func perSecond(x float64) string {
	if x < 1000 {
		return fmt.Sprintf("%.0f", x)
	}
	return thousands(x)
}

func thousands(x float64) string { return fmt.Sprintf("%.1fk", x/1000) }

func median(s summary, format func(float64) string) string {
	if s.n == 0 || s.max == 0 {
		return "-"
	}
	return format(s.median)
}

// span is the median and, in brackets, the range that the rounds covered.
func span(s summary, format func(float64) string) string {
	switch s.n {
	case 0:
		return "-"
	case 1:
		return format(s.median)
	}
	return fmt.Sprintf("%s (%s-%s)", format(s.median), format(s.min), format(s.max))
}

// checkReportFile makes sure that writeReport will find its place.
func checkReportFile(path string) error {
	old, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err == nil {
		_, err = replaceMarked(string(old), "")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeReport replaces what is between the marks of a file, or makes the file.
func writeReport(path, measured string) error {
	old, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		old = []byte("# Performance\n\n" + markBegin + "\n" + markEnd + "\n")
	} else if err != nil {
		return err
	}
	text, err := replaceMarked(string(old), measured)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

func replaceMarked(text, measured string) (string, error) {
	before, rest, found := strings.Cut(text, markBegin)
	if !found {
		return "", fmt.Errorf("the line %q is missing", markBegin)
	}
	_, after, found := strings.Cut(rest, markEnd)
	if !found {
		return "", fmt.Errorf("the line %q is missing after the begin mark", markEnd)
	}
	return before + markBegin + "\n\n" + strings.TrimSpace(measured) + "\n\n" + markEnd + after, nil
}
