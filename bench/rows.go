package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// value says what the keys of a row hold.
type value struct {
	name  string // in names of rows
	label string // in tables
	key   string // begins the keys; three letters, so that all keys are equally long
	size  int
	keys  int // how many there are; large values get few, to spare memory
}

var (
	small = value{name: "64b", label: "64 B", key: "k64", size: 64, keys: 100_000}
	large = value{name: "16k", label: "16 KiB", key: "16k", size: 16 << 10, keys: 1_000}
)

// row is one way of loading a target with redis-benchmark.
type row struct {
	clients  int
	pipeline int
	value    value
	op       string // GET or SET, on keys that exist
	requests int    // about one to two seconds on two cores
	main     bool   // part of -quick
}

// rows is what is measured. A thousand clients at pipeline 16 is there to see
// that nothing breaks down; 16 KiB values with so many would measure memory.
var rows = []row{
	{clients: 1, pipeline: 1, value: small, op: "GET", requests: 12_000},
	{clients: 1, pipeline: 1, value: small, op: "SET", requests: 12_000},
	{clients: 1, pipeline: 16, value: small, op: "GET", requests: 150_000},
	{clients: 1, pipeline: 16, value: small, op: "SET", requests: 150_000},
	{clients: 50, pipeline: 1, value: small, op: "GET", requests: 100_000, main: true},
	{clients: 50, pipeline: 1, value: small, op: "SET", requests: 100_000, main: true},
	{clients: 50, pipeline: 16, value: small, op: "GET", requests: 500_000, main: true},
	{clients: 50, pipeline: 16, value: small, op: "SET", requests: 500_000, main: true},
	{clients: 50, pipeline: 1, value: large, op: "GET", requests: 50_000, main: true},
	{clients: 50, pipeline: 1, value: large, op: "SET", requests: 50_000, main: true},
	{clients: 50, pipeline: 16, value: large, op: "GET", requests: 40_000},
	{clients: 50, pipeline: 16, value: large, op: "SET", requests: 40_000},
	{clients: 1000, pipeline: 1, value: small, op: "GET", requests: 100_000, main: true},
	{clients: 1000, pipeline: 1, value: small, op: "SET", requests: 100_000, main: true},
	{clients: 1000, pipeline: 16, value: small, op: "GET", requests: 300_000},
}

// tenantRow compares one tenant on a thousand connections with a thousand
// tenants on one connection each.
type tenantRow struct {
	pipeline int
	op       string
	main     bool
}

var tenantRows = []tenantRow{
	{pipeline: 1, op: "GET", main: true},
	{pipeline: 1, op: "SET"},
	{pipeline: 16, op: "GET", main: true},
	{pipeline: 16, op: "SET"},
}

// statefulRow is an operation that a connection has a state for, or that takes
// several commands. redis-benchmark can not send them, the load generator can.
type statefulRow struct {
	op      string // as Redis counts it
	label   string // names the row
	what    string // names it in tables
	clients int    // for PUBLISH: the publisher and its subscribers
	keys    int    // of each client
}

var statefulRows = []statefulRow{
	{op: "EXEC", label: "c50-multi", what: "50 clients, MULTI/EXEC of 5 commands in one write", clients: 50, keys: 100},
	{op: "EVALSHA", label: "c50-evalsha", what: "50 clients, EVALSHA of a script with 2 keys", clients: 50, keys: 100},
	{op: "BLPOP", label: "pairs50-blpop", what: "50 pairs of clients, BLPOP ping-pong, there and back", clients: 50},
	{op: "PUBLISH", label: "subs100-publish", what: "1 client, PUBLISH until all of 100 subscribers have it", clients: 101},
}

func (r statefulRow) name() string  { return r.label }
func (r statefulRow) title() string { return r.what }

func (r row) name() string {
	return fmt.Sprintf("c%d-p%d-%s-%s", r.clients, r.pipeline, r.value.name, strings.ToLower(r.op))
}

func (r row) title() string {
	return fmt.Sprintf("%s, %s, %s, %s", plural(r.clients, "client"), pipelining(r.pipeline), r.value.label, r.op)
}

func (r tenantRow) name() string {
	return fmt.Sprintf("tenants-p%d-%s", r.pipeline, strings.ToLower(r.op))
}

func (r tenantRow) title() string {
	return fmt.Sprintf("%d connections, %s, %s, %s", tenantCount, pipelining(r.pipeline), small.label, r.op)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func pipelining(n int) string {
	if n == 1 {
		return "no pipeline"
	}
	return fmt.Sprintf("pipeline %d", n)
}

// chooseRows applies -quick and -only. Quick rows get a third of the requests.
func chooseRows(o options) (plain []row, stateful []statefulRow, values []valueRow, tenants []tenantRow) {
	wanted := o.wants
	for _, r := range rows {
		if wanted(r.name(), r.main) {
			if o.quick {
				r.requests /= 3
			}
			plain = append(plain, r)
		}
	}
	for _, r := range statefulRows {
		if wanted(r.name(), false) {
			stateful = append(stateful, r)
		}
	}
	for _, r := range valueRows {
		if wanted(r.name(), false) {
			values = append(values, r)
		}
	}
	for _, r := range tenantRows {
		if wanted(r.name(), r.main) {
			tenants = append(tenants, r)
		}
	}
	return plain, stateful, values, tenants
}

// wants reports whether a row is to be measured; main says that it is part of -quick.
func (o options) wants(name string, main bool) bool {
	if o.only != nil {
		return o.only.MatchString(name)
	}
	return main || !o.quick
}

// chooseSides is chooseRows for the rows that compare riptide with itself, which need it.
func chooseSides(o options) (sides []sideRow) {
	if o.targets != nil && !slices.Contains(o.targets, "riptide") {
		return nil
	}
	for _, r := range sideRows {
		if o.wants(r.name(), r.main) {
			sides = append(sides, r)
		}
	}
	return sides
}

// values lists what has to be stored before rows can be measured.
func values(rows []row) []value {
	var vs []value
	for _, r := range rows {
		if !slices.Contains(vs, r.value) {
			vs = append(vs, r.value)
		}
	}
	return vs
}

// content is the same at every call, so that a run can be repeated. It is
// printable because redis-benchmark takes it as an argument, and has no
// underscore because redis-benchmark replaces __rand_int__ in arguments.
func (v value) content() string {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-."
	rnd := rand.New(rand.NewPCG(1, uint64(v.size)))
	var b strings.Builder
	for b.Len() < v.size {
		b.WriteByte(letters[rnd.IntN(len(letters))])
	}
	return b.String()[:v.size]
}

// keyName is the key that redis-benchmark makes of <key>:__rand_int__.
func (v value) keyName(i int) string { return fmt.Sprintf("%s:%012d", v.key, i) }
