package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// settle is how long a proxy may take to finish closing its connections before
// its processor time is read.
const settle = 50 * time.Millisecond

// bench carries out the measurement and collects the results.
type bench struct {
	env          *env
	options      options
	rows         []row
	statefulRows []statefulRow
	valueRows    []valueRow
	tenantRows   []tenantRow
	sideRows     []sideRow
	log          io.Writer

	servers  []*server
	absent   []string  // targets left out, and why
	failures []string  // runs without a result, and why
	results  []*result // of rows
	stateful []*result // of statefulRows
	values   []*result // of valueRows
	tenants  []*result // of tenantRows
	sided    []*result // of sideRows
	sides    map[string]*server
}

// startTargets starts what this machine has and stores the keys through each.
// What is missing is reported; a target that is there and does not work counts
// as a failure, of that target only.
func (b *bench) startTargets(ctx context.Context, chosen []target) error {
	for _, t := range chosen {
		s, err := t.start(ctx, b.env)
		if err == nil {
			s.name, s.whole, s.seals = t.name, t.whole, t.seals
			err = b.preload(ctx, s)
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			b.servers = append(b.servers, s)
		case isMissing(err):
			b.absent = append(b.absent, b.say("%s left out: %v", t.name, err))
		default:
			b.failures = append(b.failures, b.say("%s left out: %v", t.name, err))
		}
	}
	switch err := b.startSides(ctx); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isMissing(err):
		b.absent, b.sideRows = append(b.absent, b.say("%v", err)), nil
	case err != nil:
		b.failures, b.sideRows = append(b.failures, b.say("%v", err)), nil
	}
	if len(b.servers) == 0 && len(b.sideRows) == 0 {
		return errors.New("nothing to measure")
	}
	return nil
}

func (b *bench) preload(ctx context.Context, s *server) error {
	if s.seals {
		return nil
	}
	for _, v := range values(b.rows) {
		if err := preload(ctx, s.addr(), s.login, v); err != nil {
			return fmt.Errorf("store keys of %s: %w", v.label, err)
		}
	}
	return nil
}

// say logs a line and returns it for the report.
func (b *bench) say(format string, args ...any) string {
	line := fmt.Sprintf(format, args...)
	fmt.Fprintln(b.log, line)
	return line
}

