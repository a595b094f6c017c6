package script

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"riptide-proxy/command"
)

//go:embed prelude.lua
var preludeSource string

// parts are the prelude's parts by name, each on one line.
var parts = splitParts(preludeSource)

// partsFor are the parts for isolated and for trusted scripts, with what does not depend on the script filled in.
var partsFor = map[bool]map[string]string{false: fillParts(false), true: fillParts(true)}

func fillParts(trusted bool) map[string]string {
	store, readonly, unknown := "do return refuse(c,\""+whyStore+"\"),p end", "c=lower(c)..\"_ro\"", "1"
	if trusted {
		store, readonly = "a[j+1]=name(a[j+1],p,rp)", ""
		unknown = "(P(R.acl_check_cmd,c) and \"" + refused + "\" or 1)" // it fails for what the server does not know
	}
	fill := strings.NewReplacer("@DATA@", dataOf[trusted], "@DEFAULT@", unknown, "@WHY@", whyRefused, "@BADDB@", badDB,
		"@STORE@", store, "@READONLY@", readonly)
	filled := make(map[string]string)
	for name, part := range parts {
		filled[name] = fill.Replace(part)
	}
	var full strings.Builder
	for _, name := range []string{
		"full head", "helpers", "databases of", "data", "walk", "walk data", "walk on", "n", "!", "p", "x", "o", "g", "s",
	} {
		full.WriteString(filled[name])
	}
	if trusted {
		full.WriteString(filled["trusted"])
	}
	full.WriteString(filled["walk end"] + filled["full end"])
	filled["walk full"] = strings.Replace(filled["walk full"], "@FULL@", "[==["+full.String()+"]==]", 1)
	return filled
}

func splitParts(source string) map[string]string {
	parts := make(map[string]string)
	name := ""
	for line := range strings.Lines(source) {
		line = strings.TrimSpace(line)
		if next, ok := strings.CutPrefix(line, "--@"); ok {
			name = next
			continue
		}
		if line == "" || strings.HasPrefix(line, "--") || name == "" {
			continue
		}
		parts[name] += line + " "
	}
	return parts
}

// fenced are the words without which a script can not get at a global variable that it does not name, nor at the
// functions that reach beyond one run of a script. Whoever names one gets the fence.
var fenced = []string{"_G", "setfenv", "getfenv", "newproxy", "loadstring", "load"}

// What scripts are told about commands that they can not have.
const (
	whyRefused = "nothing confines it to the tenant's own keys"
	whyStore   = "with STORE it is not confined to the tenant's own keys, use GEOSEARCHSTORE"
	badDB      = "ERR value is not an integer or out of range"
)

// Wrap returns a tenant's script as the upstream is to run it: with a prelude on its first line that makes the keys
// and channels which it names the tenant's own. The result is the same for all tenants; the prefix comes as the last
// argument (Script.AppendArgs).
func Wrap(source []byte, mode Mode) []byte {
	wrapped, _ := wrap(source, mode)
	return wrapped
}

// wrap also reports whether the script may call SELECT, and so needs to be told how many databases there are.
func wrap(source []byte, mode Mode) (wrapped []byte, selects bool) {
	shebang, body, ok := splitShebang(source)
	if !ok {
		return source, false
	}
	list, ok := tokens(body)
	p := &program{source: body, list: list, broken: !ok, shebang: len(shebang) > 0}
	prelude, after, selects := p.prelude(mode)
	wrapped = slices.Concat(shebang, prelude)
	if !p.broken {
		wrapped = append(append(wrapped, p.keepFrames()...), after...)
	}
	return wrapped, selects
}

