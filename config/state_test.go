package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestState(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no folder", "checkpoint: {keep: 3}\n", "f:3: checkpoint: there are no checkpoints without state_dir"},
		{"too often", "state_dir: x\ncheckpoint: {interval: 10ms}\n", "f:4: checkpoint.interval: 10ms is out of range (100ms to 24h)"},
		{"too seldom", "state_dir: x\ncheckpoint:\n  interval: 25h\n", "f:5: checkpoint.interval: 25h is out of range (100ms to 24h)"},
		{"none kept", "state_dir: x\ncheckpoint: {keep: 0}\n", "f:4: checkpoint.keep: 0 is out of range (1 to 1000)"},
		{"misspelt", "state_dri: x\n", `f:3: state_dri: unknown key (did you mean "state_dir"?)`},
		{"inside", "state_dir: x\ncheckpoint: {intervall: 1m}\n", `f:4: checkpoint.intervall: unknown key (did you mean "interval"?)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Parse("f", []byte(rest+c.text), nil)
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	cfg, _, err := Parse("f", []byte(rest+"state_dir: x\ncheckpoint: {interval: 0s}\n"), nil)
	if err != nil || cfg.Checkpoint != (Checkpoint{0, 5}) {
		t.Errorf("%+v, %v", cfg, err)
	}
	if d := Default().Checkpoint; d != (Checkpoint{Duration(5 * time.Minute), 5}) {
		t.Errorf("default %+v", d)
	}
}

// Usage that is not reported lies in the folder of the state, if nothing else is said.
func TestStateSpool(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string][2]string{
		"":                                     {"", ""},
		"state_dir: s\n":                       {dir + "/s", dir + "/s/usage"},
		"state_dir: /s\n":                      {"/s", "/s/usage"},
		"state_dir: s\nusage: {spool: here}\n": {dir + "/s", dir + "/here"},
	} {
		file := filepath.Join(dir, "riptide.yaml")
		if err := os.WriteFile(file, []byte(rest+text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, _, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]string{cfg.StateDir, cfg.Usage.Spool}; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