// measure runs the rounds. A run that fails leaves a gap and is reported; only
// the end of ctx ends the measurement.
func (b *bench) measure(ctx context.Context) error {
	b.prepare()
	for round := range b.options.rounds {
		for i := range b.results {
			if redis := b.env.redis.proc; !redis.alive() {
				return redis.died()
			}
			// Each target takes each place in the order in turn, lest one
			// always follows the same neighbour.
			for _, s := range rotate(b.ordinary(), round+i) {
				got, err := b.runRow(ctx, s, b.rows[i])
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				b.keep(b.results[i], s, s.name, round, got, err)
			}
			b.progress(round, b.results[i])
		}
		for i := range b.stateful {
			for _, s := range rotate(b.wholeServers(), round+i) {
				got, err := b.runStateful(ctx, s, b.statefulRows[i])
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				b.keep(b.stateful[i], s, s.name, round, got, err)
			}
			b.progress(round, b.stateful[i])
		}
		for i := range b.values {
			for _, s := range rotate(b.variants(), round+i) {
				got, err := b.runValues(ctx, s, b.valueRows[i])
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				b.keep(b.values[i], s, s.name, round, got, err)
			}
			b.progress(round, b.values[i])
		}
		for i := range b.tenants {
			if err := b.compareTenants(ctx, round, i); err != nil {
				return err
			}
		}
		for i := range b.sided {
			if err := b.measureSides(ctx, round, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareTenants runs one row of tenantRows. Its two sets differ by little if
// all is well, so each is measured twice in a round, in the order ABBA, which
// also cancels a steady drift of the machine.
func (b *bench) compareTenants(ctx context.Context, round, i int) error {
	s := b.withTenants()
	passes := 2
	if b.options.quick {
		passes = 1
	}
	for pass := range passes {
		for _, set := range rotate([]tenantSet{oneTenant, manyTenants}, round+i+pass) {
			got, err := b.runTenants(ctx, s, b.tenantRows[i], set)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			b.keep(b.tenants[i], s, set.name, round, got, err)
		}
		b.progress(round, b.tenants[i])
	}
	return nil
}

// prepare makes a result for every row; without a server that has tenants
// there are none for the rows that compare them.
func (b *bench) prepare() {
	if on := namesOf(b.ordinary()); len(on) > 0 {
		for _, r := range b.rows {
			b.results = append(b.results, newResult(r.name(), r.title(), on...))
		}
	}
	if on := namesOf(b.wholeServers()); len(on) > 0 {
		for _, r := range b.statefulRows {
			res := newResult(r.name(), r.title(), on...)
			res.unit = "operation"
			b.stateful = append(b.stateful, res)
		}
	}
	if on := namesOf(b.variants()); len(on) > 0 {
		for _, r := range b.valueRows {
			b.values = append(b.values, newResult(r.name(), r.title(), on...))
		}
	}
	for _, r := range b.sideRows {
		b.sided = append(b.sided, newSideResult(r))
	}
	if b.withTenants() == nil {
		return
	}
	for _, r := range b.tenantRows {
		b.tenants = append(b.tenants, newResult(r.name(), r.title(), oneTenant.name, manyTenants.name))
	}
}

func namesOf(servers []*server) (names []string) {
	for _, s := range servers {
		names = append(names, s.name)
	}
	return names
}

// ordinary are the servers that take part in more than valueRows.
func (b *bench) ordinary() []*server {
	return slices.DeleteFunc(slices.Clone(b.servers), func(s *server) bool { return s.seals })
}

// wholeServers are those on which rows of statefulRows can run.
func (b *bench) wholeServers() []*server {
	return slices.DeleteFunc(b.ordinary(), func(s *server) bool { return !s.whole })
}

// variants are those of riptide, on which valueRows are measured.
func (b *bench) variants() []*server {
	return slices.DeleteFunc(slices.Clone(b.servers), func(s *server) bool { return s.tenants == nil })
}

// withTenants is the server on which one tenant is compared with many.
func (b *bench) withTenants() *server {
	for _, s := range b.ordinary() {
		if s.tenants != nil {
			return s
		}
	}
	return nil
}

func rotate[T any](all []T, by int) []T {
	by %= len(all)
	return append(append([]T{}, all[by:]...), all[:by]...)
}

// keep files a sample, or a gap and the reason for it.
func (b *bench) keep(r *result, s *server, series string, round int, got sample, err error) {
	if err == nil {
		got.ok = true
	} else if !s.down {
		if s.proc != nil && !s.proc.alive() {
			s.down = true // said once, not for every row that is left
			err = fmt.Errorf("%w: %w", errEnded, s.proc.died())
		}
		b.failures = append(b.failures, b.say("round %d, %s, %s: %v", round+1, r.name, series, err))
	}
	r.samples[series] = append(r.samples[series], got)
}

func (b *bench) runRow(ctx context.Context, s *server, r row) (sample, error) {
	return b.observe(ctx, s, r.op, func() (sample, int64, error) {
		got, err := redisBenchmark(ctx, b.env.benchmark, s, r)
		return got, int64(r.requests), err
	})
}

// observe wraps a load with what is the same for all loads: it reads the
// processor time of the proxy and of Redis before and after, and makes sure
// that Redis saw every command and found every key.
func (b *bench) observe(ctx context.Context, s *server, op string, load func() (sample, int64, error)) (sample, error) {
	if s.down {
		return sample{}, errEnded
	}
	before, err := b.read(s, op)
	if err != nil {
		return sample{}, err
	}
	got, n, err := load()
	if err != nil {
		return sample{}, err
	}
	select {
	case <-ctx.Done():
		return sample{}, ctx.Err()
	case <-time.After(settle):
	}
	after, err := b.read(s, op)
	if err != nil {
		return sample{}, err
	}
	if err := check(op, n, before.counters, after.counters); err != nil {
		return sample{}, err
	}
	got.cpu = perCommand(after.proxy-before.proxy, n)
	got.redisCPU = perCommand(after.redis-before.redis, n)
	return got, nil
}

func perCommand(t time.Duration, n int64) float64 {
	return float64(t.Nanoseconds()) / 1000 / float64(n)
}

// reading is the state of the meters at one moment.
type reading struct {
	proxy, redis time.Duration
	counters     counters
}

func (b *bench) read(s *server, op string) (r reading, err error) {
	if r.counters, err = readCounters(b.env.counters, op); err != nil {
		return r, fmt.Errorf("counters of Redis: %w", err)
	}
	if r.redis, err = b.env.redis.proc.cpu(); err != nil {
		return r, fmt.Errorf("processor time of Redis: %w", err)
	}
	if s.proc != nil {
		if r.proxy, err = s.proc.cpu(); err != nil {
			return r, fmt.Errorf("processor time: %w", err)
		}
	}
	return r, nil
}

// progress prints one line with the latest samples of a row.
func (b *bench) progress(round int, r *result) {
	var line strings.Builder
	for _, name := range r.order {
		all := r.samples[name]
		got := all[len(all)-1]
		switch {
		case !got.ok:
			fmt.Fprintf(&line, "  %s failed", name)
		case got.cpu == 0 && r.latency:
			fmt.Fprintf(&line, "  %s p99 %.2f ms", name, got.p99)
		case got.cpu == 0:
			fmt.Fprintf(&line, "  %s %s/s", name, thousands(got.rps))
		default:
			fmt.Fprintf(&line, "  %s %s/s %.2f us", name, thousands(got.rps), got.cpu)
		}
	}
	fmt.Fprintf(b.log, "%d/%d %-16s%s\n", round+1, b.options.rounds, r.name, line.String())
}

// versions lists the programs that took part.
func (b *bench) versions() []string {
	all := []string{
		"Redis " + b.env.redis.version,
		"redis-benchmark " + b.env.benchmarkVersion,
	}
	for _, s := range b.servers {
		if s.proc != nil {
			all = append(all, s.name+" "+s.version)
		}
	}
	return all
}
