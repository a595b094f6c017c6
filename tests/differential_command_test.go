package tests

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/tests/harness"
)

// What a tenant is told about commands, and what it is told about those that it
// may not use.

// diffVisible reports whether a tenant is to know of a command, by the name
// that COMMAND gives it. A container is there when any of its subcommands is.
func diffVisible(name string) bool {
	container, sub, isSub := strings.Cut(name, "|")
	c := command.Lookup([]byte(container))
	if c != nil && isSub {
		c = c.Sub([]byte(sub))
	}
	if c == nil {
		return false
	}
	return diffUsable(c) || c.Container() && slices.ContainsFunc(c.Subs, diffUsable)
}

// COMMAND shows the tenant its own commands, as the server describes them.
func TestDifferentialCommand(t *testing.T) {
	t.Parallel()
	rig := startDiff(t)
	for _, proto := range []string{"2", "3"} {
		t.Run("RESP"+proto, func(t *testing.T) {
			proxy, plain := rig.pair(t, proto)
			all := diffNamesIn(diffMust(t, plain, "COMMAND", "LIST"))
			if len(all) < 200 {
				t.Fatalf("the server has only %d commands", len(all))
			}
			own := diffKeep(all, diffVisible)
			isTop := func(name string) bool { return !strings.Contains(name, "|") }
			top := diffKeep(own, isTop)

			for _, filter := range []string{"", "FILTERBY ACLCAT read", "filterby aclcat dangerous", "FILTERBY PATTERN x*", "FILTERBY PATTERN *", "FILTERBY MODULE none"} {
				words := append([]string{"COMMAND", "LIST"}, diffFields(filter)...)
				want := diffKeep(diffNamesIn(diffMust(t, plain, words...)), diffVisible)
				if got := diffNamesIn(diffMust(t, proxy, words...)); !slices.Equal(got, want) {
					t.Errorf("%q:\n  proxy: %q\n  plain, of what is usable: %q", words, got, want)
				}
			}
			if got, want := diffMust(t, proxy, "COMMAND", "COUNT"), fmt.Sprintf(":%d\r\n", len(top)); got != want {
				t.Errorf("COMMAND COUNT: %q, want %q", got, want)
			}

			// The whole list, whatever its order.
			want := diffParse(diffMust(t, plain, append([]string{"COMMAND", "INFO"}, top...)...)).canonical()
			for _, words := range [][]string{{"COMMAND"}, {"COMMAND", "INFO"}, {"Command", "iNFO"}} {
				if got := diffParse(diffMust(t, proxy, words...)).canonical(); got != want {
					t.Errorf("%q is not what the server says of the usable commands", words)
				}
			}
			want = diffParse(diffMust(t, plain, append([]string{"COMMAND", "DOCS"}, top...)...)).canonical()
			if got := diffParse(diffMust(t, proxy, "COMMAND", "DOCS")).canonical(); got != want {
				t.Error("COMMAND DOCS is not what the server says of the usable commands")
			}

			// One by one, and those that are not to be known of.
			for _, name := range append(all, "nope", "", "get\x00", "xgroup|nope", "XGROUP|CREATE", "GeT") {
				for _, sub := range []string{"INFO", "DOCS"} {
					ask := name
					if !diffVisible(name) {
						ask = "no-such-command"
					}
					got, want := diffMust(t, proxy, "COMMAND", sub, name), diffMust(t, plain, "COMMAND", sub, ask)
					if got != want && diffParse(got).canonical() != diffParse(want).canonical() {
						t.Errorf("COMMAND %s %q\n  proxy: %s\n  plain: %s", sub, name, diffShow(got), diffShow(want))
					}
				}
			}
			for _, words := range []string{
				"COMMAND LIST x", "COMMAND LIST FILTERBY", "COMMAND LIST FILTERBY ACLCAT", "COMMAND LIST FILTERBY NOPE x", "COMMAND LIST FILTERBY ACLCAT nope",
				"COMMAND COUNT x", "COMMAND NOPE", "COMMAND GETKEYS", "COMMAND GETKEYS nope x", "COMMAND GETKEYS GET", "COMMAND GETKEYS PING", "COMMAND INFO get set mget",
			} {
				diffEqual(t, proxy, plain, diffFields(words)...)
			}
		})
	}
}

// What is refused says so; what the server does not have is unknown, in the
// server's own words.
func TestDifferentialRefused(t *testing.T) {
	t.Parallel()
	rig := startDiff(t)
	proxy, plain := rig.pair(t, "2")
	known := diffNamesIn(diffMust(t, plain, "COMMAND", "LIST"))
	refused, unknown := 0, 0
	for _, c := range command.All() {
		if c.Container() || diffUsable(c) {
			continue
		}
		words := diffShortest(c)
		if !slices.Contains(known, c.Name) {
			unknown++
			diffEqual(t, proxy, plain, words...)
			continue
		}
		refused++
		want := "-NOPERM '" + c.Name + "' is not available to tenants"
		if c.Later {
			want = "-NOPERM '" + c.Name + "' is not supported by this proxy yet"
		} else if c.Why != "" {
			want += ": " + c.Why
		}
		if got, err := proxy.Do(words...); err != nil || got != want+"\r\n" {
			t.Errorf("%q: %q, %v; want %q", words, got, err, want)
		}
		// Too short a call is the server's own error, as is too long a one.
		if len(words) > len(strings.Split(c.Name, "|")) {
			diffEqual(t, proxy, plain, words[:len(words)-1]...)
		}
		if c.Arity > 0 {
			diffEqual(t, proxy, plain, append(words, "x")...)
		}
	}
	for _, name := range known {
		if container, sub, isSub := strings.Cut(name, "|"); !isSub && command.Lookup([]byte(name)) == nil {
			if got, _ := proxy.Do(name, "x"); !strings.HasPrefix(got, "-ERR unknown command") {
				t.Errorf("%s has no row: %q", name, got)
			}
		} else if isSub && command.Lookup([]byte(container)).Sub([]byte(sub)) == nil {
			if got, _ := proxy.Do(container, sub, "x"); !strings.HasPrefix(got, "-ERR unknown subcommand") {
				t.Errorf("%s has no row: %q", name, got)
			}
		}
	}
	t.Logf("%d refused commands, %d that the server does not have", refused, unknown)
	if refused < 50 {
		t.Errorf("only %d commands are refused", refused)
	}
}

