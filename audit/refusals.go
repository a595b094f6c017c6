package audit

import (
	"net/netip"
	"time"
)

// Refusals keep those who are refused from filling a log, however often they try. Of what is alike the first is to be
// recorded at once, and what follows is counted until it is taken, once a second. They are not for several goroutines at a time.
type Refusals struct {
	seen map[Event]int // how many came after the first
	of   map[string]int
	rest map[Event]int
}

const (
	// RefusalsEvery is how often refusals are to be taken.
	RefusalsEvery = time.Second
	// maxRefusals is how many are told apart until they are taken, and maxOfClient how many of these may be of one client, so
	// that nobody hides behind somebody who tries many names.
	maxRefusals = 64
	maxOfClient = 8
)

// Add counts a refusal and reports whether it is the first of its kind, which is to be recorded. e is what those
// have in common that share a record: its client is a network (see Network), its outcome one of a few, and it has nothing
// that changes.
func (r *Refusals) Add(e Event) (first bool) {
	if n, known := r.seen[e]; known {
		r.seen[e] = n + 1
		return false
	}
	if len(r.seen) < maxRefusals && r.of[e.Client] < maxOfClient {
		if r.seen == nil {
			r.seen, r.of = make(map[Event]int), make(map[string]int)
		}
		r.seen[e] = 0
		r.of[e.Client]++
		return true
	}
	e = Event{Event: e.Event, Client: e.Client, Outcome: e.Outcome, Reason: "further ones, not told apart"}
	if r.of[e.Client] == 0 || r.rest[e] == 0 && len(r.rest) >= maxRefusals {
		e.Client = ""
	}
	if r.rest == nil {
		r.rest = make(map[Event]int)
	}
	r.rest[e]++
	return false
}

// Take calls f with what was counted but not recorded, and forgets all.
func (r *Refusals) Take(f func(e Event)) {
	for _, counted := range []map[Event]int{r.seen, r.rest} {
		for e, n := range counted {
			if n > 0 {
				e.Count = n
				f(e)
			}
		}
	}
	clear(r.seen)
	clear(r.of)
	clear(r.rest)
}

// Network is what one person has, as text: an address, or in IPv6 a network of them. It is empty where there is none.
func Network(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	switch p, err := a.Prefix(64); {
	case !a.IsValid():
		return ""
	case a.Is4() || err != nil:
		return a.String()
	default:
		return p.String()
	}
}
