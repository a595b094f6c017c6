package command

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// TestPrefixedMatchesGetKeys makes random valid calls of every command that has keys and compares the positions found
// with those that the server's COMMAND GETKEYS finds.
func TestPrefixedMatchesGetKeys(t *testing.T) {
	client := startServer(t)
	server := serverOf(t, client)
	rnd := rand.New(rand.NewPCG(1, 2))
	ctx := context.Background()
	checked := 0
	for _, c := range All() {
		if c.Container() || c.Channels || len(c.Keys) == 0 || !c.KnownTo(server) || c.Has(Module) || c.Run == Refused {
			continue
		}
		pipe := client.Pipeline()
		var calls []list
		var answers []*redis.Cmd
		for range 25 {
			call := validCall(rnd, c, c.On(server).Arity)
			ask := []any{"COMMAND", "GETKEYS"}
			for _, arg := range call {
				ask = append(ask, arg)
			}
			calls, answers = append(calls, call), append(answers, pipe.Do(ctx, ask...))
		}
		pipe.Exec(ctx)
		for i, call := range calls {
			keys, err := answers[i].StringSlice()
			if err != nil {
				if !excused(c, err.Error()) {
					t.Errorf("%q: %v", call, err)
				}
				continue
			}
			found, verdict := c.Prefixed(nil, call)
			var names []string
			for _, at := range found {
				names = append(names, call[at])
			}
			checked++
			slices.Sort(names)
			slices.Sort(keys)
			if incomplete(c) {
				for _, key := range keys {
					if !slices.Contains(names, key) {
						t.Errorf("%q: prefixed %q, the server found %q", call, names, keys)
					}
				}
			} else if !slices.Equal(names, keys) {
				t.Errorf("%q: prefixed %q, the server found %q", call, names, keys)
			}
			if verdict&Unparsed != 0 {
				t.Errorf("%q: does not parse", call)
			}
		}
	}
	if checked < 4000 {
		t.Errorf("only %d calls were compared", checked)
	}
}

// excused reports whether an error of GETKEYS says nothing about the positions: a development build may lack the
// newest commands, and a command with two specifications may be called without the keys of the second.
func excused(c *Command, err string) bool {
	return c.Since != "" && strings.Contains(err, "Invalid command specified") ||
		len(c.Keys) > 1 && strings.Contains(err, "Invalid arguments specified")
}

// incomplete reports whether GETKEYS is known to leave out names: SORT's patterns, and all but the last of its
// destinations.
func incomplete(c *Command) bool {
	return slices.ContainsFunc(c.Keys, func(k KeySpec) bool { return k.Begin == BeginUnknown })
}

// hasCount reports whether a count says how many keys follow.
func hasCount(c *Command) bool {
	return slices.ContainsFunc(c.Keys, func(k KeySpec) bool { return k.Find == KeysCount })
}

// validCall makes a random call of a command with keys in which every argument that might be a name is different.
func validCall(rnd *rand.Rand, c *Command, arity int) list {
	n := 0
	fresh := func() string { n++; return fmt.Sprintf("arg%d", n) }
	call := list(strings.Split(c.Name, "|"))
	add := func(args ...string) { call = append(call, args...) }
	some := func(count int) {
		for range count {
			add(fresh())
		}
	}
	grammar := strings.TrimSuffix(c.Name, "_ro")
	switch {
	case grammar == "sort":
		add(fresh())
		for range rnd.IntN(5) {
			switch rnd.IntN(6) {
			case 0:
				add("BY", fresh())
			case 1:
				add("GET", fresh())
			case 2:
				add("limit", "1", "2")
			case 3:
				add("ALPHA")
			case 4:
				add("GET", "#")
			case 5:
				if c.Name == "sort" {
					add("STORE", fresh())
				}
			}
		}
	case strings.HasPrefix(grammar, "georadius"):
		add(fresh())
		add(fresh()) // a member or a longitude
		if grammar == "georadius" {
			add("2")
		}
		add("3", "km")
		for range rnd.IntN(4) {
			add([]string{"WITHDIST", "withhash", "WITHCOORD", "ASC", "DESC"}[rnd.IntN(5)])
		}
		if rnd.IntN(2) == 0 {
			add("COUNT", "3", "ANY")
		}
		if c.Has(Write) && rnd.IntN(2) == 0 {
			add([]string{"store", "STOREDIST"}[rnd.IntN(2)], fresh())
		}
	case strings.HasPrefix(grammar, "xread"):
		if grammar == "xreadgroup" {
			add("GROUP", []string{"STREAMS", "g", "GROUP"}[rnd.IntN(3)], []string{"STREAMS", "c", "BLOCK"}[rnd.IntN(3)])
		}
		if rnd.IntN(2) == 0 {
			add("count", "2")
		}
		if rnd.IntN(2) == 0 {
			add("BLOCK", "1")
		}
		if rnd.IntN(2) == 0 && grammar == "xreadgroup" {
			add("NOACK")
		}
		add("Streams")
		count := 1 + rnd.IntN(4)
		some(count)
		for range count {
			add("0")
		}
	case hasCount(c):
		spec := c.Keys[len(c.Keys)-1]
		for len(call) < spec.Index {
			add(fresh())
		}
		count := 1 + rnd.IntN(4)
		add(fmt.Sprint(count))
		some(count*spec.Step + 1 + rnd.IntN(3))
	default:
		some(shortest(arity) - len(call))
		if arity < 0 {
			some(c.pairs() * rnd.IntN(4))
		}
	}
	return call
}

// pairs returns how many arguments have to be added at once: two where keys and values alternate.
func (c *Command) pairs() int {
	if c.Shape.Kind == ShapeRange {
		return int(c.Shape.Step)
	}
	return 1
}
