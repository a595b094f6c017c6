package main

import (
	"math"
	"slices"
)

// sample is one run of one row with one target. Latencies are milliseconds,
// processor times microseconds per command.
type sample struct {
	ok       bool // false for a run that failed: a gap in its round
	rps      float64
	p50, p99 float64
	cpu      float64 // of the proxy; 0 for direct Redis
	redisCPU float64
	noise    float64 // what happens besides, per second
}

// result holds the samples of one row, one series for each target. All series
// of a row grow together: samples with the same index were taken side by side.
type result struct {
	name, title string
	unit        string   // what is counted
	latency     bool     // it is about how long commands take
	noise       string   // what there is of it per second
	order       []string // names of the series as tables show them
	samples     map[string][]sample
}

func newResult(name, title string, series ...string) *result {
	return &result{name: name, title: title, unit: "command", order: series, samples: map[string][]sample{}}
}

// metric picks a figure from a sample.
type metric struct {
	name string
	of   func(sample) float64
}

var (
	rps      = metric{"requests per second", func(s sample) float64 { return s.rps }}
	p50      = metric{"p50", func(s sample) float64 { return s.p50 }}
	p99      = metric{"p99", func(s sample) float64 { return s.p99 }}
	cpu      = metric{"CPU", func(s sample) float64 { return s.cpu }}
	noiseRPS = metric{"noise", func(s sample) float64 { return s.noise }}
	redisCPU = metric{"CPU of Redis", func(s sample) float64 { return s.redisCPU }}
)

// summary says where the figures of several rounds lie; n is 0 if there are
// none.
type summary struct {
	median, min, max float64
	n                int
}

func summarize(xs []float64) summary {
	if len(xs) == 0 {
		return summary{}
	}
	xs = slices.Sorted(slices.Values(xs))
	mid := len(xs) / 2
	median := xs[mid]
	if len(xs)%2 == 0 {
		median = (xs[mid-1] + xs[mid]) / 2
	}
	return summary{median: median, min: xs[0], max: xs[len(xs)-1], n: len(xs)}
}

// figures summarizes one metric of one series over the rounds.
func (r *result) figures(series string, m metric) summary {
	var xs []float64
	for _, s := range r.samples[series] {
		if s.ok {
			xs = append(xs, m.of(s))
		}
	}
	return summarize(xs)
}

// ratio summarizes ours / theirs over pairs that were taken side by side, since
// both of a pair met about the same state of the machine. A pair of which one
// failed does not count.
func (r *result) ratio(ours, theirs string, m metric) summary {
	a, b := r.samples[ours], r.samples[theirs]
	var xs []float64
	for i := range min(len(a), len(b)) {
		q := m.of(a[i]) / m.of(b[i])
		if a[i].ok && b[i].ok && !math.IsNaN(q) && !math.IsInf(q, 0) {
			xs = append(xs, q)
		}
	}
	return summarize(xs)
}