// Before a login there is nothing but the login, and the errors are the same.
func TestDifferentialStranger(t *testing.T) {
	t.Parallel()
	rig := startDiff(t)
	proxy, plain := diffDial(t, rig.proxy.Addr, ""), diffDial(t, rig.plain[harness.Acme.ID].Addr, "")
	for _, c := range command.All() {
		if c.Container() || c.Has(command.NoAuth) || diffStrangeToStrangers(c) {
			continue
		}
		words := diffShortest(c)
		diffEqual(t, proxy, plain, words...)
		diffEqual(t, proxy, plain, words[:len(strings.Split(c.Name, "|"))]...)
	}
	acme := harness.Acme
	for _, words := range [][]string{
		{"HELLO"}, {"HELLO", "2"}, {"HELLO", "3"}, {"HELLO", "4"}, {"HELLO", "x"}, {"HELLO", "3", "SETNAME", "a"}, {"HELLO", "3", "x\x00y"}, {"PING"}, {"PING", "x"}, {"NOPE", "a", "b"},
		{"AUTH"}, {"AUTH", "wrong"}, {"AUTH", ""}, {"AUTH", "nobody", "wrong"}, {"AUTH", acme.ID, "wrong"}, {"AUTH", "", ""}, {"AUTH", "a", "b", "c"},
		{"AUTH", "default", "wrong"}, {"HELLO", "3", "AUTH", acme.ID, "wrong"}, {"HELLO", "3", "AUTH", acme.ID}, {"GET", "x"}, {"RESET"}, {"GET", "x"},
		{"AUTH", acme.ID, acme.Secret}, {"GET", "x"}, {"AUTH", acme.ID, "wrong"}, {"GET", "x"}, {"SELECT", "5"}, {"SET", "x", "5"}, {"RESET"}, {"GET", "x"},
		{"AUTH", acme.Secret}, {"GET", "x"}, {"SELECT", "5"}, {"GET", "x"}, {"CLIENT", "SETNAME", "me"}, {"AUTH", "default", acme.Secret}, {"CLIENT", "GETNAME"},
		{"RESET"}, {"CLIENT", "GETNAME"}, {"AUTH", acme.ID, acme.Secret}, {"CLIENT", "GETNAME"}, {"FLUSHALL"}, {"QUIT"},
	} {
		diffEqual(t, proxy, plain, words...)
	}
}

// diffStrangeToStrangers lists the commands for which a server has something
// else to say before it asks for a login.
func diffStrangeToStrangers(c *command.Command) bool {
	switch c.Name {
	case "debug", "module|load", "module|loadex", "module|unload":
		return true // that its own configuration does not allow them
	case "command|getkeys", "command|getkeysandflags":
		return true // Redis 7.0 asks for more arguments than the table, which is as lenient as any server
	}
	return false
}

// pair is a connection to the proxy and one to the plain server, logged in.
func (rig *diffRig) pair(t *testing.T, proto string) (proxy, plain *harness.Conn) {
	t.Helper()
	proxy, plain = diffDial(t, rig.proxy.Addr, ""), diffDial(t, rig.plain[harness.Acme.ID].Addr, "")
	for _, c := range []*harness.Conn{proxy, plain} {
		diffMust(t, c, "HELLO", proto, "AUTH", harness.Acme.ID, harness.Acme.Secret)
	}
	return proxy, plain
}

func diffEqual(t *testing.T, proxy, plain *harness.Conn, words ...string) {
	t.Helper()
	got, errGot := proxy.Do(words...)
	want, errWant := plain.Do(words...)
	if got != want || errGot != nil || errWant != nil {
		t.Errorf("%q\n  proxy: %s %v\n  plain: %s %v", words, diffShow(got), errGot, diffShow(want), errWant)
	}
}

// diffShortest is the shortest call that a command accepts.
func diffShortest(c *command.Command) []string {
	words := strings.Split(c.Name, "|")
	for n := max(c.Arity, -c.Arity); len(words) < n; {
		words = append(words, "1")
	}
	return words
}

func diffNamesIn(reply string) (names []string) {
	for _, k := range diffParse(reply).kids {
		names = append(names, k.text)
	}
	slices.Sort(names)
	return names
}

func diffKeep(names []string, keep func(string) bool) (kept []string) {
	for _, n := range names {
		if keep(n) {
			kept = append(kept, n)
		}
	}
	return kept
}

// canonical is a reply without the order of its elements, on every level: a
// server lists commands and subcommands as its hash tables have them.
func (r *diffReply) canonical() string {
	if len(r.kids) == 0 {
		return r.raw
	}
	var parts []string
	step := 1
	if r.kind == '%' {
		step = 2
	}
	for i := 0; i < len(r.kids); i += step {
		part := r.kids[i].canonical()
		if step == 2 {
			part += r.kids[i+1].canonical()
		}
		parts = append(parts, part)
	}
	slices.Sort(parts)
	return fmt.Sprintf("%c%d(%s)", r.kind, len(r.kids), strings.Join(parts, ""))
}
