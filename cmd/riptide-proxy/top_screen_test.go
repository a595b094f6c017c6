package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"riptide-proxy/admin"
)

// newTestScreen shows the sample on a terminal of a size.
func newTestScreen(width, height int, colour bool) *topScreen {
	s := &topScreen{fleet: &topFleet{addresses: []string{"a:1", "b:2"}}, watch: newTopWatch(), options: topOptions{interval: 2 * time.Second, sort: "ops"}, colour: colour}
	s.Update(tea.WindowSizeMsg{Width: width, Height: height})
	v := topSample()
	s.rows, s.view = v.Rows, v
	s.arrange()
	return s
}

// press sends keys by the names that they have there.
func press(s *topScreen, keys ...string) (cmd tea.Cmd) {
	named := map[string]tea.KeyPressMsg{"left": {Code: tea.KeyLeft}, "right": {Code: tea.KeyRight}, "down": {Code: tea.KeyDown}, "up": {Code: tea.KeyUp},
		"end": {Code: tea.KeyEnd}, "home": {Code: tea.KeyHome}, "pgdown": {Code: tea.KeyPgDown}, "pgup": {Code: tea.KeyPgUp}, "enter": {Code: tea.KeyEnter},
		"esc": {Code: tea.KeyEscape}, "backspace": {Code: tea.KeyBackspace}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, " ": {Code: tea.KeySpace, Text: " "}}
	for _, k := range keys {
		if msg, ok := named[k]; ok {
			_, cmd = s.Update(msg)
			continue
		}
		for _, r := range k {
			_, cmd = s.Update(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
	return cmd
}

func TestTopScreen(t *testing.T) {
	want := `
12:30:15  proxies 2/2  tenants 4  ops/s 102k  in/s 4.0M  out/s 499K  conns 141
every 2s, sorted by ops
TENANT                OPS/Sv    IN/S   OUT/S     P50     P99  HIT%  MEMORY
globex                 80.0k    3.3M    391K   121us   958us  98.7   15.0M
acme                   22.2k    737K    108K   125us   2.0ms 100.0     88B
(no login)                 2     80B     10B       -       -     -       -
a-tenant-with-a-nam~       -       -       -       -       -     -       -

q quit  <> sort  r reverse  / filter  up/down scroll  space pause  +- interval`
	s := newTestScreen(80, 9, false)
	var lines []string
	for line := range strings.Lines(s.text()) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	if got := "\n" + strings.Join(lines, "\n"); got != want {
		t.Errorf("%s\nwant%s", got, want)
	}
	if wide := newTestScreen(170, 9, false).text(); !strings.Contains(wide, "FULLEST QUOTA") || !strings.Contains(wide, "100% ops_per_second") {
		t.Errorf("%s", wide)
	}
	coloured := newTestScreen(80, 9, true).text()
	for _, part := range []string{"\x1b[1;7mTENANT", "\x1b[31mglobex", "\x1b[31macme"} {
		if !strings.Contains(coloured, part) {
			t.Errorf("no %q in %q", part, coloured)
		}
	}
	for size := range 200 { // whatever the terminal is like
		for _, height := range []int{1, 2, size} {
			view := newTestScreen(size, height, true).text()
			if n := strings.Count(view, "\n") + 1; height > 0 && n > height {
				t.Errorf("%d lines in %dx%d", n, size, height)
			}
		}
	}
}

func TestTopScreenKeys(t *testing.T) {
	s := newTestScreen(80, 20, false)
	first := func() string { return s.view.Rows[0].name() }
	press(s, "left")
	if s.options.sort != "tenant" || first() != topStrangers {
		t.Errorf("%s: %s", s.options.sort, first())
	}
	press(s, "><<", "r")
	if s.options.sort != "quota" || first() == "globex" {
		t.Errorf("%s: %s", s.options.sort, first())
	}
	press(s, ">", "right", "right", "/gl", "ox", "backspace", "q")
	if !s.typing || s.options.filter != "gloq" || len(s.view.Rows) != 0 || !strings.Contains(s.text(), "filter: gloq_") {
		t.Errorf("%+v", s.options)
	}
	press(s, "backspace", "enter")
	if s.typing || len(s.view.Rows) != 1 || first() != "globex" || !strings.Contains(s.text(), "tenants with glo") {
		t.Errorf("%+v", s.options)
	}
	press(s, "esc")
	if len(s.view.Rows) != 4 {
		t.Errorf("%+v", s.view.Rows)
	}
	if press(s, " "); !s.paused || !strings.Contains(s.text(), "paused") {
		t.Error("not paused")
	}
	if press(s, "+"); s.options.interval != 4*time.Second {
		t.Errorf("%v", s.options.interval)
	}
	for range 20 {
		press(s, "-")
	}
	if s.options.interval != topShortest {
		t.Errorf("%v", s.options.interval)
	}
	for _, k := range []string{"q", "ctrl+c"} {
		if cmd := press(s, k); cmd == nil || cmd() != tea.Quit() {
			t.Errorf("%s does not quit", k)
		}
	}
	press(s, "/")
	if cmd := press(s, "ctrl+c"); cmd == nil || cmd() != tea.Quit() {
		t.Error("Ctrl-C does not quit while a filter is typed")
	}
}

// Thousands of tenants are scrolled through, and the place is kept within what there is.
func TestTopScreenScrolls(t *testing.T) {
	s := newTestScreen(80, 24, false)
	var tenants []admin.TenantReport
	for i := range 5000 {
		tenants = append(tenants, admin.TenantReport{Tenant: fmt.Sprintf("t%04d", i)})
	}
	s.options.sort = "tenant"
	s.looked(topLooked{topReport("a", 1, tenants...)})
	shows := func(from, to string) {
		t.Helper()
		rows := strings.Split(s.text(), "\n")[3:23]
		if !strings.HasPrefix(rows[0], from+" ") || !strings.HasPrefix(rows[19], to+" ") {
			t.Errorf("%s to %s, want %s to %s", rows[0], rows[19], from, to)
		}
	}
	shows("t0000", "t0019")
	for _, step := range [][3]string{{"down", "t0001", "t0020"}, {"pgdown", "t0020", "t0039"}, {"up", "t0019", "t0038"}, {"end", "t4980", "t4999"},
		{"down", "t4980", "t4999"}, {"pgup", "t4961", "t4980"}, {"home", "t0000", "t0019"}, {"up", "t0000", "t0019"}} {
		press(s, step[0])
		shows(step[1], step[2])
	}
	if !strings.Contains(s.text(), "1-20 of 5000") {
		t.Errorf("%s", s.state())
	}
	press(s, "end")
	s.Update(tea.WindowSizeMsg{Width: 80, Height: 44})
	if rows := strings.Split(s.text(), "\n"); len(rows) != 44 || !strings.HasPrefix(rows[3], "t4960 ") {
		t.Errorf("after it has grown: %d lines, %s", len(rows), rows[3])
	}
	s.looked(topLooked{topReport("a", 2, tenants[:3]...)})
	if rows := strings.Split(s.text(), "\n"); len(rows) != 44 || !strings.HasPrefix(rows[3], "t0000 ") {
		t.Errorf("when there are few: %d lines, %s", len(rows), rows[3])
	}
	s.looked(topLooked{{address: "a:9380", err: errors.New("connection refused")}})
	if view := s.text(); !strings.Contains(view, "proxies 0/1") || !strings.Contains(view, "a:9380: connection refused") {
		t.Errorf("when it is gone: %s", view)
	}
}

// There is one timer at a time, whatever is pressed.
func TestTopScreenTimer(t *testing.T) {
	s := newTestScreen(80, 24, false)
	s.looked(nil)
	old := topTimer(s.timer)
	press(s, "+")
	if _, cmd := s.Update(old); cmd != nil {
		t.Error("a timer that was replaced still counts")
	}
	if _, cmd := s.Update(topTimer(s.timer)); cmd == nil {
		t.Error("the timer does not")
	}
}
