package tests

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"riptide-proxy/tests/harness"
)

// diffCall is a request and what the test needs to know of it.
type diffCall struct {
	row    *diffRow // nil: a command that does not exist, or one that only prepares something
	words  []string
	keys   []string
	inline bool // sent as a line of text
}

func (c *diffCall) String() string {
	var b strings.Builder
	if c.inline {
		b.WriteString("(inline) ")
	}
	for i, w := range c.words {
		if i > 0 {
			b.WriteByte(' ')
		}
		if len(w) > 300 {
			w = fmt.Sprintf("%s...(%d bytes)", w[:40], len(w))
		}
		b.WriteString(strconv.Quote(w))
	}
	return b.String()
}

// bytes is the request on the wire.
func (c *diffCall) bytes() []byte {
	if !c.inline {
		return harness.Request(c.words...)
	}
	var b []byte
	for i, w := range c.words {
		if i > 0 {
			b = append(b, ' ')
		}
		if w != "" && !strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\'' }) {
			b = append(b, w...)
			continue
		}
		b = append(b, '"')
		for j := range len(w) {
			b = fmt.Appendf(b, `\x%02x`, w[j])
		}
		b = append(b, '"')
	}
	return append(b, '\r', '\n')
}

// diffGen makes calls.
type diffGen struct {
	*rand.Rand
	rows   []*diffRow
	dumps  []string // payloads of DUMP, for RESTORE
	tenant harness.Tenant
	unique int

	// Of the call that is being made.
	row     *diffRow
	words   []diffWord
	countAt int // the number of keys or fields, which is not yet known; or -1
	reps    int // how often the last repeated argument came
}

type diffWord struct {
	text string
	kind diffWordKind
}

type diffWordKind int

const (
	diffPlain diffWordKind = iota
	diffToken
	diffKey
	diffTime // a span or a moment, which must not come to pass during the test
)

func (g *diffGen) chance(percent int) bool { return g.IntN(100) < percent }

func diffPick[T any](g *diffGen, from []T) T { return from[g.IntN(len(from))] }

// call makes a call of a command: a valid one as far as its documentation goes,
// or one that has something wrong with it.
func (g *diffGen) call(row *diffRow, wrong bool) *diffCall {
	g.row, g.words, g.countAt, g.reps = row, g.words[:0], -1, 1
	for _, w := range row.words {
		g.add(w, diffToken)
	}
	name := len(g.words)
	switch {
	case strings.HasPrefix(row.cmd.Name, "command|getkeys"):
		for _, w := range g.inner().words {
			g.add(w, diffPlain)
		}
	default:
		g.list(row.args)
	}
	c := &diffCall{row: row}
	if wrong {
		g.spoil(name)
	}
	if g.chance(20) {
		for i := range g.words {
			if w := &g.words[i]; w.kind == diffToken {
				w.text = g.otherCase(w.text)
			}
		}
	}
	for _, w := range g.words {
		c.words = append(c.words, w.text)
		if w.kind == diffKey {
			c.keys = append(c.keys, w.text)
		}
	}
	c.inline = g.chance(4)
	return c
}

// inner is a call for COMMAND GETKEYS to look at.
func (g *diffGen) inner() *diffCall {
	for {
		row := diffPick(g, g.rows)
		if !strings.HasPrefix(row.cmd.Name, "command|") {
			other := &diffGen{Rand: g.Rand, rows: g.rows, dumps: g.dumps, tenant: g.tenant}
			return other.call(row, g.chance(20))
		}
	}
}

func (g *diffGen) add(text string, kind diffWordKind) {
	g.words = append(g.words, diffWord{text, kind})
}

// list adds arguments in their order. Options are left out, or come in another
// order or twice now and then.
func (g *diffGen) list(args []*diffArg) {
	for i := 0; i < len(args); {
		if !args[i].optional {
			g.arg(args[i])
			i++
			continue
		}
		var options []*diffArg
		for ; i < len(args) && args[i].optional; i++ {
			if g.chance(40) {
				options = append(options, args[i])
				if g.chance(5) && g.row.cmd.Name != "hello" { // of two logins the servers' versions choose differently
					options = append(options, args[i])
				}
			}
		}
		if g.chance(15) {
			g.Shuffle(len(options), func(a, b int) { options[a], options[b] = options[b], options[a] })
		}
		for _, o := range options {
			g.arg(o)
		}
	}
}

func (g *diffGen) arg(a *diffArg) {
	reps := 1
	if a.multiple {
		reps = 1 + g.IntN(3)
		switch {
		case a.name == "weight", a.name == "id" && strings.HasPrefix(g.row.cmd.Name, "xread"):
			reps = g.reps // one for each key
		}
		g.reps = reps
	}
	if a.multiple && g.countAt >= 0 {
		g.words[g.countAt].text = strconv.Itoa(reps)
		g.countAt = -1
	}
	if a.token != "" && !a.multipleToken {
		g.add(a.token, diffToken)
	}
	for range reps {
		if a.multipleToken {
			g.add(a.token, diffToken)
		}
		switch a.kind {
		case "pure-token":
		case "oneof":
			g.arg(diffPick(g, a.args))
		case "block":
			g.list(a.args)
		case "key":
			g.add(g.key(), diffKey)
		default:
			g.value(a)
		}
	}
}

