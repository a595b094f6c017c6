package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// topScreen is riptide-proxy top on a terminal.
type topScreen struct {
	ctx     context.Context
	fleet   *topFleet
	watch   *topWatch
	options topOptions
	colour  bool

	width, height int
	rows          []topRow // of the last look, unfiltered
	view          *topView // what of them is shown
	first         int      // the uppermost tenant that is shown
	paused        bool
	typing        bool // the filter
	timer         int  // number of the timer that counts; those before are out of date
}

type (
	topLooked []topAnswer
	topTimer  int
)

// screen runs until it is quit, and leaves the terminal as it was.
func (o *topOptions) screen(ctx context.Context, fleet *topFleet, in io.Reader, out io.Writer) error {
	s := &topScreen{ctx: ctx, fleet: fleet, watch: newTopWatch(), options: *o, colour: os.Getenv("NO_COLOR") == ""}
	_, err := tea.NewProgram(s, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler()).Run()
	if ctx.Err() != nil {
		return nil // a signal is a way to quit
	}
	return err
}

// Init implements tea.Model.
func (s *topScreen) Init() tea.Cmd { return s.look }

// look asks the proxies, beside the screen.
func (s *topScreen) look() tea.Msg { return topLooked(s.fleet.ask(s.ctx)) }

// wait makes a new timer, and so that those before count no more.
func (s *topScreen) wait(d time.Duration) tea.Cmd {
	s.timer++
	n := topTimer(s.timer)
	return tea.Tick(d, func(time.Time) tea.Msg { return n })
}

// Update implements tea.Model.
func (s *topScreen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		s.width, s.height = msg.Width, msg.Height
	case topLooked:
		return s, s.looked(msg)
	case topTimer:
		if int(msg) != s.timer {
			return s, nil
		}
		if s.paused {
			return s, s.wait(s.options.interval)
		}
		return s, s.look
	case tea.KeyPressMsg:
		switch {
		case msg.String() == "ctrl+c":
			return s, tea.Quit
		case s.typing:
			s.typed(msg)
		default:
			return s, s.key(msg.String())
		}
	}
	return s, nil
}

// looked shows what has come. The first look has no rates yet, so the second one comes soon.
func (s *topScreen) looked(answers topLooked) tea.Cmd {
	s.timer++ // there is one timer at a time
	firstLook := s.view == nil
	v := s.watch.look(answers)
	if v.up() == 0 && s.view != nil {
		v.Rows, v.At = nil, s.view.At
	}
	s.rows, s.view = v.Rows, v
	s.arrange()
	if firstLook {
		return s.wait(min(s.options.interval, time.Second))
	}
	return s.wait(s.options.interval)
}

// arrange filters and sorts anew.
func (s *topScreen) arrange() {
	if s.view == nil {
		return
	}
	s.view.Rows = slices.Clone(s.rows)
	s.view.arrange(s.options.filter, s.options.sort, s.options.reverse)
}

// typed takes a key while the filter is being typed.
func (s *topScreen) typed(key tea.KeyPressMsg) {
	switch key.String() {
	case "enter":
		s.typing = false
	case "esc":
		s.typing, s.options.filter = false, ""
	case "backspace":
		s.options.filter = s.options.filter[:max(0, len(s.options.filter)-1)]
	default:
		// Tenants' ids, and patterns, have nothing but single characters of ASCII.
		if len(key.Text) == 1 && len(s.options.filter) < 64 && printable(key.Text) == key.Text && key.Text != " " {
			s.options.filter += key.Text
		}
	}
	s.first = 0
	s.arrange()
}

// key takes any other one.
func (s *topScreen) key(name string) tea.Cmd {
	page := max(1, s.shown()-1)
	switch name {
	case "q":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	case "esc":
		s.options.filter = ""
		s.arrange()
	case "left", "<":
		s.sortBy(-1)
	case "right", ">":
		s.sortBy(1)
	case "r":
		s.options.reverse = !s.options.reverse
		s.arrange()
	case "/":
		s.typing = true
	case "space", "p":
		s.paused = !s.paused
	case "+":
		s.options.interval = min(2*s.options.interval, time.Minute)
		return s.wait(s.options.interval)
	case "-":
		s.options.interval = max(s.options.interval/2, topShortest)
		return s.wait(s.options.interval)
	case "up", "k":
		s.first--
	case "down", "j":
		s.first++
	case "pgup":
		s.first -= page
	case "pgdown":
		s.first += page
	case "home", "g":
		s.first = 0
	case "end", "G":
		s.first = len(s.rows)
	}
	return nil
}

// sortBy goes on by so many columns.
func (s *topScreen) sortBy(step int) {
	keys := topColumnKeys()
	i := slices.Index(keys, s.options.sort) + step
	s.options.sort, s.options.reverse = keys[(i+len(keys))%len(keys)], false
	s.arrange()
}

// topFrame is how many lines are not tenants: the summary, the state, the header and the help.
const topFrame = 4

// shown is how many tenants fit.
func (s *topScreen) shown() int { return max(1, s.height-topFrame) }

// View implements tea.Model.
func (s *topScreen) View() tea.View {
	v := tea.NewView(s.text())
	v.AltScreen = true
	return v
}

// text is what is on the screen.
func (s *topScreen) text() string {
	if s.width == 0 || s.view == nil {
		return "asking " + strings.Join(s.fleet.addresses, ", ") + " ..."
	}
	v := s.view
	tenant, columns := v.layout(s.width)
	s.first = max(0, min(s.first, len(v.Rows)-s.shown()))
	last := min(len(v.Rows), s.first+s.shown())
	lines := []string{v.summary(), s.state(), s.style("1;7", padded(v.header(tenant, columns), s.width))}
	for i := s.first; i < last; i++ {
		lines = append(lines, s.style(warning(&v.Rows[i]), v.row(i, tenant, columns)))
	}
	for len(lines) < s.height-1 {
		lines = append(lines, "")
	}
	lines = append(lines, "q quit  <> sort  r reverse  / filter  up/down scroll  space pause  +- interval")
	return strings.Join(lines[:min(len(lines), max(1, s.height))], "\n")
}

// state is the second line: what is wrong, or what is shown.
func (s *topScreen) state() string {
	if s.typing {
		return "filter: " + s.options.filter + "_"
	}
	for _, p := range s.view.Proxies {
		if p.Error != "" {
			return s.style("31", p.Address+": "+p.Error)
		}
	}
	text := fmt.Sprintf("every %v, sorted by %s", s.options.interval, s.options.sort)
	if s.options.filter != "" {
		text += ", tenants with " + s.options.filter
	}
	if n := len(s.view.Rows); n > s.shown() {
		text += fmt.Sprintf(", %d-%d of %d", s.first+1, min(n, s.first+s.shown()), n)
	}
	if s.paused {
		text += ", paused"
	}
	return text
}

// warning is the colour of a tenant that is refused something, or nearly.
func warning(r *topRow) string {
	_, ratio := r.fullest()
	switch {
	case r.Throttled > 0 || r.Refused > 0 || ratio >= 1:
		return "31"
	case ratio >= 0.8:
		return "33"
	}
	return ""
}

// style writes text in a colour, if there are colours.
func (s *topScreen) style(code, text string) string {
	if !s.colour || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func padded(text string, width int) string { return fmt.Sprintf("%-*s", width, text) }
