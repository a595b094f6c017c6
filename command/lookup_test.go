package command

import (
	"strings"
	"testing"
)

// mixed writes every second letter of a name in upper case.
func mixed(name string) string {
	b := []byte(strings.ToLower(name))
	for i := 0; i < len(b); i += 2 {
		b[i] = strings.ToUpper(string(b[i]))[0]
	}
	return string(b)
}

func TestLookupFindsEveryRowInAnyCase(t *testing.T) {
	for _, c := range All() {
		for _, name := range []string{c.sub, strings.ToUpper(c.sub), mixed(c.sub)} {
			got := Lookup([]byte(name))
			if c.Parent != nil {
				got = c.Parent.Sub([]byte(name))
			}
			if got != c {
				t.Errorf("looking up %q for %s found %v", name, c.Name, got)
			}
		}
	}
}

// TestLookupComparesEveryByte changes each byte of each name and expects another command or none. A byte that only
// looks like the right one when folded carelessly ("_" and delete, "@" and "`") is among the changes.
func TestLookupComparesEveryByte(t *testing.T) {
	for _, c := range All() {
		lookup := Lookup
		if c.Parent != nil {
			lookup = c.Parent.Sub
		}
		for i := range c.sub {
			for b := range 256 {
				name := []byte(c.sub)
				name[i] = byte(b)
				want := strings.EqualFold(string(name), c.sub) && b < 0x80
				if got := lookup(name); (got == c) != want {
					t.Errorf("looking up %q found %s: %v, want %v", name, c.Name, got == c, want)
				}
			}
		}
		for _, name := range []string{c.sub + "x", c.sub + "\x00", c.sub[1:], " " + c.sub} {
			if lookup([]byte(name)) == c {
				t.Errorf("looking up %q found %s", name, c.Name)
			}
		}
	}
}

func TestLookupUnknown(t *testing.T) {
	for _, name := range []string{"", "x", "getx", "client|id", "ft.search", "\x00", strings.Repeat("g", 1<<16)} {
		if c := Lookup([]byte(name)); c != nil {
			t.Errorf("looking up %.20q found %s", name, c.Name)
		}
	}
	if c := Lookup([]byte("get")).Sub([]byte("id")); c != nil {
		t.Errorf("GET has a subcommand %s", c.Name)
	}
	if c := Lookup([]byte("object")).Sub([]byte("id")); c != nil {
		t.Errorf("OBJECT ID found %s", c.Name)
	}
}

// TestLookupPlaces keeps the table sparse enough that a search is short.
func TestLookupPlaces(t *testing.T) {
	longest := 0
	for i, p := range places {
		if p.command != nil {
			begin := int(hash(p.head, p.tail, p.about))
			longest = max(longest, (i-begin+len(places))%len(places)+1)
		}
	}
	if longest > 8 {
		t.Errorf("the longest search takes %d steps", longest)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	name, sub := []byte("OBJECT"), []byte("Encoding")
	if n := testing.AllocsPerRun(100, func() { Lookup(name).Sub(sub) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, name := range []string{"GET", "set", "HGETALL", "ZRANGEBYSCORE", "georadiusbymember_ro", "nonesuch"} {
		b.Run(name, func(b *testing.B) {
			arg := []byte(name)
			for b.Loop() {
				Lookup(arg)
			}
		})
	}
	b.Run("object encoding", func(b *testing.B) {
		name, sub := []byte("object"), []byte("encoding")
		for b.Loop() {
			Lookup(name).Sub(sub)
		}
	})
}
