package main

import (
	"os"
	"strings"
	"testing"

	"riptide-proxy/config"
)

// The document is what the schema says.
func TestReferenceIsUpToDate(t *testing.T) {
	want, err := reference(source)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) == string(want) {
		return
	}
	a, b := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("docs/configuration.md is not up to date (go generate ./config/reference), line %d is\n%s\nand should be\n%s", i+1, a[i], b[i])
		}
	}
	t.Fatal("docs/configuration.md is not up to date: go generate ./config/reference")
}

// Prices are described with all the units that there are.
func TestReferenceNamesUnits(t *testing.T) {
	text, err := reference(source)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `prices` |") {
			for _, unit := range config.Units {
				if !strings.Contains(line, " "+unit+",") && !strings.Contains(line, " "+unit+".") {
					t.Errorf("%s is not in %s", unit, line)
				}
			}
			return
		}
	}
	t.Error("no prices")
}
