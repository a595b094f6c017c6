package tests

import (
	"os"
	"os/exec"
	"testing"

	"go.yaml.in/yaml/v3"

	"riptide-proxy/tests/harness"
)

// readYAML reads a file of the repository.
func readYAML(t testing.TB, file string, to any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, to); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// promtool has nothing against the rules, and their own tests pass.
func TestRulesByPromtool(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"}, {"check", "rules", "rules.yml"}, {"test", "rules", "rules_test.yml"},
	} {
		cmd := exec.Command(harness.Promtool(t), args...)
		cmd.Dir = "../deploy/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%.4000s", args, err, out)
		}
	}
}

// The tests of the rules have each alert fire, and each one not fire.
func TestEachAlertIsTested(t *testing.T) {
	t.Parallel()
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	readYAML(t, "../deploy/prometheus/rules.yml", &rules)
	var tests struct {
		Tests []struct {
			Alerts []struct {
				Name string       `yaml:"alertname"`
				Want []*yaml.Node `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
			Series []struct{ Series string } `yaml:"input_series"`
		}
	}
	readYAML(t, "../deploy/prometheus/rules_test.yml", &tests)
	fires, silent := make(map[string]bool), make(map[string]bool)
	for _, test := range tests.Tests {
		for _, a := range test.Alerts {
			if len(a.Want) > 0 {
				fires[a.Name] = true
			}
			// Of two that are alike but for what matters one stays silent.
			if len(a.Want) == 0 || len(a.Want) < len(test.Series) {
				silent[a.Name] = true
			}
		}
	}
	n := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			n++
			if !fires[r.Alert] || !silent[r.Alert] {
				t.Errorf("%s: fires %v, is silent %v", r.Alert, fires[r.Alert], silent[r.Alert])
			}
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Annotations["runbook"] != "docs/operations.md#alerts" {
				t.Errorf("%s does not say how severe it is, what it is about, or where it is said what to do", r.Alert)
			}
		}
	}
	if n < 15 {
		t.Errorf("%d alerts", n)
	}
}
