package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Problem is something to tell the operator about one place of a file.
type Problem struct {
	File string // as it was named to Load
	Line int    // from 1; 0 when the file as a whole is meant
	Path string // the key, as in limits.bulk; may be empty
	Text string // never contains a secret
}

// String is the line an operator reads: file:line: key: what is wrong.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Path != "" {
		b.WriteString(": " + p.Path)
	}
	return b.String() + ": " + p.Text
}

// Warning is a problem that does not keep the proxy from running.
type Warning = Problem

// Errors are all the problems of a configuration, the main file's first, each
// file's by line. Load and Parse return it as their error.
type Errors []Problem

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// invalid is the error of a value that cannot be read. Text and problem are
// apart so that a text which came from the environment, and may be a secret in
// the wrong place, can be left out.
type invalid struct{ text, problem string }

func (e *invalid) Error() string { return quote(e.text) + " " + e.problem }

// quote shows a value in a message, shortened if it is long.
func quote(text string) string {
	const most = 60
	if len(text) > most {
		return strconv.Quote(text[:most]) + "..."
	}
	return strconv.Quote(text)
}

// didYouMean is the end of a message about a misspelt word: the nearest of the
// right ones, or nothing when none is near.
func didYouMean(word string, right []string) string {
	best, nearest := "", 3
	if len(word) < 5 {
		nearest = 2 // in a short word two changes make another word
	}
	for _, r := range right {
		if d := distance(strings.ToLower(word), r); d < nearest {
			best, nearest = r, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to turn a into b. Words too long to be a misspelling are far apart.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			replace := row[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			next[j] = min(replace, row[j]+1, next[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
