package main

import "testing"

func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want summary
	}{
		{nil, summary{}},
		{[]float64{4}, summary{4, 4, 4, 1}},
		{[]float64{9, 1, 5}, summary{5, 1, 9, 3}},
		{[]float64{4, 1, 2, 8}, summary{3, 1, 8, 4}},
	} {
		if got := summarize(c.in); got != c.want {
			t.Errorf("summarize(%v) = %+v, want %+v", c.in, got, c.want)
		}
	}
	in := []float64{3, 1, 2}
	summarize(in)
	if in[0] != 3 {
		t.Error("summarize reordered its argument")
	}
}

func cpuSeries(figures ...float64) []sample {
	var all []sample
	for _, f := range figures {
		all = append(all, sample{ok: f > 0, cpu: f})
	}
	return all
}

// A negative figure stands for a run that failed.
func TestRatioPairsSamples(t *testing.T) {
	r := newResult("row", "Row", "a", "b")
	r.samples["a"] = cpuSeries(1, 20, -1, 3)
	r.samples["b"] = cpuSeries(2, 20, 5, -1)
	if got, want := r.ratio("a", "b", cpu), (summary{0.75, 0.5, 1, 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := r.figures("a", cpu), (summary{3, 1, 20, 3}); got != want {
		t.Errorf("figures: got %+v, want %+v", got, want)
	}
	if got := r.ratio("a", "none", cpu); got.n != 0 {
		t.Errorf("ratio to a series that does not exist: %+v", got)
	}
	if got := r.ratio("a", "b", rps); got.n != 0 {
		t.Errorf("zero divided by zero counts: %+v", got)
	}
}

func TestGoalHolds(t *testing.T) {
	for _, c := range []struct {
		sign     string
		measured summary
		want     string
	}{
		{"<=", summary{median: 0.8, n: 1}, "yes"},
		{"<=", summary{median: 0.81, n: 1}, "**no**"},
		{"<", summary{median: 0.8, n: 1}, "**no**"},
		{">", summary{median: 0.81, n: 1}, "yes"},
		{">", summary{}, "not measured"},
	} {
		if got := (goal{sign: c.sign, limit: 0.8}).holds(c.measured); got != c.want {
			t.Errorf("%v %s 0.8: got %s, want %s", c.measured.median, c.sign, got, c.want)
		}
	}
}

// A goal that misspells its row or series would say "not measured" for ever.
func TestGoalsNameWhatExists(t *testing.T) {
	for _, g := range goals {
		if titleOf(g.row) == g.row {
			t.Errorf("no row is called %q", g.row)
		}
		for _, name := range []string{g.ours, g.theirs} {
			known := name == oneTenant.name || name == manyTenants.name
			for _, r := range sideRows {
				for _, d := range r.sides {
					known = known || r.name() == g.row && d.name == name
				}
			}
			for _, target := range targets {
				known = known || target.name == name
			}
			if !known {
				t.Errorf("%s: no series is called %q", g.row, name)
			}
		}
	}
}
