package acl

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/command"
	"riptide-proxy/tests/harness"
)

// TestVerdictsAreTheServers makes rule sets and calls of all commands, and compares what Check says with a real server's
// ACL DRYRUN: whether it is allowed, and if not, what is missing, down to the key that is named.
func TestVerdictsAreTheServers(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: harness.StartRedis(t).Addr, Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	defer client.Close()
	g := newGenerator(t, client, 3)
	ctx := context.Background()
	sets, calls := 400, 100
	if os.Getenv("RIPTIDE_TEST_FULL") != "" {
		sets, calls = 5000, 300
	}
	compared, outcomes, wrong := 0, make(map[Verdict]int), 0
	for range sets {
		words := g.rules()
		rules, err := Parse(strings.Join(words, " "))
		set := []any{"ACL", "SETUSER", "u", "reset", "on", "nopass"}
		for _, w := range words {
			set = append(set, w)
		}
		if refused := client.Do(ctx, set...).Err(); (refused == nil) != (err == nil) {
			t.Fatalf("%q: the server says %v, Parse %v", words, refused, err)
		}
		if err != nil {
			continue
		}
		pipe := client.Pipeline()
		var made []call
		var answers []*redis.Cmd
		for range calls {
			c := g.call()
			ask := []any{"ACL", "DRYRUN", "u"}
			for _, w := range c.words {
				ask = append(ask, w)
			}
			made, answers = append(made, c), append(answers, pipe.Do(ctx, ask...))
		}
		pipe.Exec(ctx)
		var scratch []int32
		for i, c := range made {
			want, err := answers[i].Text()
			if err != nil && strings.Contains(err.Error(), "not found") {
				continue // a development build may lack the newest commands
			}
			if err != nil {
				t.Fatalf("%q: %v", c.words, err)
			}
			var verdict Verdict
			var at int
			verdict, at, scratch = rules.Check(c.cmd, c, scratch)
			got := dryRun("u", verdict, c, at)
			got, want = strings.TrimPrefix(got, "User u "), strings.TrimPrefix(strings.TrimPrefix(want, "This user "), "User u ")
			if c.broken() {
				continue
			}
			compared++
			outcomes[verdict]++
			if got != want {
				t.Errorf("rules %q, request %q: %s, the server: %s", words, c.words, got, want)
				if wrong++; wrong == 20 {
					t.FailNow()
				}
			}
		}
	}
	t.Logf("%d verdicts compared: %v", compared, outcomes)
	for v := Allowed; v <= NoChannel; v++ {
		if outcomes[v] < sets/4 {
			t.Errorf("verdict %d came only %d times", v, outcomes[v])
		}
	}
}

func dryRun(user string, v Verdict, c call, at int) string {
	switch v {
	case NoCommand:
		return fmt.Sprintf("User %s has no permissions to run the '%s' command", user, c.cmd.Name)
	case NoKey:
		return fmt.Sprintf("User %s has no permissions to access the '%s' key", user, c.words[at])
	case NoChannel:
		return fmt.Sprintf("User %s has no permissions to access the '%s' channel", user, c.words[at])
	}
	return "OK"
}

// call is a request.
type call struct {
	cmd   *command.Command
	words []string
}

func (c call) Len() int        { return len(c.words) }
func (c call) At(i int) []byte { return []byte(c.words[i]) }

// broken reports whether every server refuses the request for what it is like. Check looks at all that could be a key
// then; servers look at none, or only at some. Two kinds of requests they do not look at as a whole and run all the same:
// PFMERGE without a source, and those with STORE twice.
func (c call) broken() bool {
	_, verdict := c.cmd.Prefixed(nil, c)
	for _, spec := range c.cmd.Keys {
		if spec.Find == command.KeysCount && c.words[spec.Index] == "0" && !c.cmd.Has(command.NoMandatoryKeys) {
			return true
		}
	}
	stores := 0
	for _, w := range c.words {
		if strings.HasPrefix(w, "STORE") {
			stores++
		}
	}
	return verdict&command.Unparsed != 0 || stores > 1 || c.cmd.Name == "pfmerge" && len(c.words) == 2
}

// generator makes rules and calls.
type generator struct {
	*rand.Rand
	server     command.Server
	commands   []*command.Command // that the server has
	categories []string
}

func newGenerator(t *testing.T, client *redis.Client, seed uint64) *generator {
	t.Helper()
	ctx := context.Background()
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	g.server = serverOf(info)
	for _, c := range command.All() {
		if c.KnownTo(g.server) && !c.Has(command.Module) {
			g.commands = append(g.commands, c)
		}
	}
	cats, err := client.Do(ctx, "ACL", "CAT").StringSlice()
	if err != nil {
		t.Fatal(err)
	}
	for _, cat := range cats {
		// What is blocking differs from version to version (command/differences.go).
		if _, known := command.ParseCategory(cat); known && cat != "blocking" {
			g.categories = append(g.categories, cat)
		}
	}
	return g
}

