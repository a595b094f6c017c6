package acl

import (
	"bytes"
	"strings"
	"testing"

	"riptide-proxy/command"
)

// words is a request.
type words [][]byte

func (w words) Len() int        { return len(w) }
func (w words) At(i int) []byte { return w[i] }

func requestOf(line string) (*command.Command, words) {
	w := words(bytes.Split([]byte(line), []byte(" ")))
	cmd := command.Lookup(w[0])
	if cmd != nil && cmd.Subs != nil && len(w) > 1 {
		cmd = cmd.Sub(w[1])
	}
	return cmd, w
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "there are no rules, so the user could do nothing; \"nocommands\" says so, and without acl it may do everything",
		" \t\n":                           "there are no rules, so the user could do nothing; \"nocommands\" says so, and without acl it may do everything",
		"+@raed":                          `"+@raed": there is no such category (ACL CAT lists them)`,
		"+gte":                            `"+gte": there is no such command`,
		"-config|nosuch":                  `"-config|nosuch": there is no such command`,
		"+config|nosuch":                  `"+config|nosuch": there is no such command`,
		"+config|get|x":                   `"+config|get|x": what stands behind the | is neither a subcommand nor an argument`,
		"+get|":                           `"+get|": what stands behind the | is neither a subcommand nor an argument`,
		"hello":                           `"hello" is no rule (+command, -command, +@category, ~keys, &channels, ...)`,
		"%~x":                             `"%~x" is no rule (%R~keys, %W~keys, %RW~keys)`,
		"%RW":                             `"%RW" is no rule (%R~keys, %W~keys, %RW~keys)`,
		"%RR~x":                           `"%RR~x" is no rule (%R~keys, %W~keys, %RW~keys)`,
		"~* ~a":                           `"~a" comes after all keys were allowed, so it says nothing ("resetkeys" begins anew)`,
		"allchannels &a":                  `"&a" comes after all channels were allowed, so it says nothing ("resetchannels" begins anew)`,
		"+get (~a":                        `the parenthesis of the selector "(~a" is not closed`,
		"(+get on)":                       `in the selector "(+get on)": "on" is no rule (+command, -command, +@category, ~keys, &channels, ...)`,
		"(~\"a\")":                        `the selector "(~\"a\")" has quotes in it, which are not supported there`,
		">hunter2":                        "passwords are not for here: users' secrets stand in sha256 and argon2id",
		"nopass +@all":                    "passwords are not for here: users' secrets stand in sha256 and argon2id",
		"off":                             `"off" is not for here: a user without secrets can not log in`,
		"skip-sanitize-payload":           `"skip-sanitize-payload" is not for here: payloads of RESTORE are always checked`,
		strings.Repeat("+get ", maxRules): "the rules are longer than 65536 bytes",
	} {
		if _, err := Parse(text); err == nil || err.Error() != want {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
}

// TestCheck is about what the comparison with a server leaves out: requests that servers look at less closely.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		rules, request string
		want           Verdict
	}{
		{"+@all ~a*", "PFMERGE b", NoKey},
		{"+@all ~a*", "GEORADIUS a1 1 1 1 km STORE a2 STORE b", NoKey},
		{"+@all ~a*", "GEORADIUS a1 1 1 1 km STORE b STORE a2", NoKey},
		{"+@all ~a*", "SORT a1 STORE b STORE a2", NoKey},
		{"+@all ~a*", "SORT a1 NEWOPTION b", NoKey},
		{"+@all ~a*", "SORT a1 NEWOPTION BY b", NoKey},
		{"+@all ~a*", "XREADGROUP NOACK GROUP g STREAMS STREAMS b >", NoKey},
		{"+@all ~a*", "ZUNIONSTORE a1 x b", NoKey},
		{"+@all ~a*", "KEYS *", Allowed},
		{"+@all ~a*", "SCAN 0 MATCH b*", Allowed},
		{"+@all ~* &a", "PSUBSCRIBE a*", NoChannel},
		{"+@all ~* &a", "UNSUBSCRIBE b", Allowed},
		{"nocommands", "AUTH x", Allowed},
		{"nocommands ~*", "PING", NoCommand},
		{"+@all ~* &*", "MIGRATE h 1 k 0 1", Allowed}, // which no tenant has
		{"+@all ~k (nocommands)", "GET k", Allowed},
		{"reset +@all ~k reset +get", "GET k", NoKey},
		{"(+get ~k) clearselectors +ping", "GET k", NoCommand},
		{"+select|0", "SELECT 0", Allowed},
		{"+select|0", "SELECT 1", NoCommand},
		{"+select|0 +select -select", "SELECT 0", NoCommand},
	} {
		rules, err := Parse(c.rules)
		if err != nil {
			t.Errorf("%q: %v", c.rules, err)
			continue
		}
		cmd, w := requestOf(c.request)
		if got, _, _ := rules.Check(cmd, w, nil); got != c.want {
			t.Errorf("%q with %q: %d, want %d", c.request, c.rules, got, c.want)
		}
	}
}

