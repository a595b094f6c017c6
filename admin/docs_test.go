package admin

import (
	"io/fs"
	"os"
	"path/filepath"
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
	source := sources(t)
	for _, m := range regexp.MustCompile(`"(riptide_[a-z_]+)", (?:Help:|")`).FindAllStringSubmatch(source, -1) { // those of other packages
		if !strings.Contains(doc, "`"+m[1]+"`") {
			t.Errorf("docs/operations.md does not have %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`(riptide_[a-z_]+)`").FindAllStringSubmatch(doc, -1) {
		if !known[m[1]] && !strings.Contains(source, `"`+m[1]+`"`) { // other packages register their own
			t.Errorf("docs/operations.md has %s, which there is not", m[1])
		}
	}
}

// Each warning and error of the log is in the troubleshooting document, by its text.
func TestLogsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	known := 0
	for _, m := range regexp.MustCompile(`slog\.(?:Warn|Error)\("([^"]+)"`).FindAllStringSubmatch(sources(t), -1) {
		known++
		if !strings.Contains(doc, "`"+m[1]+"`") && !strings.HasPrefix(m[1], "panic ") {
			t.Errorf("docs/troubleshooting.md does not have the message `%s`", m[1])
		}
	}
	if known < 60 {
		t.Errorf("only %d messages were found", known)
	}
}

// sources are all that is linked into the program.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "tests" || d.Name() == "bench" || d.Name() == ".git"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
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
