// Command bench measures riptide-proxy side by side with direct Redis and
// with the proxies that people would otherwise use: HAProxy in TCP mode,
// twemproxy (Debian package nutcracker) and predixy.
//
//	go run ./bench                              everything, about a quarter of an hour
//	go run ./bench -quick                       the main rows, under three minutes
//	go run ./bench -list                        names of rows and targets
//	go run ./bench -only 'c50-.*-64b' -targets twemproxy,riptide
//	go run ./bench -out docs/performance.md     also put the figures in that file
//	PREDIXY=/path/to/predixy go run ./bench     with predixy
//
// Every server runs on this machine, on loopback, with one thread and one
// Redis behind all of them. A round measures each row once with each target,
// so whatever else slows the machine down meets all of them alike. Figures are
// medians over the rounds, ratios are taken inside a round.
//
// The load comes from redis-benchmark, which can only log in as one tenant and
// sends one command again and again. Transactions, scripts, blocking, pub/sub,
// values that are compressed or encrypted, the comparison of one tenant with a thousand, and tenants beside each other therefore have a
// small load generator of their own: this program runs itself as `bench loadgen`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

type options struct {
	rounds  int
	quick   bool
	only    *regexp.Regexp
	targets []string
	out     string
	list    bool
	limit   time.Duration
}

var errLimit = errors.New("reached the time limit")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()

	var err error
	if len(os.Args) > 1 && os.Args[1] == "loadgen" {
		err = loadgen(os.Stdin, os.Stdout)
	} else {
		err = run(ctx, os.Args[1:])
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (options, error) {
	var o options
	var only, targets string
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.IntVar(&o.rounds, "rounds", 0, "rounds to take the median of (default 5, with -quick 3)")
	set.BoolVar(&o.quick, "quick", false, "only the main rows, with a third of the requests")
	set.StringVar(&only, "only", "", "only rows whose name matches this regular expression")
	set.StringVar(&targets, "targets", "", "only these targets, comma separated")
	set.StringVar(&o.out, "out", "", "Markdown file whose measured part is replaced")
	set.BoolVar(&o.list, "list", false, "print the names of rows and targets")
	set.DurationVar(&o.limit, "limit", 30*time.Minute, "stop and report what there is after this long")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	if only != "" {
		var err error
		if o.only, err = regexp.Compile(only); err != nil {
			return o, fmt.Errorf("-only: %w", err)
		}
	}
	if targets != "" {
		o.targets = strings.Split(targets, ",")
	}
	switch {
	case o.rounds < 0:
		return o, errors.New("-rounds must be at least 1")
	case o.rounds == 0 && o.quick:
		o.rounds = 3
	case o.rounds == 0:
		o.rounds = 5
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	plain, stateful, values, tenants := chooseRows(o)
	sides := chooseSides(o)
	chosen, err := chooseTargets(o, len(values) > 0)
	if err != nil {
		return err
	}
	if o.list {
		list(os.Stdout)
		return nil
	}
	if len(plain)+len(stateful)+len(values)+len(tenants)+len(sides) == 0 {
		return errors.New("no row matches -only (see -list)")
	}
	if runtime.GOOS != "linux" {
		return errors.New("only Linux can read the processor time of another process precisely enough")
	}
	// Better to learn now than after ten minutes that the file has no place
	// for the figures.
	if o.out != "" {
		if err := checkReportFile(o.out); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, errLimit)
	defer cancel()

	machine := describeMachine()
	e, err := newEnv(ctx)
	if err != nil {
		return err
	}
	defer e.close()
	b := &bench{env: e, options: o, rows: plain, statefulRows: stateful, valueRows: values, tenantRows: tenants, sideRows: sides, log: os.Stderr}
	if err := b.startTargets(ctx, chosen); err != nil {
		return err
	}
	began := time.Now()
	switch err := b.measure(ctx); {
	case errors.Is(err, errLimit): // what there is by now is still worth reporting
		b.failures = append(b.failures, b.say("not all rounds: %v of %s", err, o.limit))
	case err != nil:
		return err
	}
	r := report{
		when:     began,
		took:     time.Since(began),
		args:     args,
		rounds:   o.rounds,
		machine:  machine,
		versions: b.versions(),
		absent:   b.absent,
		failures: b.failures,
		results:  b.results,
		stateful: b.stateful,
		values:   b.values,
		tenants:  b.tenants,
		sides:    b.sided,
	}
	fmt.Print(r.markdown())
	if o.out != "" {
		if err := writeReport(o.out, r.markdown()); err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "wrote", o.out)
	}
	if n := len(b.failures); n > 0 {
		return fmt.Errorf("%s, see the list in the report", plural(n, "failure"))
	}
	return nil
}

func list(w io.Writer) {
	fmt.Fprintln(w, "rows:")
	for _, r := range rows {
		fmt.Fprintf(w, "  %-20s %s\n", r.name(), r.title())
	}
	for _, r := range statefulRows {
		fmt.Fprintf(w, "  %-20s %s\n", r.name(), r.title())
	}
	for _, r := range valueRows {
		fmt.Fprintf(w, "  %-20s %s\n", r.name(), r.title())
	}
	for _, r := range tenantRows {
		fmt.Fprintf(w, "  %-20s %s\n", r.name(), r.title())
	}
	for _, r := range sideRows {
		fmt.Fprintf(w, "  %-20s %s\n", r.name(), r.title())
	}
	fmt.Fprintln(w, "targets:")
	for _, t := range targets {
		note := ""
		switch {
		case t.extra:
			note = "  (only when asked for)"
		case t.seals:
			note = "  (only with JSON, unless asked for)"
		}
		fmt.Fprintf(w, "  %s%s\n", t.name, note)
	}
}