func TestUnrestricted(t *testing.T) {
	for text, want := range map[string]bool{
		"+@all ~* &*": true, "allcommands allkeys allchannels on": true, "-@all +@all ~a resetkeys ~* &*": true,
		"+@all ~*": false, "+@all &*": false, "~* &*": false, "+@all -get ~* &*": false, "+@all -get +get ~* &*": true,
	} {
		rules, err := Parse(text)
		if err != nil || rules.Unrestricted() != want {
			t.Errorf("%q: %v, want %v, %v", text, rules.Unrestricted(), want, err)
		}
	}
}

func TestSelectors(t *testing.T) {
	rules, err := Parse("+@all -@read ~a %R~b &c +@all -GET (%W~d +set +config|get +select|0) (allkeys allchannels)")
	if err != nil {
		t.Fatal(err)
	}
	want := [][3]string{{"+@all -get", "~a %R~b", "&c"}, {"-@all +set +config|get +select|0", "%W~d", ""}, {"-@all", "~*", "&*"}}
	for i, s := range rules.Selectors() {
		if got := [3]string{s.Commands, s.Keys, s.Channels}; got != want[i] {
			t.Errorf("%q, want %q", got, want[i])
		}
	}
	if got := strings.Join(rules.Selectors()[0].KeyRules("t:acme:[0-9]:"), " "); got != "~t:acme:[0-9]:a %R~t:acme:[0-9]:b" {
		t.Error(got)
	}
}

func TestMayHear(t *testing.T) {
	rules, err := Parse("+@all &news.* (&a*)")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]bool{"news.x": {true, false}, "news.*": {true, true}, "abc": {true, false}, "a*": {true, true}, "*": {false, false}} {
		if rules.MayHear(name, false) != want[0] || rules.MayHear(name, true) != want[1] {
			t.Errorf("%q: as a name %v, as a pattern %v", name, rules.MayHear(name, false), rules.MayHear(name, true))
		}
	}
}

// Checks happen on the way of every command.
func TestCheckAllocatesNothing(t *testing.T) {
	rules, err := Parse("+@all -@dangerous +sort ~app:* ~a*z %R~shared:[0-9]* &ch* (+get ~x*) (+set ~y*)")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"GET app:1", "SET y1 v", "GET nothing", "MGET app:1 shared:2 abz", "SORT app:l BY w STORE app:m", "XREAD STREAMS app:1 shared:1 0 0",
		"ZUNIONSTORE app:z 2 app:1 shared:1", "SUBSCRIBE ch1", "CONFIG GET x"} {
		cmd, w := requestOf(line)
		var args command.Args = w
		scratch := make([]int32, 0, 16)
		if n := testing.AllocsPerRun(100, func() { _, _, scratch = rules.Check(cmd, args, scratch) }); n > 0 {
			t.Errorf("%s: %v allocations", line, n)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	rules, err := Parse("+@all -@dangerous ~app:* %R~shared:* &ch*")
	if err != nil {
		b.Fatal(err)
	}
	cmd, w := requestOf("GET shared:users:1234")
	var args command.Args = w
	scratch := make([]int32, 0, 16)
	for b.Loop() {
		_, _, scratch = rules.Check(cmd, args, scratch)
	}
}

// FuzzParse: rules come from files, and from whoever may write tenants. Whatever they are, Parse either refuses them or
// makes rules that mean the same when they are read again, and a check ends.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"+@all ~* &*", "+@read -get ~cache:* %R~x", "(+get ~a) (+set %W~b)", "+config|get +select|0", "~[a-", "%RW~\\", "( )", "+@all (", "reset on"} {
		f.Add(seed, "GET cache:1")
	}
	f.Fuzz(func(t *testing.T, text, line string) {
		rules, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(rules.String())
		if err != nil {
			t.Fatalf("%q is read once only: %v", text, err)
		}
		cmd, w := requestOf(line)
		if cmd == nil || !cmd.AcceptsArity(len(w)) {
			return
		}
		v, at, _ := rules.Check(cmd, w, nil)
		if v2, at2, _ := again.Check(cmd, w, nil); v != v2 || at != at2 {
			t.Errorf("%q: %d and %d", text, v, v2)
		}
		if rules.Unrestricted() && v != Allowed {
			t.Errorf("%q is unrestricted and refuses %q", text, line)
		}
	})
}