// prelude builds the prelude that this script needs. What it leaves out would cost each run.
func (p *program) prelude(mode Mode) (before, after []byte, selects bool) {
	has := words(p.source)
	contains := func(word string) bool { return has[word] }
	fence := slices.ContainsFunc(fenced, contains)
	p.broken = p.broken || !p.balanced()
	codes, selects := p.commands(mode.Trusted)
	all := "walk static"
	if mode.Trusted || fence || !p.static(codes) {
		all = "walk full"
	}
	use := []string{"head", "no databases"}
	if selects {
		use = []string{"head", "databases"}
	}
	var marks, looked, sealed string
	if mode.Values && !p.broken {
		var values []string
		if values, marks, looked = p.valuesFor(codes, all == "walk full"); values != nil {
			use = append(use, values...)
			sealed = "if Z then return {err=Z} end "
		}
	}
	if onlyPlain(codes) && all == "walk static" {
		use = append(use, "plain")
	} else {
		use = append(use, "slow", "helpers", "databases of", "walk", all, "walk on")
		use = append(use, kinds(codes)...)
		use = append(use, "walk end", "slow end")
	}
	use = append(use, "call", "run")
	result := "v"
	if fence || has["setmetatable"] {
		result = "clean(v)"
		use = append(use, "clean")
	}
	use = append(use, "run end")
	if has["pcall"] || fence {
		use = append(use, "pcall")
	}
	if has["acl_check_cmd"] {
		use = append(use, "acl")
	}
	if fence || !p.onlyCalls() {
		use = append(use, "rest")
	}
	if has["cjson"] {
		use = append(use, "cjson")
	}
	if has["getmetatable"] || fence {
		use = append(use, "metatable")
	}
	locals := []string{"redis"}
	if has["server"] {
		use = append(use, "server")
	}
	run := unused(has)
	if fence {
		use = append(use, "fence")
		locals = append(locals, "_G", "loadstring", "load")
	}
	broken := ""
	if p.broken {
		broken = p.quoted()
		use = append(use, "broken")
	} else {
		use = append(use, "tail")
	}
	names := strings.Join(locals, ",")
	declared := run + "," + names + "=nil," + names
	if has["server"] {
		declared = run + ",server," + names + "=nil,nil," + names
	}
	var b strings.Builder
	fill := strings.NewReplacer("@LOCALS@", declared, "@MEMO@", memo(codes), "@LINE@", p.returnLine(), "@RUN@", run,
		"@RESULT@", result, "@SOURCE@", broken, "@SEALED@", sealed, "@MARKS@", marks,
		"@DECLARED@", looked)
	for _, name := range use {
		part := partsFor[mode.Trusted][name]
		if part == "" {
			part = valueParts[mode.Rules][name]
		}
		if strings.Contains(part, "@") && name != "walk full" && name != "v dynamic" {
			fill.WriteString(&b, part)
		} else {
			b.WriteString(part)
		}
	}
	return []byte(b.String()), []byte("\nend)"), selects
}

// unused returns an identifier that the script does not contain.
func unused(has map[string]bool) string {
	for i := 0; ; i++ {
		if name := "_r" + strconv.Itoa(i); !has[name] {
			return name
		}
	}
}

// quoted returns the inside of a Lua string that is the script, for one that is not run but only compiled, so that its
// error is found.
func (p *program) quoted() string {
	var b strings.Builder
	if p.shebang {
		b.WriteString("\\n")
	}
	for _, c := range p.source {
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "\\%03d", c)
		}
	}
	return b.String()
}

// Diagnosis returns a script, to be run without keys and arguments, that compiles this one and does not run it. It
// answers OK, or the error that the client would get from a server of its own. SCRIPT LOAD needs it; and so does a
// wrapped script that the server does not compile, since the prelude changes what the server expects at its end.
func (s *Script) Diagnosis() []byte {
	shebang, body, ok := splitShebang(s.Source)
	if !ok {
		return s.Source
	}
	p := &program{source: body, shebang: len(shebang) > 0}
	return slices.Concat(shebang, []byte(strings.Replace(parts["diagnosis"], "@SOURCE@", p.quoted(), 1)))
}

// Rejected reports whether a reply says that the upstream did not take a script, so that it does not know it now.
func Rejected(reply []byte) bool {
	return CompileError(reply) || bytes.HasPrefix(reply, []byte("-ERR ")) && bytes.Contains(reply, []byte(" shebang"))
}

// CompileError reports whether a reply says that the upstream could not compile a script.
func CompileError(reply []byte) bool {
	return bytes.HasPrefix(reply, []byte("-ERR Error compiling script"))
}