// value adds an argument that is no option and no key.
func (g *diffGen) value(a *diffArg) {
	switch a.name {
	case "numkeys", "numfields", "numids":
		g.countAt = len(g.words)
		g.add("1", diffPlain)
		return
	case "seconds", "milliseconds", "ms":
		g.add(g.span(), diffTime)
		return
	case "ttl":
		if g.chance(60) {
			g.add("0", diffTime)
		} else {
			g.add(g.span(), diffTime)
		}
		return
	case "min-idle-time":
		g.add(diffPick(g, []string{"0", "0", "0", "1000000000"}), diffTime)
		return
	case "serialized-value":
		g.add(diffPick(g, g.dumps), diffPlain)
		return
	case "password":
		g.add(diffPick(g, []string{g.tenant.Secret, g.tenant.Secret, "wrong", ""}), diffPlain)
		return
	case "username":
		g.add(diffPick(g, []string{g.tenant.ID, g.tenant.ID, "default", "nobody", ""}), diffPlain)
		return
	case "id":
		if g.row.cmd.Name == "xadd" && g.chance(60) {
			g.unique++
			g.add(fmt.Sprintf("%d-%s", 100+g.unique, diffPick(g, []string{"1", "7", "*"})), diffPlain)
			return
		}
	}
	if a.kind == "unix-time" {
		g.add(g.moment(strings.Contains(a.name, "milliseconds")), diffTime)
		return
	}
	for _, name := range []string{g.row.cmd.Name + " " + a.name, g.row.group + " " + a.name, a.name, a.kind} {
		if pool, ok := diffPools[name]; ok {
			g.add(diffPick(g, pool), diffPlain)
			return
		}
	}
	g.add(diffPick(g, diffPools["string"]), diffPlain)
}

// span is a time to live: long, and no two so close to each other that it
// could depend on a server's speed which ends first.
func (g *diffGen) span() string {
	if g.chance(10) {
		return diffPick(g, []string{"0", "-1", "-100000"})
	}
	g.unique++
	return strconv.Itoa(10_000_000 + g.unique*7919%10007*1000)
}

// moment is a point in time, far away or long gone. SET makes a key that has
// expired already, which a server counts until it comes across it.
func (g *diffGen) moment(milliseconds bool) string {
	if g.row.cmd.Name != "set" && g.chance(10) {
		return diffPick(g, []string{"0", "-1", "1"})
	}
	g.unique++
	n := 4_102_444_800 + g.unique*7919%10007*1000
	if milliseconds {
		n *= 1000
	}
	return strconv.Itoa(n)
}

// key is a key of a type that the command works on, mostly.
func (g *diffGen) key() string {
	kinds := diffKindsFor(g.row)
	switch n := g.IntN(100); {
	case n < 72:
		return diffPick(g, diffPick(g, kinds).names)
	case n < 84:
		return diffPick(g, diffPick(g, diffKinds).names)
	case n < 95:
		return diffPick(g, diffMissing)
	}
	return ""
}

// spoil makes a call wrong in one way. name is how many words the command's
// name has.
func (g *diffGen) spoil(name int) {
	timed := slices.ContainsFunc(g.words, func(w diffWord) bool { return w.kind == diffTime })
	last := len(g.words) - 1
	switch n := g.IntN(10); {
	case n < 2: // too few
		g.words = g.words[:g.IntN(len(g.words)-name+1)+name]
	case n < 3 && !timed && last >= name: // one is missing; which would shift another into the place of a time
		g.words = slices.Delete(g.words, last, last+1)
		if last > name {
			i := name + g.IntN(last-name)
			g.words = slices.Delete(g.words, i, i+1)
		}
	case n < 5: // too many
		for range 1 + g.IntN(3) {
			g.add(g.junk(), diffPlain)
		}
	case n < 6 && last > name: // in a wrong order
		i, j := name+g.IntN(last-name+1), name+g.IntN(last-name+1)
		if !timed {
			g.words[i], g.words[j] = g.words[j], g.words[i]
		}
	default: // of a wrong type
		if last >= name {
			w := &g.words[name+g.IntN(last-name+1)]
			if w.kind == diffTime {
				w.text = diffPick(g, diffJunkTimes)
			} else if w.kind == diffKey {
				w.text = diffPick(g, diffPick(g, diffKinds).names)
			} else {
				w.text = g.junk()
			}
		}
	}
}

func (g *diffGen) junk() string {
	text := diffPick(g, diffJunk)
	if text == "\x00" && (g.row.cmd.Name == "hello" || g.row.cmd.Name == "client|setname") {
		return "" // a zero byte in a client's name is refused by Redis 7.0, and ends the name later
	}
	return text
}

// nonsense is a call of a command that does not exist.
func (g *diffGen) nonsense() *diffCall {
	c := &diffCall{words: []string{diffPick(g, diffNoCommands)}}
	for range g.IntN(5) {
		c.words = append(c.words, diffPick(g, diffPools["string"]))
	}
	if g.chance(40) {
		c.words = slices.Insert(c.words, 0, diffPick(g, []string{"OBJECT", "xgroup", "Command", "CLIENT", "MEMORY"}))
	}
	return c
}

func (g *diffGen) otherCase(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c|0x20 >= 'a' && c|0x20 <= 'z' && g.chance(50) {
			b[i] ^= 0x20
		}
	}
	return string(b)
}
