package tests

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/command"
	"riptide-proxy/tests/harness"
)

// diffRow is a command under test: its row of the table and what the server
// says its arguments are.
type diffRow struct {
	cmd   *command.Command
	words []string // its name, "XGROUP CREATE"
	group string   // as in COMMAND DOCS: string, sorted-set, ...
	args  []*diffArg
}

// diffArg is an argument, or several that belong together, as COMMAND DOCS
// describes them.
type diffArg struct {
	name, kind, token                 string
	optional, multiple, multipleToken bool
	args                              []*diffArg // of a oneof the choices, of a block the parts
}

// diffRows returns the commands that tenants may use and the server has.
func diffRows(t *testing.T, server *harness.Process) []*diffRow {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.Addr, Password: harness.Acme.Secret, Protocol: 2})
	defer client.Close()
	ctx := harness.Context(t)
	docs := make(map[string]map[string]any)
	all, err := client.Do(ctx, "COMMAND", "DOCS").Slice()
	if err != nil {
		t.Fatalf("COMMAND DOCS: %v", err)
	}
	diffCollect(docs, all)
	var rows []*diffRow
	for _, c := range command.All() {
		if !diffStateless(c) || diffOwnTest(c.Name) {
			continue
		}
		info, err := client.Do(ctx, "COMMAND", "INFO", c.Name).Slice()
		if err != nil || len(info) != 1 {
			t.Fatalf("COMMAND INFO %s: %v, %v", c.Name, info, err)
		}
		if info[0] == nil {
			continue // this server does not have it
		}
		row := &diffRow{cmd: c, words: strings.Split(strings.ToUpper(c.Name), "|")}
		if doc := docs[c.Name]; doc != nil {
			row.group, _ = doc["group"].(string)
			row.args = diffArgs(doc["arguments"])
		}
		rows = append(rows, row)
	}
	if len(rows) < 150 {
		t.Fatalf("only %d commands to be tested", len(rows))
	}
	return rows
}

// diffCollect notes the documentation of commands and of their subcommands.
func diffCollect(docs map[string]map[string]any, pairs []any) {
	for name, doc := range diffMap(pairs) {
		fields, _ := doc.([]any)
		m := diffMap(fields)
		docs[name] = m
		if subs, ok := m["subcommands"].([]any); ok {
			diffCollect(docs, subs)
		}
	}
}

// diffMap makes a map of RESP2's flat list of pairs.
func diffMap(pairs []any) map[string]any {
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		if name, ok := pairs[i].(string); ok {
			m[name] = pairs[i+1]
		}
	}
	return m
}

func diffArgs(list any) (args []*diffArg) {
	items, _ := list.([]any)
	for _, item := range items {
		fields, _ := item.([]any)
		m := diffMap(fields)
		a := new(diffArg)
		a.name, _ = m["name"].(string)
		a.kind, _ = m["type"].(string)
		a.token, _ = m["token"].(string)
		flags, _ := m["flags"].([]any)
		for _, f := range flags {
			switch f {
			case "optional":
				a.optional = true
			case "multiple":
				a.multiple = true
			case "multiple_token":
				a.multipleToken = true
			}
		}
		a.args = diffArgs(m["arguments"])
		if a.token == "BLOCK" {
			continue // it waits when there is nothing to read; blocking has tests of its own
		}
		args = append(args, a)
	}
	return args
}