// splitShebang splits off a first line that begins with "#!". A script that is nothing else has nothing to run, and
// servers refuse it.
func splitShebang(source []byte) (shebang, body []byte, ok bool) {
	if !bytes.HasPrefix(source, []byte("#!")) {
		return nil, source, true
	}
	end := bytes.IndexByte(source, '\n')
	if end < 0 {
		return source, nil, false
	}
	return source[:end+1], source[end+1:], true
}

// mostNames bounds the constructor that every run of a script executes.
const mostNames = 50

// commands returns the codes of the commands that the script names.
func (p *program) commands(trusted bool) (codes map[string]string, selects bool) {
	codes = make(map[string]string)
	for _, t := range p.list {
		if t.kind != kindString || t.end-t.beg < 3 || p.source[t.beg] == '[' {
			continue
		}
		name := string(p.source[t.beg+1 : t.end-1])
		c := command.Lookup(p.source[t.beg+1 : t.end-1])
		if c == nil || codes[name] != "" {
			continue
		}
		selects = selects || c.Handler == command.HandleSelect
		if len(codes) < mostNames && plain(name) {
			codes[name] = codeOf(c, trusted)
		}
	}
	return codes, selects
}

// memo returns what the prelude is told at once about these commands.
func memo(codes map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(codes)) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		if codes[name] == plainKey {
			b.WriteString("[\"" + name + "\"]=1")
		} else {
			b.WriteString("[\"" + name + "\"]=\"" + codes[name] + "\"")
		}
	}
	return b.String()
}

func onlyPlain(codes map[string]string) bool {
	for _, code := range codes {
		if code != plainKey {
			return false
		}
	}
	return true
}

// kinds returns the prelude's parts for the kinds of these commands. That for ranges is in it anyway.
func kinds(codes map[string]string) []string {
	var need []string
	for _, kind := range []string{"n", "!", "p", "x", "o", "g", "s"} {
		for _, code := range codes {
			if code[:1] == kind {
				need = append(need, kind)
				break
			}
		}
	}
	for _, code := range codes {
		if strings.Contains("KCRDFYV", code[:1]) {
			return append(need, "trusted")
		}
	}
	return need
}

// static reports whether the script names every command that it calls, so that what the prelude does about computed
// names can be left out. When it is wrong, names of keys are not the tenant's and the wall refuses them.
func (p *program) static(codes map[string]string) bool {
	aliases := p.aliases()
	literal := func(i int) bool {
		if i >= len(p.list) || p.list[i].kind != kindString || !p.is(i+1, ",") && !p.is(i+1, ")") {
			return false
		}
		text := p.text(i)
		code, ok := codes[text[1:len(text)-1]]
		return ok && code != container
	}
	for i, t := range p.list {
		switch {
		case t.kind != kindName:
		case p.is(i, "redis") || p.is(i, "server"):
			if p.is(i-1, "=") && p.is(i-3, "local") && aliases[p.text(i-2)] {
				continue
			}
			if !p.is(i+1, ".") || !p.is(i+2, "call") && !p.is(i+2, "pcall") || !p.is(i+3, "(") || !literal(i+4) {
				return false
			}
		case aliases[p.text(i)] && p.is(i+1, "(") && !literal(i+2):
			return false
		}
	}
	return true
}

func plain(name string) bool {
	for i := range len(name) {
		if !letter(name[i]) && !digit(name[i]) {
			return false
		}
	}
	return true
}

// onlyCalls reports whether the script uses nothing of redis but call and pcall.
func (p *program) onlyCalls() bool {
	for i, t := range p.list {
		if t.kind == kindName && (p.is(i, "redis") || p.is(i, "server")) &&
			!(p.is(i+1, ".") && (p.is(i+2, "call") || p.is(i+2, "pcall"))) {
			return false
		}
	}
	return true
}

// returnLine returns the line that a call stood on which has left no trace: the script has ended with it, so it stood
// behind a "return". When those are on several lines nobody knows.
func (p *program) returnLine() string {
	line := 0
	for i, t := range p.list {
		if t.kind == kindName && p.is(i, "return") {
			if line != 0 && line != t.line {
				return "nil"
			}
			line = t.line
		}
	}
	if line == 0 {
		return "nil"
	}
	if p.shebang {
		line++
	}
	return strconv.Itoa(line)
}
