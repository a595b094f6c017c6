package admin

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"
)

// operations is the document for operators.
func operations(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each metric is in the operators' table, and only those that there are.
func TestMetricsAreDocumented(t *testing.T) {
	doc := operations(t)
	name := regexp.MustCompile(`fqName: "([a-z0-9_]+)"`)
	descs := make(chan *prometheus.Desc, 1000)
	(&collector{}).Describe(descs)
	(&unitCollector{}).Describe(descs)
	close(descs)
	known := make(map[string]bool)
	for d := range descs {
		m := name.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatal(d)
		}
		known[m[1]] = true
		if !strings.Contains(doc, "`"+m[1]+"`") {
			t.Errorf("docs/operations.md does not have %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile("(?m)`(riptide_[a-z_]+)`").FindAllStringSubmatch(doc, -1) {
		if !known[m[1]] {
			t.Errorf("docs/operations.md has %s, which there is not", m[1])
		}
	}
}

// Each alert is in the operators' table, with what to do.
func TestAlertsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	doc := operations(t)
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" && !regexp.MustCompile(`(?m)^\|[^|]*\b`+r.Alert+`\b[^|]*\| .+ \|$`).MatchString(doc) {
				t.Errorf("docs/operations.md does not say what to do about %s", r.Alert)
			}
		}
	}
}
