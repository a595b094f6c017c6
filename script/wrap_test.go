package script

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestWrapKeepsLines(t *testing.T) {
	for _, source := range []string{
		"return 1", "return 1\nreturn 2", "#!lua flags=no-writes\nreturn 1\n", "", "\n\n", "#!lua\n", "broken (", "_G\nx",
	} {
		for _, mode := range allModes {
			s := New([]byte(source), mode)
			first, body := "", s.Source
			if strings.HasPrefix(source, "#!") {
				first = source[:strings.Index(source, "\n")+1]
				body = s.Source[len(first):]
			}
			wrapped, ok := bytes.CutPrefix(s.Wrapped, []byte(first))
			if !ok {
				t.Fatalf("%q: the shebang is not in front", source)
			}
			line, _, _ := bytes.Cut(wrapped, []byte("\n"))
			want, _, _ := bytes.Cut(body, []byte("\n"))
			if !bytes.HasSuffix(line, want) && !bytes.Contains(wrapped, []byte("loadstring(\"")) {
				t.Errorf("%q: the first line is %q", source, line)
			}
			if bytes.Contains(s.Wrapped, []byte("@")) && !bytes.Contains(s.Wrapped, []byte("@user_script")) {
				t.Errorf("%q: a placeholder is left", source)
			}
		}
	}
	if got := Wrap([]byte("#!lua"), Mode{}); string(got) != "#!lua" {
		t.Errorf("%q", got)
	}
}

func TestKeepFrames(t *testing.T) {
	for source, want := range map[string]string{
		"return redis.call('x')":                                   "return (redis.call('x'))",
		"return redis.call('x', f(1, {2}), [[)]])":                 "return (redis.call('x', f(1, {2}), [[)]]))",
		"if a then return redis.call('x') end":                     "if a then return (redis.call('x')) end",
		"return redis.call('x');":                                  "return (redis.call('x'));",
		"return redis.call('x')[1]":                                "return redis.call('x')[1]",
		"return redis.call('x'), 1":                                "return redis.call('x'), 1",
		"return redis.call('x') == 1":                              "return redis.call('x') == 1",
		"return f('x')":                                            "return f('x')",
		"local c = redis.call return c('x')":                       "local c = redis.call return (c('x'))",
		"local c = redis.call c = f return c('x')":                 "local c = redis.call c = f return c('x')",
		"local c = redis.call local c = f return c('x')":           "local c = redis.call local c = f return c('x')",
		"local c = redis.call local function g(c) return c(1) end": "local c = redis.call local function g(c) return c(1) end",
		"local c = redis.call function c() end return c()":         "local c = redis.call function c() end return c()",
		"local c = redis.call return t.c()":                        "local c = redis.call return t.c()",
		"-- return redis.call('x')":                                "-- return redis.call('x')",
		"return 'return redis.call(1)'":                            "return 'return redis.call(1)'",
		"return redis.call(')') -- )":                              "return (redis.call(')')) -- )",
	} {
		list, _ := tokens([]byte(source))
		p := &program{source: []byte(source), list: list}
		if !p.balanced() {
			t.Errorf("%s: not balanced", source)
			continue
		}
		if got := string(p.keepFrames()); got != want {
			t.Errorf("%s\n got %s\nwant %s", source, got, want)
		}
	}
}

func TestTokens(t *testing.T) {
	for source, want := range map[string]string{
		"a=1":                    "a|=|1",
		"a..b":                   "a|.|.|b",
		"1e5..x":                 "1e5|.|.|x",
		"1e-5end":                "1e-5end",
		"3..end":                 "3..end",
		"0x1F-1":                 "0x1F|-|1",
		"--x\nb":                 "b",
		"--x\rb":                 "b",
		"--[[x\n]]b":             "b",
		"--[=[ ]] ]=]b":          "b",
		"--[=x\nb":               "b",
		"[[a]]b":                 "[[a]]|b",
		"[==[]=]]==]b":           "[==[]=]]==]|b",
		"a[b[1]]":                "a|[|b|[|1|]|]",
		`"a\"b"c`:                `"a\"b"|c`,
		`'\\'c`:                  `'\\'|c`,
		"'a\\\r\nb'c":            "'a\\\r\nb'|c",
		"'a\\\nb'c":              "'a\\\nb'|c",
		"'a\nb'":                 "!",
		"'a\rb'":                 "!",
		"'a":                     "!",
		"[[a":                    "!",
		"--[[a":                  "!",
		"\x80":                   "!",
		"\x00":                   "!",
		"'\x80\x00'":             "'\x80\x00'",
		"a.b_1:c{}":              "a|.|b_1|:|c|{|}",
		"'abc\\":                 "!",
		"local function f() end": "local|function|f|(|)|end",
	} {
		list, ok := tokens([]byte(source))
		var texts []string
		for _, tok := range list {
			texts = append(texts, source[tok.beg:tok.end])
		}
		got := strings.Join(texts, "|")
		if !ok {
			got = "!"
		}
		if got != want {
			t.Errorf("%q\n got %q\nwant %q", source, got, want)
		}
	}
}

func TestBalanced(t *testing.T) {
	for source, want := range map[string]bool{
		"": true, "if a then b() end": true, "for i=1,2 do end while true do end repeat until x": true,
		"f(function() end)": true, "local t={[1]={}}": true, "end": false, "if a then": false, "f(": false, ")(": false,
		"end function f()": false, "repeat end": false, "(]": false, "do until x": false, "function f() end)": false,
	} {
		list, ok := tokens([]byte(source))
		if p := (&program{source: []byte(source), list: list}); !ok || p.balanced() != want {
			t.Errorf("%q: not %v", source, want)
		}
	}
}

func TestArgs(t *testing.T) {
	for source, want := range map[string]string{
		"return 1":                      "$9\r\nt:acme:0:\r\n",
		"redis.call('SELECT', ARGV[1])": "$2\r\n16\r\n$9\r\nt:acme:0:\r\n",
		"return select('#', 1)":         "$9\r\nt:acme:0:\r\n",
	} {
		s := New([]byte(source), Mode{})
		if got := string(s.AppendArgs(nil, []byte(acme), 16)); got != want || strings.Count(got, "$") != s.ExtraArgs() {
			t.Errorf("%s: %q", source, got)
		}
	}
}

func TestRestoreError(t *testing.T) {
	s := New([]byte("return 1"), Mode{})
	for reply, want := range map[string]string{
		"-ERR x script: " + s.WrappedSHA + ", on @user_script:1.\r\n": "-ERR x script: " + s.SHA + ", on @user_script:1.\r\n",
		"-NOGROUP No such key 't:acme:0:k' or x\r\n":                  "-NOGROUP No such key 'k' or x\r\n",
		"-ERR 't:acme:0:a' and 't:acme:0:b'\r\n":                      "-ERR 'a' and 'b'\r\n",
		"-ERR other\r\n":                                              "-ERR other\r\n",
	} {
		if got := string(RestoreError([]byte("x"), []byte(reply), s, []byte(acme))); got != "x"+want {
			t.Errorf("%q: %q", reply, got)
		}
	}
}

// TestWrapTime shows that no text takes much longer than another.
func TestWrapTime(t *testing.T) {
	for _, piece := range []string{
		"return redis.call(", "return redis.call('x') ", "[=", "[[", "--[=", "(", "local c = redis.call ", "x", "1e5", "'", "_r0 ", "[=[]=]",
		"return redis.call(function() ",
	} {
		source := []byte(strings.Repeat(piece, 200<<10/len(piece)))
		begin := time.Now()
		Wrap(source, Mode{})
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("%q: %v", piece, took)
		}
	}
}
