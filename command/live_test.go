package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestTableMatchesServer compares the table with what a real server reports: every command and subcommand that the
// server knows must have a row that says the same, and every row that the server should know must be known.
func TestTableMatchesServer(t *testing.T) {
	client := startServer(t)
	server := serverOf(t, client)
	reply, err := client.Do(context.Background(), "COMMAND").Slice()
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, entry := range reply {
		compare(t, server, entry.([]any), known)
	}
	for _, c := range All() {
		if !known[c.Name] && c.KnownTo(server) && (c.Since == "" || server.Major != 255) && !c.Has(Module) {
			t.Errorf("%s: the server does not know it", c.Name)
		}
		if known[c.Name] && !c.KnownTo(server) {
			t.Errorf("%s: the server knows it, but the row says since %s", c.Name, c.Since)
		}
	}
	if len(known) < 300 {
		t.Errorf("the server reported only %d commands", len(known))
	}
}

// compare checks one entry of COMMAND's reply and, further inside it, the entries of subcommands.
func compare(t *testing.T, server Server, entry []any, known map[string]bool) {
	name := strings.ToLower(entry[0].(string))
	known[name] = true
	for _, sub := range entry[9].([]any) {
		compare(t, server, sub.([]any), known)
	}
	container, sub, isSub := strings.Cut(name, "|")
	c := Lookup([]byte(container))
	if isSub && c != nil {
		c = c.Sub([]byte(sub))
	}
	if c == nil {
		t.Errorf("%s: the server knows it, and there is no row", name)
		return
	}
	want := c.On(server)
	check := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: the server's %s: %v, the row's: %v", name, what, got, want)
		}
	}
	check("arity", entry[1], want.Arity)
	check("flags", sorted(entry[2], ""), sortedNames(want.Flags.Names()))
	check("categories", sorted(entry[6], "@"), sortedNames(want.Cats.Names()))
	split, join := policiesOf(entry[7].([]any))
	check("split", split, want.Split)
	check("join", join, want.Join)
	var specs KeySpecs
	for _, spec := range entry[8].([]any) {
		specs = append(specs, specOf(t, pairs(spec)))
	}
	check("key specifications", fmt.Sprintf("%+v", specs), fmt.Sprintf("%+v", want.Keys))
	if !c.AcceptsArity(shortest(int(entry[1].(int64)))) {
		t.Errorf("%s: the server accepts fewer arguments than the row", name)
	}
}

// shortest returns the smallest number of arguments that an arity allows.
func shortest(arity int) int { return max(arity, -arity) }

// policiesOf returns the policies among a command's tips.
func policiesOf(tips []any) (split, join string) {
	for _, tip := range tips {
		if policy, ok := strings.CutPrefix(tip.(string), "request_policy:"); ok {
			split = policy
		}
		if policy, ok := strings.CutPrefix(tip.(string), "response_policy:"); ok {
			join = policy
		}
	}
	return split, join
}

// specOf reads one key specification of COMMAND's reply.
func specOf(t *testing.T, spec map[string]any) KeySpec {
	var out KeySpec
	for _, name := range spec["flags"].([]any) {
		flag, ok := ParseKeyFlag(name.(string))
		if !ok {
			t.Errorf("unknown key flag %v", name)
		}
		out.Flags |= flag
	}
	begin, find := pairs(spec["begin_search"]), pairs(spec["find_keys"])
	where, how := pairs(begin["spec"]), pairs(find["spec"])
	number := func(m map[string]any, name string) int {
		n, ok := m[name].(int64)
		if !ok {
			t.Errorf("no %s in a key specification", name)
		}
		return int(n)
	}
	switch begin["type"] {
	case "index":
		out.Begin, out.Index = BeginIndex, number(where, "index")
	case "keyword":
		out.Begin, out.Index = BeginKeyword, number(where, "startfrom")
		out.Keyword = where["keyword"].(string)
	}
	switch find["type"] {
	case "range":
		out.Find, out.Last = KeysRange, number(how, "lastkey")
		out.Step, out.Limit = number(how, "keystep"), number(how, "limit")
	case "keynum":
		out.Find, out.Last = KeysCount, number(how, "keynumidx")
		out.Step, out.First = number(how, "keystep"), number(how, "firstkey")
	}
	return out
}

// pairs makes a map of a flat array of names and values.
func pairs(flat any) map[string]any {
	list := flat.([]any)
	m := make(map[string]any)
	for i := 0; i+1 < len(list); i += 2 {
		m[list[i].(string)] = list[i+1]
	}
	return m
}

// sorted returns the names in a reply without their prefix, in order.
func sorted(reply any, prefix string) []string {
	var names []string
	for _, name := range reply.([]any) {
		names = append(names, strings.TrimPrefix(name.(string), prefix))
	}
	return sortedNames(names)
}

func sortedNames(names []string) []string {
	slices.Sort(names)
	return names
}