func serverOf(info string) (s command.Server) {
	s.Product = "redis"
	for line := range strings.Lines(info) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name {
		case "redis_version":
			fmt.Sscanf(value, "%d.%d", &s.Major, &s.Minor)
		case "valkey_version":
			s.Product = "valkey"
			fmt.Sscanf(value, "%d.%d", &s.Major, &s.Minor)
			return s
		}
	}
	return s
}

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

// rules is a set of rules, of which one may be wrong.
func (g *generator) rules() (words []string) {
	if g.IntN(3) == 0 {
		words = append(words, "+@all")
	}
	for range 1 + g.IntN(8) {
		words = append(words, g.rule())
	}
	for range g.IntN(3) {
		var inner []string
		for range 1 + g.IntN(6) {
			inner = append(inner, g.rule())
		}
		selector := "(" + strings.Join(inner, " ") + ")"
		if g.IntN(3) == 0 {
			words = append(words, selector)
		} else {
			words = append(words, strings.Split(selector, " ")...)
		}
	}
	if g.IntN(20) == 0 {
		words = append(words, pick(g, []string{"clearselectors", "ClearSelectors", "(+get", "on"}))
	}
	return words
}

var patterns = []string{"a*", "b*", "*", "cache:*", "a", "?", "[a-c]*", "[^a]*", "*:1", "h[ae]llo", "\\*", "a*b*", "**", "", "a[", "[b-a]"}

func (g *generator) rule() string {
	sign := pick(g, []string{"+", "+", "-"})
	switch g.IntN(16) {
	case 0, 1, 2, 3:
		return sign + "@" + g.other(pick(g, g.categories))
	case 4, 5:
		return sign + g.other(pick(g, g.commands).Name)
	case 6:
		return "+" + pick(g, g.commands).Name + "|" + pick(g, names)
	case 7, 8:
		return "~" + pick(g, patterns)
	case 9, 10:
		return pick(g, []string{"%R~", "%W~", "%rw~", "%WR~"}) + pick(g, patterns)
	case 11, 12, 13:
		return "&" + pick(g, patterns)
	case 14:
		return g.other(pick(g, []string{"allkeys", "allchannels", "allcommands", "nocommands", "-@all", "resetkeys", "resetchannels"}))
	}
	if g.IntN(12) == 0 {
		return pick(g, []string{"+nosuch", "-get|x", "+config|nosuch", "+config|get|x", "+get|", "+config|", "+@nosuch", "-@", "+", "-", "%~a", "%RR~a", "%X~a", "word", "+@all|x"})
	}
	return "~" + pick(g, patterns)
}

// other writes a word in another case now and then.
func (g *generator) other(word string) string {
	if g.IntN(6) == 0 {
		return strings.ToUpper(word)
	}
	return word
}

var names = []string{"a", "ab", "b", "a1b", "cache:1", "hello", "hxllo", "*", "0", "1", "2", "c", "", "a[", "news*"}

var options = []string{"GET", "get", "STORE", "STOREDIST", "BY", "LIMIT", "STREAMS", "GROUP", "COUNT", "BLOCK", "EX", "NX", "SET", "INCRBY",
	"OVERFLOW", "WRAP", "u8", "ASC", "ALPHA", "NOACK", "#", "km", "WITHDIST", "KEYS", "AGGREGATE"}

// call is a call of a command with as many arguments as it takes, of which some are what its keys are found by.
func (g *generator) call() call {
	var c *command.Command
	for c == nil || c.Container() || c.Has(command.Write) && c.Run == command.Refused || g.IntN(3) == 0 && !c.HasKeys() {
		if c = pick(g, g.commands); g.IntN(5) == 0 {
			c = command.Named(pick(g, []string{"set", "bitfield", "sort", "sort_ro", "georadius", "georadiusbymember", "xread", "xreadgroup",
				"publish", "subscribe", "psubscribe", "ssubscribe", "spublish", "eval", "zunionstore", "lmpop", "blmpop", "mset", "eval_ro", "fcall"}))
		}
	}
	words := strings.Split(c.Name, "|")
	at := len(words)
	n := c.On(g.server).Arity
	if n < 0 && len(c.Subs) == 0 {
		n = -n + g.IntN(5)
	}
	n = max(n, -n)
	for len(words) < n {
		if g.IntN(4) == 0 && c.Arity < 0 {
			words = append(words, pick(g, options))
		} else {
			words = append(words, pick(g, names))
		}
	}
	for _, spec := range c.Keys { // what most requests with a count are like, or with STREAMS
		if spec.Find == command.KeysCount && spec.Index+spec.Last < len(words) {
			words[spec.Index+spec.Last] = fmt.Sprint(g.IntN(3))
		}
		if spec.Begin == command.BeginKeyword && g.IntN(2) == 0 && len(words) > at+2 {
			words[max(at, len(words)-1-2*g.IntN(3))] = spec.Keyword
		}
	}
	if c.Name == "xreadgroup" && len(words) > 4 {
		words[1] = "GROUP"
	}
	return call{c, words}
}
