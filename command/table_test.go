package command

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestRows checks what must hold for every row of the table, whatever the servers say.
func TestRows(t *testing.T) {
	for i, c := range All() {
		check := func(ok bool, complaint string) {
			if !ok {
				t.Errorf("%s: %s", c.Name, complaint)
			}
		}
		check(c.ID == i, "its ID is not its place")
		check(c.Name == strings.ToLower(c.Name) && c.sub != "", "its name is not in lower case")
		check(len(c.sub) <= longestName, "its name is too long to be looked up")
		check(c.Arity != 0, "it has no arity")
		check(!c.Has(Write|ReadOnly), "it writes and is read-only")

		switch {
		case len(c.Subs) > 0 && c.Container():
			check(c.Run == Refused && c.Handler == NoHandler && !c.Later, "a container does nothing by itself")
			check(len(c.Keys) == 0, "a container has no keys")
		case c.Later:
			check(c.Run != Refused, "it cannot come later and be refused for good")
			check(c.Handler == NoHandler, "it cannot have a handler yet")
		case c.Run == Refused:
			check(c.Handler == NoHandler, "nobody handles what is refused")
		case c.Run == Local || c.Run == Slow:
			check(c.Handler != NoHandler, "somebody has to answer it")
		case c.Run == Pinned:
			check(c.Handler != NoHandler || c.Has(Blocking), "it needs no connection of its own")
		}
		check(c.Why == "" || c.Run == Refused && !c.Later, "why is it refused if it is not")
		if c.Run == Shared {
			check(!c.Has(Admin), "a command for operators would reach the upstream")
			check(!c.Has(Write) || c.Shape.Kind != ShapeNone, "it writes without keys")
			check(!c.Has(Blocking) || c.Find != nil, "it blocks whatever the arguments are")
			check(c.Shape.Kind != ShapeNone || !c.Has(ReadOnly) || keyless[c.Name], "it reads without keys")
		}
		for _, spec := range c.Keys {
			if spec.Flags&(OW|RM|Update|Insert|Delete) != 0 && !c.Has(Module) && c.Run != Refused {
				check(c.Has(Write) || c.Cats&CatScripting != 0, "its keys are written but the command does not write")
			}
		}
		check((c.Shape.Kind == ShapeCustom) == (c.Find != nil), "its shape and its finder disagree")
		check(!c.Channels || c.Shape.Kind == ShapeOne || c.Shape.Kind == ShapeRange, "where are its channels")
		check(c.Values.None() || c.Has(Write), "it stores values but does not write")
		check(c.InsideString == false || c.Shape.Kind != ShapeNone, "it looks inside values of no key")
		check(!c.InsideIf || !c.InsideString, "it looks inside always and sometimes")
		for _, sub := range c.Subs {
			check(sub.Parent == c && strings.HasPrefix(sub.Name, c.Name+"|"), "a subcommand belongs to another command")
		}
	}
	if Count() != len(All()) {
		t.Errorf("Count() is %d, there are %d rows", Count(), len(All()))
	}
}

// keyless lists the read-only commands that are shared though they read no key.
var keyless = map[string]bool{"lolwut": true}

// TestCategories checks the categories that flags imply.
func TestCategories(t *testing.T) {
	for name, want := range map[string]string{
		"get":      "read string fast",
		"set":      "write string slow",
		"eval_ro":  "slow scripting",
		"blpop":    "write list slow blocking",
		"acl|list": "admin slow dangerous",
		"sort":     "write set sortedset list slow dangerous",
		"publish":  "pubsub fast",
	} {
		if got := row(name).Cats.String(); got != want {
			t.Errorf("%s is in %q, want %q", name, got, want)
		}
	}
}

func TestNamesParse(t *testing.T) {
	for i, name := range flagNames {
		if f, ok := ParseFlag(name); !ok || f != 1<<i || f.String() != name {
			t.Errorf("flag %s: got %v %v", name, f, ok)
		}
	}
	for i, name := range categoryNames {
		if c, ok := ParseCategory(name); !ok || c != 1<<i || c.String() != name {
			t.Errorf("category %s: got %v %v", name, c, ok)
		}
	}
	if len(flagNames) != 20 || MovableKeys != 1<<19 || len(categoryNames) != 22 || CatScripting != 1<<21 {
		t.Error("the names are not in the order of the constants")
	}
	if _, ok := ParseFlag("nonesuch"); ok {
		t.Error("a flag that does not exist was parsed")
	}
}

