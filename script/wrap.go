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
// argument (Script.AppendArgs). A trusted script gets commands that an isolated one is refused.
func Wrap(source []byte, trusted bool) []byte {
	wrapped, _ := wrap(source, trusted)
	return wrapped
}

// wrap also reports whether the script may call SELECT, and so needs to be told how many databases there are.
func wrap(source []byte, trusted bool) (wrapped []byte, selects bool) {
	shebang, body, ok := splitShebang(source)
	if !ok {
		return source, false
	}
	list, ok := tokens(body)
	p := &program{source: body, list: list, broken: !ok, shebang: len(shebang) > 0}
	prelude, after, selects := p.prelude(trusted)
	if ok {
		body = p.keepFrames()
	}
	wrapped = slices.Concat(shebang, prelude)
	if !p.broken {
		wrapped = append(append(wrapped, body...), after...)
	}
	return wrapped, selects
}

// prelude builds the prelude that this script needs. What it leaves out would cost each run.
func (p *program) prelude(trusted bool) (before, after []byte, selects bool) {
	has := words(p.source)
	contains := func(word string) bool { return has[word] }
	fence := slices.ContainsFunc(fenced, contains)
	p.broken = p.broken || !p.balanced()
	memo, selects := p.memo(trusted)
	use := []string{"head"}
	if selects {
		use = append(use, "databases")
	} else {
		use = append(use, "no databases")
	}
	use = append(use, "slow")
	if trusted {
		use = append(use, "trusted")
	}
	use = append(use, "slow end", "call", "run")
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
	var b strings.Builder
	for _, name := range use {
		b.WriteString(parts[name])
	}
	names := strings.Join(locals, ",")
	declared := run + "," + names + "=nil," + names
	if has["server"] {
		declared = run + ",server," + names + "=nil,nil," + names
	}
	store, readonly, ro := "do return refuse(c,\""+whyStore+"\") end", "c=lower(c)..\"_ro\"", "1"
	if trusted {
		store, readonly, ro = "a[j+1]=name(a[j+1])", "", "\""+refused+"\""
	}
	text := strings.NewReplacer(
		"@LOCALS@", declared,
		"@MEMO@", memo,
		"@DATA@", dataOf[trusted],
		"@DEFAULT@", ro,
		"@WHY@", whyRefused,
		"@BADDB@", badDB,
		"@STORE@", store,
		"@READONLY@", readonly,
		"@LINE@", p.returnLine(),
		"@RUN@", run,
		"@RESULT@", result,
		"@SOURCE@", broken,
	).Replace(b.String())
	return []byte(text), []byte("\nend)"), selects
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

// memo returns what the prelude is told at once about the commands that the script names.
func (p *program) memo(trusted bool) (text string, selects bool) {
	codes := make(map[string]string)
	for i, t := range p.list {
		if t.kind != kindString || t.end-t.beg < 3 || p.source[t.beg] == '[' {
			continue
		}
		name := p.text(i)[1 : t.end-t.beg-1]
		c := command.Lookup([]byte(name))
		if c == nil {
			continue
		}
		code := codeOf(c, trusted)
		selects = selects || c.Handler == command.HandleSelect
		if code == plainKey {
			code = "1"
		} else {
			code = "\"" + code + "\""
		}
		if len(codes) < mostNames && plain(name) {
			codes[name] = code
		}
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(codes)) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString("[\"" + name + "\"]=" + codes[name])
	}
	return b.String(), selects
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
