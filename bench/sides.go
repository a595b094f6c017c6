package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// sideRow compares riptide with itself: the same load, and one thing different. A side is one such
// case, with the server that it loads.
type sideRow struct {
	label, what string
	main        bool
	latency     bool   // it is about how long commands take
	noise       string // what there is of it per second
	sides       []side
	run         func(b *bench, ctx context.Context, d side) (sample, error)
}

type side struct {
	name   string
	server string // of sideServers
	op     string
	depth  int    // of the pipeline
	noise  string // the server that carries the noise meanwhile; none: silence
}

func (r sideRow) name() string  { return r.label }
func (r sideRow) title() string { return r.what }

// sideServers are the variants of riptide that only rows of sides need.
var sideServers = map[string]variant{
	"fair":   {tenant: "fawn"},
	"unfair": {tenant: "urus", limits: "fair: false"},
	"apart":  {tenant: "asia", apart: true},
	"quotas": {tenant: "quad", settings: "quotas: {" + highQuotas + "}"},
	"audit":  {tenant: "auks", audits: true},
	"few":    {tenant: "flea", count: fewTenants, folder: true},
	"many":   {tenant: "mole", folder: true},
}

// highQuotas are such as nobody comes near.
const highQuotas = "ops_per_second: 100000000, bytes_in_per_second: 100GiB, bytes_out_per_second: 100GiB, memory: 100GiB, keys: 1000000000"

var (
	alone     = side{name: "alone", server: "fair"}
	elsewhere = side{name: "noise elsewhere", server: "fair", noise: "apart"}
	unfair    = side{name: "noise, fair: false", server: "unfair", noise: "unfair"}
	fair      = side{name: "noise", server: "fair", noise: "fair"}

	noQuotas  = side{name: "no quotas", server: "fair"}
	allQuotas = side{name: "quotas", server: "quotas"}

	noAudit   = side{name: "no audit log", server: "fair"}
	withAudit = side{name: "audit log", server: "audit"}
)

const (
	quietClients  = 10
	quietEvery    = 10 * time.Millisecond
	quietRun      = 4 * time.Second
	noiseClients  = 100
	noisePipeline = 1000
	noiseSize     = 16 << 10
	noiseLead     = time.Second // before and after what is measured
)

var sideRows = slices.Concat([]sideRow{{
	label: "neighbour", main: true, latency: true, noise: "noise, commands/s",
	what:  "a quiet tenant beside a noisy one",
	sides: []side{alone, elsewhere, unfair, fair},
	run:   (*bench).runNeighbour,
}, reloadRow()}, pairRows("quotas", "quotas that nobody is near", noQuotas, allQuotas), pairRows("audit", "an audit log at level write", noAudit, withAudit))

// pairRows compare riptide without something with one that has it.
func pairRows(label, what string, without, with side) (all []sideRow) {
	for _, depth := range []int{1, 16} {
		for _, op := range []string{"GET", "SET"} {
			r := sideRow{
				label: strings.ToLower(fmt.Sprintf("%s-p%d-%s", label, depth, op)),
				what:  fmt.Sprintf("50 clients, %s, %s, %s, %s", pipelining(depth), small.label, op, what),
				main:  depth == 1 == (op == "GET"),
				run:   (*bench).runPair,
			}
			// Twice in a round, in the order ABBA: they differ by little if all is well.
			for _, d := range []side{without, with, with, without} {
				d.op, d.depth = op, depth
				r.sides = append(r.sides, d)
			}
			all = append(all, r)
		}
	}
	return all
}

// startSides starts what the rows of sides need.
func (b *bench) startSides(ctx context.Context) error {
	b.sides = make(map[string]*server)
	for _, r := range b.sideRows {
		for _, d := range r.sides {
			for _, name := range []string{d.server, d.noise} {
				if name == "" || b.sides[name] != nil {
					continue
				}
				s, err := sideServers[name].start(ctx, b.env)
				if err != nil {
					return fmt.Errorf("riptide for %q: %w", d.name, err)
				}
				b.sides[name] = s
			}
		}
	}
	return nil
}

// measureSides runs each side of a row.
func (b *bench) measureSides(ctx context.Context, round, i int) error {
	r := b.sideRows[i]
	for _, d := range r.sides {
		got, err := r.run(b, ctx, d)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b.keep(b.sided[i], b.sides[d.server], d.name, round, got, err)
	}
	b.progress(round, b.sided[i])
	return nil
}

func newSideResult(r sideRow) *result {
	var names []string
	for _, d := range r.sides {
		if !slices.Contains(names, d.name) {
			names = append(names, d.name)
		}
	}
	res := newResult(r.label, r.what, names...)
	res.latency, res.noise = r.latency, r.noise
	return res
}

func (b *bench) runPair(ctx context.Context, d side) (sample, error) {
	s := b.sides[d.server]
	return b.generate(ctx, s, job{
		Addr: s.addr(), Logins: slices.Repeat([]login{s.login}, 50), Pipeline: d.depth, Op: d.op, Keys: tenantKeys, Duration: tenantRun,
	})
}

// runNeighbour measures what a quiet tenant waits. The noise comes from a process that gives way to
// all others, as the load of another machine would. It is another tenant's
// of the same proxy, or goes through a proxy to a Redis of its own: then it only keeps the
// machine busy.
func (b *bench) runNeighbour(ctx context.Context, d side) (sample, error) {
	s := b.sides[d.server]
	run := quietRun
	if b.options.quick {
		run /= 2
	}
	var other *generator
	if d.noise != "" {
		n := b.sides[d.noise]
		var err error
		other, err = startGenerator(ctx, b.env.self, job{
			Addr: n.addr(), Logins: slices.Repeat(n.tenants[1:2], noiseClients), Pipeline: noisePipeline, Op: opNoise, Size: noiseSize, Duration: run + 2*noiseLead,
		})
		if err != nil {
			return sample{}, fmt.Errorf("load generator of the noise: %w", err)
		}
		defer other.close()
	}
	g, err := startGenerator(ctx, b.env.self, job{
		Addr: s.addr(), Logins: slices.Repeat([]login{s.login}, quietClients), Pipeline: 1, Op: opQuiet, Size: 1 << 10, Keys: 1, Duration: run, Every: quietEvery,
	})
	if err != nil {
		return sample{}, fmt.Errorf("load generator: %w", err)
	}
	defer g.close()
	if other == nil {
		got, _, err := g.run()
		return got, err
	}
	type outcome struct {
		sample
		err error
	}
	noise := make(chan outcome, 1)
	go func() {
		got, _, err := other.run()
		noise <- outcome{got, err}
	}()
	select {
	case <-time.After(noiseLead):
	case <-ctx.Done():
		return sample{}, ctx.Err()
	}
	got, _, err := g.run()
	n := <-noise
	if err := errors.Join(err, n.err); err != nil {
		return sample{}, err
	}
	got.noise = n.rps
	return got, nil
}
