package config

import "time"

// Checkpoint says how often a proxy writes down what it wants to know again after a restart.
// It needs state_dir.
type Checkpoint struct {
	// Interval is the time between two checkpoints; there is one at shutdown as well.
	// 100ms to 24h; default 5m. 0s: only at shutdown and when it is asked for.
	Interval Duration `yaml:"interval"`

	// Keep is how many are kept. 1 to 1000; default 5.
	Keep int `yaml:"keep"`
}

func defaultCheckpoint() Checkpoint {
	return Checkpoint{Interval: Duration(5 * time.Minute), Keep: 5}
}

func (l *loader) checkState() {
	s, c := l.main, l.config
	if c.Checkpoint.Interval != 0 {
		within(s, "checkpoint.interval", c.Checkpoint.Interval, Duration(100*time.Millisecond), Duration(24*time.Hour))
	}
	within(s, "checkpoint.keep", c.Checkpoint.Keep, 1, 1000)
	if c.StateDir == "" && s.has("checkpoint") && !s.bad["state_dir"] {
		s.errorf("checkpoint", "there are no checkpoints without state_dir")
	}
}
