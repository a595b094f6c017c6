package checkpoint

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"riptide-proxy/tests/harness"
)

// process is one whose state is a text.
type process struct {
	*Keeper
	state    atomic.Value
	restored atomic.Value
}

func keep(t *testing.T, dir string, interval time.Duration, most int) *process {
	t.Helper()
	p := new(process)
	p.state.Store("begin")
	p.Keeper = NewKeeper(open(t, dir, most), Options{
		Interval: interval, Keep: most,
		Take: func(context.Context) ([]byte, error) {
			text := p.state.Load().(string)
			switch text {
			case "fail":
				return nil, errors.New("it can not be told")
			case "panic":
				panic("that was not expected")
			}
			return []byte(text), nil
		},
		Restore: func(_ context.Context, _ Info, body []byte) error {
			if string(body) == "strange" {
				return errors.New("not understood")
			}
			p.restored.Store(string(body))
			return nil
		},
	})
	t.Cleanup(p.Close)
	return p
}

func (p *process) count(t *testing.T) int {
	t.Helper()
	all, err := p.List()
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// A checkpoint is written every interval, which can be changed at any time, and none after Close.
func TestKeeperInterval(t *testing.T) {
	p := keep(t, t.TempDir(), time.Hour, 3)
	p.Apply(time.Millisecond, 2)
	harness.Eventually(t, "checkpoints are written", func() bool {
		all, err := p.List()
		return err == nil && len(all) == 2 && all[0].Number > 5
	})
	p.Apply(0, 2)
	harness.Eventually(t, "no more are written", func() bool {
		before, _ := p.List()
		time.Sleep(20 * time.Millisecond)
		after, _ := p.List()
		return before[0] == after[0]
	})
	p.Close()
	p.Apply(time.Millisecond, 2) // nobody listens
	p.Apply(time.Millisecond, 2)
	if info, err := p.Save(t.Context()); err != nil || info.Number < 5 {
		t.Errorf("after Close: %+v, %v", info, err)
	}
}

// What is saved can be restored by its number, or the youngest that is good; what fails changes nothing.
func TestKeeperRestore(t *testing.T) {
	p := keep(t, t.TempDir(), 0, 10)
	if _, err := p.Restore(t.Context(), 0); !errors.Is(err, ErrNone) {
		t.Errorf("of nothing: %v", err)
	}
	for _, text := range []string{"one", "two", "strange"} {
		p.state.Store(text)
		if _, err := p.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"fail", "panic"} {
		p.state.Store(text)
		if _, err := p.Save(t.Context()); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
	for number, want := range map[uint64]string{0: "two", 1: "one", 2: "two"} {
		info, err := p.Restore(t.Context(), number)
		if got := p.restored.Load(); err != nil || got != want || number > 0 && info.Number != number {
			t.Errorf("%d: %q %+v %v, want %q", number, got, info, err, want)
		}
	}
	if _, err := p.Restore(t.Context(), 3); err == nil || !strings.Contains(err.Error(), "not understood") {
		t.Errorf("%v", err)
	}
	if _, err := p.Restore(t.Context(), 99); !errors.Is(err, ErrNone) {
		t.Errorf("%v", err)
	}
	if n := p.count(t); n != 3 {
		t.Errorf("there are %d", n)
	}
}

// The metrics tell how often it worked and how often it did not.
func TestKeeperMetrics(t *testing.T) {
	p := keep(t, t.TempDir(), 0, 3)
	registry := prometheus.NewRegistry()
	registry.MustRegister(p)
	for _, text := range []string{"good", "fail", "panic", "good"} {
		p.state.Store(text)
		p.Save(t.Context())
	}
	all, err := p.List()
	if err != nil {
		t.Fatal(err)
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP riptide_checkpoint_total Checkpoints by what became of them: ok, failed.
# TYPE riptide_checkpoint_total counter
riptide_checkpoint_total{result="failed"} 2
riptide_checkpoint_total{result="ok"} 2
`), "riptide_checkpoint_total"); err != nil {
		t.Error(err)
	}
	if got := testutil.ToFloat64(p.metrics.size); got != float64(all[0].Size) {
		t.Errorf("size %v, want %d", got, all[0].Size)
	}
	if got := testutil.ToFloat64(p.metrics.last); time.Since(time.UnixMilli(int64(got*1000))) > time.Minute {
		t.Errorf("last at %v", got)
	}
	if n := testutil.CollectAndCount(p, "riptide_checkpoint_duration_seconds"); n != 1 {
		t.Errorf("%d histograms", n)
	}
}
