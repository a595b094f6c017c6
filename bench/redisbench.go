package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// benchArgs is the command line of redis-benchmark for a row. It names its own
// keys instead of using -t, because -t gives values of all sizes the same keys.
func benchArgs(s *server, r row) []string {
	args := []string{
		"-h", host, "-p", strconv.Itoa(s.port),
		"-c", strconv.Itoa(r.clients), "-P", strconv.Itoa(r.pipeline),
		"-n", strconv.Itoa(r.requests), "-r", strconv.Itoa(r.value.keys), "--csv",
	}
	if s.login.Secret != "" {
		args = append(args, "--user", s.login.User, "-a", s.login.Secret)
	}
	args = append(args, r.op, r.value.key+":__rand_int__")
	if r.op == "SET" {
		args = append(args, r.value.content())
	}
	return args
}

// redisBenchmark runs it once. A peer without CONFIG makes it warn on standard
// error and carry on; an error reply to a measured command makes it fail.
func redisBenchmark(ctx context.Context, path string, s *server, r row) (sample, error) {
	out, err := output(ctx, path, benchArgs(s, r)...)
	if err != nil {
		return sample{}, fmt.Errorf("redis-benchmark: %w", err)
	}
	return parseBenchmark(out)
}

// parseBenchmark reads the header and the one line that follow from --csv. The
// first field is the command itself, printed without escaping and possibly with
// commas, so fields are counted from the end.
func parseBenchmark(out string) (sample, error) {
	bad := func(why string) (sample, error) {
		return sample{}, fmt.Errorf("redis-benchmark printed %s: %q", why, tail(out, 2))
	}
	at := strings.Index(out, `"test",`)
	if at < 0 {
		return bad("no header (version 6.2 or newer is needed)")
	}
	header, rest, _ := strings.Cut(out[at:], "\n")
	names := csvFields(header)
	fields := csvFields(rest)
	if len(fields) < len(names) {
		return bad("no figures")
	}
	fields = fields[len(fields)-len(names):]
	figure := map[string]float64{}
	for i, name := range names[1:] {
		v, err := strconv.ParseFloat(fields[i+1], 64)
		if err != nil {
			return bad("something that is not a number for " + name)
		}
		figure[name] = v
	}
	var s sample
	for name, to := range map[string]*float64{
		"rps": &s.rps, "p50_latency_ms": &s.p50, "p99_latency_ms": &s.p99,
	} {
		v, ok := figure[name]
		if !ok {
			return bad("no column " + name)
		}
		*to = v
	}
	return s, nil
}

func csvFields(line string) []string {
	return strings.Split(strings.Trim(strings.TrimSpace(line), `"`), `","`)
}

// counters are the figures of Redis that tell what really arrived there.
type counters struct {
	calls  int64 // of the measured command
	failed int64 // of those, refused or failed
	hits   int64
	misses int64
}

func readCounters(c *conn, op string) (counters, error) {
	stats, err := c.do("INFO", "stats")
	if err != nil {
		return counters{}, err
	}
	commands, err := c.do("INFO", "commandstats")
	if err != nil {
		return counters{}, err
	}
	return parseCounters(stats, commands, op)
}

func parseCounters(stats, commands, op string) (counters, error) {
	var n counters
	var err error
	read := func(text, before, after string) int64 {
		_, rest, found := strings.Cut(text, before)
		if !found {
			return 0 // a command that has not run yet has no line
		}
		end := strings.IndexAny(rest, after)
		if end < 0 {
			end = len(rest)
		}
		v, e := strconv.ParseInt(rest[:end], 10, 64)
		if e != nil {
			err = fmt.Errorf("INFO: %s: %w", before, e)
		}
		return v
	}
	n.hits = read(stats, "keyspace_hits:", "\r\n")
	n.misses = read(stats, "keyspace_misses:", "\r\n")
	if _, line, found := strings.Cut(commands, "cmdstat_"+strings.ToLower(op)+":"); found {
		line, _, _ = strings.Cut(line, "\r\n")
		n.calls = read(line, "calls=", ",")
		n.failed = read(line, "rejected_calls=", ",") + read(line, "failed_calls=", ",")
	}
	return n, err
}

// ownLooks is how many keys a proxy may look for, for its own sake and in vain, in a run.
const ownLooks = 16

// check compares counters before and after a run of n commands: all of them
// must have reached Redis, and every GET must have found its key. Otherwise
// the target was measured at something easier than its work.
func check(op string, n int64, before, after counters) error {
	calls, failed := after.calls-before.calls, after.failed-before.failed
	hits, misses := after.hits-before.hits, after.misses-before.misses
	switch {
	case calls < n:
		return fmt.Errorf("only %d of %d commands reached Redis", calls, n)
	case failed > 0:
		return fmt.Errorf("%d commands were refused by Redis", failed)
	case op == "GET" && (misses > ownLooks || hits < n):
		return fmt.Errorf("%d hits and %d misses for %d GETs", hits, misses, n)
	}
	return nil
}
