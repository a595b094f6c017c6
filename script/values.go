package script

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"riptide-proxy/command"
	"riptide-proxy/value"
)

//go:embed values.lua
var valuesSource string

// valueParts are the parts of values.lua, their names behind "v ", for scripts of users without rules and with some.
var valueParts = map[bool]map[string]string{false: fillValueParts(false), true: fillValueParts(true)}

// looks stands in the place of the server's calls where a value is only looked at. A user's rules may forbid that. What is
// sealed would then be taken for plain, so the script ends.
const looks = `local look=function(...) local r=raw(...) ` +
	`if type(r)=="table" and r.err and not string.find(r.err,"WRONGTYPE",1,true) then ` +
	`error({err="NOPERM the values of this tenant may be stored sealed, and this user's rules do not let the script look whether they are"},0) end ` +
	`return r end `

const (
	// mostFields is the size of the largest hash whose values are all looked at.
	mostFields = 512
	// longestNames bounds the names in one reply, in bytes.
	longestNames = 32 << 10

	whyMagic = "ERR a script can not store a value that begins with the bytes of a sealed one"
)

func fillValueParts(rules bool) map[string]string {
	var magic strings.Builder
	for i := range len(value.Magic) {
		fmt.Fprintf(&magic, "\\%03d", value.Magic[i])
	}
	fill := strings.NewReplacer("@MAGIC@", magic.String(), "@REFUSED@", whyMagic, "@WORD@", sealedWord, "@DATA@", marks(),
		"@MOST@", fmt.Sprint(mostFields), "@LONGEST@", fmt.Sprint(longestNames))
	filled := make(map[string]string)
	for name, part := range splitParts(valuesSource) {
		filled["v "+name] = fill.Replace(part)
		if rules {
			filled["v "+name] = strings.ReplaceAll(filled["v "+name], `raw("`, `look("`)
		}
	}
	if rules {
		filled["v values"] += looks
		filled["v all head"] += looks
	}
	var all strings.Builder
	for _, name := range []string{
		"all head", "other", "other h", "other f", "other r", "other o", "other end", "other reads", "other tail", "all tail",
	} {
		all.WriteString(filled["v "+name])
	}
	filled["v dynamic"] = strings.Replace(filled["v dynamic"], "@ALL@", "[==["+all.String()+"]==]", 1)
	return filled
}

// What values.lua knows about commands: a mark for each. It is one of these numbers,
const (
	markNothing = "0" // reads no values and writes nothing
	markGet     = "1" // GET
	markWrite   = "2" // writes, and that is all; also what nobody knows
	markSet     = "3" // SET
	markHGet    = "4" // HGET
	markInside  = "5" // looks inside the string of its one key: STRLEN
	markChange  = "6" // and writes: INCR
)

// or seven characters, the first being the kind:
//
//	i  looks inside the strings of some keys, or gives them away in the middle of a write
//	h  looks inside a field of a hash
//	f  gives fields away and writes
//	d  gives away whatever the key has
//	r  gives the key's value another name
//	o  SORT
//	s  stores values
//	e  replies with values of one key
//	g  replies with values, one for each key
//	p  replies with pairs
//	m  replies with pairs if WITHVALUES is there
//	c  replies with a cursor and pairs unless NOVALUES is there
//
// then 1 if it writes; the first key, the last ('m' plus it, -1 being the end) and the step; the first argument that is
// a value, or 0, and the step.
func markOf(c *command.Command) string {
	if len(c.Subs) > 0 {
		for _, sub := range c.Subs {
			if confined(sub) && !quiet(sub) {
				return markWrite
			}
		}
		return markNothing
	}
	hash := c.Cats&command.CatHash != 0
	keyspace := c.Cats&command.CatKeyspace != 0
	write := c.Has(command.Write)
	kind := byte(0)
	switch {
	case c.Has(command.NoScript):
		return markNothing // the server has an error for it
	case c.ReplyValues == command.SortValues:
		kind = 'o'
	case write && keyspace && len(c.Keys) > 0 && c.Keys[0].Flags&command.Access != 0:
		kind = 'r'
	case c.InsideString && keyspace:
		kind = 'd'
	case c.InsideString && hash:
		kind = 'h'
	case c.InsideIf && !c.Values.None():
		return markSet
	case c.InsideString, c.InsideIf, write && c.ReplyValues == command.WholeReply:
		if kind = 'i'; c.Values.None() && c.Shape.Kind == command.ShapeOne && c.Shape.First == 1 {
			return map[bool]string{false: markInside, true: markChange}[write]
		}
	case write && c.ReplyValues != command.NoValues:
		kind = 'f'
	case !c.Values.None():
		kind = 's'
	case c.ReplyValues == command.WholeReply && hash:
		return markHGet
	case c.ReplyValues == command.WholeReply:
		return markGet
	case c.ReplyValues == command.ElementValues && c.Shape.Kind == command.ShapeRange:
		kind = 'g'
	default:
		kind = replyKinds[c.ReplyValues]
	}
	switch {
	case kind != 0:
		return fmt.Sprintf("%c%d%s%s", kind, b2i(write), readKeys(c), valueArgs(c.Values))
	case quiet(c):
		return markNothing
	}
	return markWrite
}

var replyKinds = map[command.ReplyKind]byte{
	command.ElementValues: 'e', command.PairValues: 'p', command.MaybePairs: 'm', command.ScanPairs: 'c',
}

// quiet reports whether a command changes nothing that outlives the script.
func quiet(c *command.Command) bool {
	return c.Has(command.ReadOnly) || harmless[c.Name] || c.Handler == command.HandleSelect
}