func TestBuildRejectsMistakes(t *testing.T) {
	for name, groups := range map[string][]rows{
		"two rows":          {{"a": {Arity: 1}}, {"a": {Arity: 1}}},
		"no container":      {{"a|b": {Arity: 1}}},
		"no way to find it": {{"a": {Arity: 1, Run: Shared, Keys: unfindable(RO)}}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("the rows were accepted")
				}
			}()
			build(groups)
		})
	}
}

func TestAcceptsArity(t *testing.T) {
	for _, tc := range []struct {
		name     string
		accepted []int
		refused  []int
	}{
		{"get", []int{2}, []int{0, 1, 3}},
		{"set", []int{3, 4, 9}, []int{0, 1, 2}},
		{"zrank", []int{3, 4}, []int{2}}, // Redis 7.0 says 3, later servers at least 3
		{"object|encoding", []int{3}, []int{2, 4}},
	} {
		for _, n := range tc.accepted {
			if !row(tc.name).AcceptsArity(n) {
				t.Errorf("%s does not accept %d", tc.name, n)
			}
		}
		for _, n := range tc.refused {
			if row(tc.name).AcceptsArity(n) {
				t.Errorf("%s accepts %d", tc.name, n)
			}
		}
	}
}

// TestValuePositions checks which arguments are taken for values.
func TestValuePositions(t *testing.T) {
	for _, tc := range []struct {
		call string
		want string
	}{
		{"SET k v", "[2]"},
		{"SET k v EX 10 NX", "[2]"},
		{"SET k", "[]"},
		{"SETEX k 10 v", "[3]"},
		{"MSET k v k2 v2", "[2 4]"},
		{"MSET k v k2", "[2]"},
		{"HSET h f v f2 v2", "[3 5]"},
		{"HSET h f v f2", "[3]"},
		{"HSETNX h f v", "[3]"},
		{"MSETEX 2 k v k2 v2 EX 10", "[3 5]"},
		{"MSETEX 3 k v k2 v2", "[]"},
		{"MSETEX 9223372036854775807 k v", "[]"},
		{"MSETEX x k v", "[]"},
		{"HSETEX h FIELDS 2 f v f2 v2", "[5 7]"},
		{"HSETEX h FNX EX 10 FIELDS 1 f v", "[8]"},
		{"HSETEX h EX FIELDS FIELDS 1 f v", "[7]"},
		{"HSETEX h FIELDS", "[]"},
		{"HSETEX h FIELDS 2 f v", "[]"},
		{"GET k", "[]"},
		{"LPUSH l v", "[]"},
	} {
		c, args := request(t, tc.call)
		if got := fmt.Sprint(c.Values.Positions(nil, args)); got != tc.want {
			t.Errorf("%s: values at %s, want %s", tc.call, got, tc.want)
		}
	}
}

func TestLooksInside(t *testing.T) {
	for call, want := range map[string]bool{
		"GET k":                 false,
		"APPEND k v":            true,
		"HINCRBY h f 1":         true,
		"SET k v":               false,
		"SET k IFEQ":            false, // the value may be anything
		"SET k v EX 10":         false,
		"SET k v IFEQ w":        true,
		"SET k v EX 10 ifdne w": true,
		"DELEX k":               false,
		"DELEX k IFNE w":        true,
	} {
		c, args := request(t, call)
		if got := c.LooksInside(args); got != want {
			t.Errorf("%s: looks inside: %v", call, got)
		}
	}
}

// TestSubsAreSorted since All and Subs promise an order.
func TestSubsAreSorted(t *testing.T) {
	for _, c := range All() {
		if !slices.IsSortedFunc(c.Subs, func(a, b *Command) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("%s: subcommands out of order", c.Name)
		}
	}
}
