package audit

import (
	"fmt"
	"net/netip"
	"testing"
)

// taken is what was counted, and how many records it takes.
func taken(r *Refusals) (counts map[Event]int, sum int) {
	counts = make(map[Event]int)
	r.Take(func(e Event) {
		n := e.Count
		e.Count = 0
		counts[e] += n
		sum += n
	})
	return counts, sum
}

func TestRefusals(t *testing.T) {
	var r Refusals
	e := Event{Event: "login", Client: "192.0.2.1", Tenant: "acme", Outcome: "WRONGPASS"}
	other := e
	other.Tenant = "globex"
	for round := range 2 {
		for i := range 5 {
			if first := r.Add(e); first != (i == 0) {
				t.Errorf("round %d, %d: first is %v", round, i, first)
			}
		}
		if !r.Add(other) {
			t.Error("another one is not recorded")
		}
		if counts, sum := taken(&r); sum != 4 || counts[e] != 4 {
			t.Errorf("round %d: %v", round, counts)
		}
	}
	if counts, _ := taken(&r); len(counts) != 0 {
		t.Errorf("nothing came: %v", counts)
	}
}

// However many names and addresses are tried, few records come of it, and all are counted.
func TestRefusalsAreBounded(t *testing.T) {
	const clients, names = 1000, 100
	var r Refusals
	firsts := 0
	// One that tries many names does not use up the room of the others.
	for i := range names {
		if r.Add(Event{Event: "login", Client: "192.0.2.1", Tenant: fmt.Sprint(i), Outcome: "WRONGPASS"}) {
			firsts++
		}
	}
	if firsts != maxOfClient {
		t.Errorf("%d records of one client", firsts)
	}
	if !r.Add(Event{Event: "rejected", Client: "192.0.2.2", Outcome: "full"}) {
		t.Error("somebody else is not recorded")
	}
	firsts++
	for c := range clients {
		for i := range names {
			if r.Add(Event{Event: "login", Client: fmt.Sprint("2001:db8::", c), Tenant: fmt.Sprint(i), Outcome: "WRONGPASS"}) {
				firsts++
			}
		}
	}
	if firsts != maxRefusals || len(r.seen) > maxRefusals || len(r.of) > maxRefusals || len(r.rest) > maxRefusals+8 {
		t.Errorf("%d records, %d, %d and %d are remembered", firsts, len(r.seen), len(r.of), len(r.rest))
	}
	counts, sum := taken(&r)
	if sum+firsts != (clients+1)*names+1 {
		t.Errorf("%d were counted and %d recorded of %d", sum, firsts, (clients+1)*names+1)
	}
	if n := counts[Event{Event: "login", Client: "192.0.2.1", Outcome: "WRONGPASS", Reason: "further ones, not told apart"}]; n != names-maxOfClient {
		t.Errorf("%d more names of one client", n)
	}
}

func TestNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "": "",
	} {
		var a netip.Addr
		if text != "" {
			a = netip.MustParseAddr(text)
		}
		if got := Network(a); got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}