// readKeys returns first, last and step of the keys that a command does not merely overwrite.
func readKeys(c *command.Command) string {
	first, last, step := 0, 0, 1
	for _, spec := range c.Keys {
		if spec.Begin != command.BeginIndex || spec.Find != command.KeysRange || spec.Flags&command.OW != 0 {
			continue
		}
		if first == 0 {
			first = spec.Index
		}
		if last, step = spec.Last, spec.Step; last >= 0 {
			last += spec.Index
		}
	}
	return fmt.Sprintf("%d%c%d", first, 'm'+last, step)
}

// valueArgs returns the first argument that is a value and the step to the next. Of the commands that have names of
// fields behind an option all arguments are looked at.
func valueArgs(v command.ValueSpec) string {
	switch {
	case v.None():
		return "00"
	case v.After == command.AfterCount:
		return fmt.Sprintf("%d2", v.First+2)
	case v.After == command.AfterFields:
		return fmt.Sprintf("%d1", v.First)
	case v.Last == v.First:
		return fmt.Sprintf("%d9", v.First) // longer than the command
	}
	return fmt.Sprintf("%d%d", v.First, v.Step)
}

// marks lists the marks of all commands but those that only write: " name=mark".
func marks() string {
	var b strings.Builder
	for _, c := range command.All() {
		if mark := markOf(c); c.Parent == nil && mark != markWrite {
			fmt.Fprintf(&b, " %s=%s", c.Name, mark)
		}
	}
	return b.String() + " "
}

// valuesFor returns what a script that names these commands needs of values.lua: its parts, the marks, and which of
// the declared keys are looked at before it writes. dynamic tells that it may call other commands too.
func (p *program) valuesFor(codes map[string]string, dynamic bool) (use []string, memo, declared string) {
	var has [256]bool
	named, reads := make(map[string]string), make(map[string]bool)
	strs, hashes := dynamic, dynamic
	for name := range codes {
		c := command.Lookup([]byte(name))
		mark := markOf(c)
		named[name] = mark
		has[mark[0]] = true
		switch mark[0] {
		case '0', '2', 's':
			continue
		case 'o', 'r', 'd':
			strs, hashes = true, true
		default:
			hash := c.Cats&command.CatHash != 0
			strs, hashes = strs || !hash, hashes || hash
		}
		reads[name] = true
	}
	looks := strs || hashes
	if !looks && !has['s'] {
		return nil, "", ""
	}
	declared = "i=1,#A"
	if list, ok := p.keysOf(reads); ok && !dynamic {
		declared = list
	}
	if dynamic {
		for _, name := range []string{"ECHO", "georadius_ro", "georadiusbymember_ro"} { // what the prelude calls itself
			named[name] = markNothing
		}
	}
	any := func(kinds string) bool {
		return slices.ContainsFunc([]byte(kinds), func(kind byte) bool { return has[kind] })
	}
	other, own := any("ihfrdosegpmc"), !dynamic
	for _, part := range []struct {
		name string
		need bool
	}{
		{"values", true},
		{"look", looks}, {"look strings", strs}, {"look hashes", hashes}, {"look end", looks}, {"no look", !looks},
		{"other", other}, {"other h", has['h']}, {"other f", has['f']}, {"other r", any("rd")}, {"other o", has['o']},
		{"other end", other}, {"other reads", any("egpmc")}, {"other tail", other},
		{"server", true}, {"get", dynamic || has['1']}, {"hget", dynamic || has['4']}, {"set", dynamic || has['3']},
		{"inside", dynamic || any("56")}, {"writes", dynamic || has['2'] && looks},
		{"dynamic", dynamic}, {"static other", own && other}, {"static", own && !other},
	} {
		if part.need {
			use = append(use, "v "+part.name)
		}
	}
	return use, memoOf(named, looks), declared
}

// keysOf returns which of the declared keys are given to these commands, as the range of a Lua loop, when the text tells:
// all of them are called with KEYS[number] and with no other key. It is for static scripts.
func (p *program) keysOf(commands map[string]bool) (loop string, ok bool) {
	found := make(map[int]bool)
	for i, t := range p.list {
		if t.kind != kindString || t.end-t.beg < 3 || !commands[string(p.source[t.beg+1:t.end-1])] {
			continue
		}
		c := command.Lookup(p.source[t.beg+1 : t.end-1])
		if c.Shape.Kind != command.ShapeOne || c.Shape.First != 1 || len(c.Keys) > 1 || !p.is(i+1, ",") || !p.is(i+2, "KEYS") ||
			!p.is(i+3, "[") || !p.is(i+5, "]") || !p.is(i+6, ",") && !p.is(i+6, ")") {
			return "", false
		}
		n, err := strconv.ParseUint(p.text(i+4), 10, 16)
		if err != nil {
			return "", false
		}
		found[int(n)] = true
	}
	list := slices.Sorted(maps.Keys(found))
	if n := len(list); n > 0 && list[n-1]-list[0] == n-1 {
		return fmt.Sprintf("i=%d,%d", list[0], list[n-1]), true
	}
	return "_,i in next,{" + strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ","), "[]") + "}", true
}

// memoOf returns what a script is told at once about these commands.
func memoOf(marks map[string]string, reads bool) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(marks)) {
		switch mark := marks[name]; {
		case len(mark) > 1:
			list = append(list, fmt.Sprintf("[\"%s\"]=%q", name, mark))
		case mark == markWrite && !reads:
		default:
			list = append(list, fmt.Sprintf("[\"%s\"]=%s", name, mark))
		}
	}
	return strings.Join(list, ",")
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
