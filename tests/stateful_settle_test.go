package tests

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// statePatience bounds every wait for an answer, stateDoubt the wait for one
// side to take back what it seems to have said too much.
const (
	statePatience = 10 * time.Second
	stateDoubt    = 500 * time.Millisecond
)

// stateStep is what one client sends in one write.
type stateStep struct {
	client int
	calls  []*stateCall
	silent []bool // of each call: whether it is not answered; nil: all are
	timed  bool   // it blocks for a short time only: the step ends with its answers
	until  *stateCall
	want   string // what the observer must be told for until before the step counts as done
}

func (s *stateStep) String() string {
	list := make([]string, len(s.calls))
	for i, c := range s.calls {
		list[i] = c.String()
	}
	return strings.Join(list, " | ")
}

// publishes tells whether the step does nothing but publish.
func (s *stateStep) publishes() bool {
	return !slices.ContainsFunc(s.calls, func(c *stateCall) bool { return !strings.HasSuffix(c.name(), "publish") })
}

// statePast is a step and what plain Redis said.
type statePast struct {
	*stateStep
	heard string
}

// do has both sides do a step and compares everything that all clients hear.
// It reports whether the two are still equal.
func (r *stateRun) do(s *stateStep) bool {
	var answered []*stateCall
	for i, c := range s.calls {
		if s.silent == nil || !s.silent[i] {
			answered = append(answered, c)
		}
	}
	before := make([]stateClient, len(r.clients))
	for i, c := range r.clients {
		before[i] = *c
	}
	for _, side := range []*stateSide{r.plain, r.other} {
		c := side.conns[s.client]
		c.expect(answered)
		c.send(s.calls, side.ids)
	}
	if s.until != nil {
		for _, side := range []*stateSide{r.plain, r.other} {
			for end := time.Now().Add(statePatience); diffMust(r.t, side.observer, s.until.words...) != s.want; {
				if time.Now().After(end) {
					return r.fail(s, fmt.Sprintf("%s never answered %q at %s", s.until, s.want, side.addr))
				}
			}
		}
	}
	if !r.settlePlain(s) {
		return r.fail(s, "plain Redis has not answered, and the client is not blocked")
	}
	if why := r.settleOther(s); why != "" {
		return r.fail(s, why)
	}
	r.remember(s, before)
	return true
}

// settlePlain waits until plain Redis has answered whatever does not block.
func (r *stateRun) settlePlain(s *stateStep) bool {
	for end := time.Now().Add(statePatience); ; {
		r.plain.fence(r.t, r.clients)
		done := true
		for i, c := range r.plain.conns {
			c.poll()
			if !r.clients[i].blocked && len(c.queue) > 0 || s.timed && i == s.client && r.clients[i].blocked {
				done = false
			}
		}
		if done {
			return true
		}
		if time.Now().After(end) {
			return false
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// settleOther waits until the other side has said the same to everybody and has
// blocked as many clients; or says what is different.
func (r *stateRun) settleOther(s *stateStep) (why string) {
	blocked := 0
	for _, c := range r.clients {
		if c.blocked {
			blocked++
		}
	}
	began, last, heard := time.Now(), time.Now(), 0
	for pause := 20 * time.Microsecond; ; pause = min(2*pause, 2*time.Millisecond) {
		why, now, missing := "", 0, false
		for i := range r.clients {
			plain, other := r.plain.conns[i], r.other.conns[i]
			plain.poll()
			other.poll()
			now += len(other.frames)
			missing = missing || len(other.frames) < len(plain.frames)
			a, b := r.canonical(r.plain, i, s), r.canonical(r.other, i, s)
			if !slices.Equal(a, b) || (plain.err == nil) != (other.err == nil) {
				why += fmt.Sprintf("client %d\n    plain: %s %v\n    other: %s %v\n  ", i, stateShow(a), plain.err, stateShow(b), other.err)
			}
		}
		if why == "" {
			n := r.other.blocked(r.t)
			if n == blocked {
				return ""
			}
			missing = true
			why = fmt.Sprintf("%d clients are blocked, %d at the other side", blocked, n)
		}
		if now != heard {
			heard, last = now, time.Now()
		}
		if time.Since(began) > statePatience || !missing && time.Since(last) > stateDoubt {
			return why
		}
		time.Sleep(pause)
	}
}

// canonical is what a client has heard in this step, without what differs
// between any two servers.
func (r *stateRun) canonical(side *stateSide, client int, s *stateStep) (list []string) {
	var invalid []string
	frames := slices.Clone(side.conns[client].frames)
	kind := func(i int) string { return statePush(frames[i].text) }
	replies := 0
	for _, f := range frames {
		if f.call != nil {
			replies++
		}
	}
	if r.plain.conns[client].inside || r.shared && !s.publishes() {
		// Redis 7.0 writes them into the reply, later versions behind it. And
		// where subscribers share a connection, messages and the replies to what a
		// client of RESP3 did on another one have no order among each other.
		slices.SortStableFunc(frames, func(a, b stateFrame) int { return stateOrder(a) - stateOrder(b) })
	}
	if r.shared {
		// Invalidations come on yet another one.
		slices.SortStableFunc(frames, func(a, b stateFrame) int { return stateInvalidation(a) - stateInvalidation(b) })
	}
	for i := 0; i < len(frames); i++ {
		f := frames[i]
		k := kind(i)
		run := i + 1
		switch {
		case k == "invalidate" || k == "message" && strings.Contains(f.text, "\r\n__redis__:invalidate\r\n"):
			if len(s.calls) > 1 || replies > 1 {
				// Redis reports what has changed in one turn of its own loop at
				// once, and how much of a pipeline that is nobody can know.
				kids := diffParse(f.text).kids
				for _, key := range kids[len(kids)-1].kids {
					invalid = append(invalid, key.raw)
				}
				continue
			}
			// Somebody who tracks in two ways is told twice, which nobody needs.
			if slices.Contains(list, f.text) {
				continue
			}
		case k == "pmessage":
			// Of several patterns that match, a hash table says which is first.
			parts := diffParse(f.text).kids
			for run < len(frames) && kind(run) == k {
				next := diffParse(frames[run].text).kids
				if next[2].text != parts[2].text || next[3].text != parts[3].text {
					break
				}
				run++
			}
		case strings.HasSuffix(k, "unsubscribe") && f.call != nil && len(f.call.words) == 1:
			// From everything, in the order of a hash table.
			var names, counts []string
			for run = i; run < len(frames) && kind(run) == k; run++ {
				kids := diffParse(frames[run].text).kids
				names, counts = append(names, kids[1].raw), append(counts, kids[2].raw)
			}
			slices.Sort(names)
			list = append(list, fmt.Sprintf("%c %s %q %q", f.text[0], k, names, counts))
			i = run - 1
			continue
		}
		at := len(list)
		for _, f := range frames[i:run] {
			list = append(list, stateCanonical(side, f))
		}
		slices.Sort(list[at:])
		i = run - 1
	}
	if invalid != nil {
		slices.Sort(invalid)
		list = append(list, fmt.Sprintf("invalid: %q", slices.Compact(invalid)))
	}
	return list
}

// stateOrder sorts replies before messages.
func stateOrder(f stateFrame) int {
	if f.call == nil {
		return 1
	}
	return 0
}

func stateInvalidation(f stateFrame) int {
	if k := statePush(f.text); k == "invalidate" || k == "message" && strings.Contains(f.text, "\r\n__redis__:invalidate\r\n") {
		return 1
	}
	return 0
}

// stateCanonical is one frame.
func stateCanonical(side *stateSide, f stateFrame) string {
	switch name := f.call.name(); {
	case name == "hello":
		return diffWithoutID(f.text)
	case strings.HasPrefix(name, "client|"):
		for i, c := range side.conns {
			f.text = strings.ReplaceAll(f.text, ":"+c.id+"\r\n", fmt.Sprintf(":{id:%d}\r\n", i))
		}
	case slices.Contains(stateUnordered, name) && f.text[0] != '-' && f.text[0] != '+':
		r := diffParse(f.text)
		return fmt.Sprintf("%s %q", r.head(), r.sorted(1))
	}
	return f.text
}

func stateShow(list []string) string {
	if len(list) == 0 {
		return "(nothing)"
	}
	for i := range list {
		list[i] = diffShow(list[i])
	}
	return strings.Join(list, " || ")
}

// remember ends a step that went well.
func (r *stateRun) remember(s *stateStep, before []stateClient) {
	var heard strings.Builder
	for i, c := range r.plain.conns {
		for _, f := range c.frames {
			fmt.Fprintf(&heard, "  [%d] %s", i, diffShow(f.text))
			r.cover.count(f, &before[i])
		}
	}
	if r.clients[s.client].blocked {
		heard.WriteString("  (blocked)")
	}
	if len(s.calls) > 1 && before[s.client].blocked || len(s.calls) > 1 && r.clients[s.client].blocked {
		r.cover.note("behind a blocked command")
	}
	for _, side := range []*stateSide{r.plain, r.other} {
		for _, c := range side.conns {
			c.frames, c.inside = nil, false
		}
	}
	r.history = append(r.history, statePast{s, heard.String()})
}

func stateCut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}

// fail reports a difference, once for every command. What has gone apart would
// fail again and again, so the session begins anew after it.
func (r *stateRun) fail(s *stateStep, why string) bool {
	name := s.calls[len(s.calls)-1].name()
	if !r.failed[name] {
		var b strings.Builder
		for _, h := range r.related(s) {
			fmt.Fprintf(&b, "\n    %d> %s\n      %s", h.client, h, stateCut(h.heard, 400))
		}
		r.t.Errorf("step %d, client %d (%+v): %s\n  %s\n  before it:%s", r.steps, s.client, *r.clients[s.client], s, why, b.String())
	}
	r.failed[name] = true
	return false
}

// related are the last steps that may have led to what a step found: those of
// the same client, those that name the same things, and the very last.
func (r *stateRun) related(s *stateStep) (list []statePast) {
	words := make(map[string]bool)
	for _, c := range s.calls {
		for _, w := range c.words[1:] {
			words[w] = len(w) > 1
		}
	}
	for i := len(r.history) - 1; i >= 0 && len(list) < 20; i-- {
		h := r.history[i]
		same := h.client == s.client || len(r.history)-i < 6
		for _, c := range h.calls {
			same = same || slices.ContainsFunc(c.words[1:], func(w string) bool { return words[w] })
		}
		if same {
			list = append(list, h)
		}
	}
	slices.Reverse(list)
	return list
}
