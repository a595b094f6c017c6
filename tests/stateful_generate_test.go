package tests

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// stateGen makes steps that suit the state that plain Redis says the clients
// are in.
type stateGen struct {
	*rand.Rand
	clients []*stateClient
	theme   stateTheme
	unique  int
	loaded  []string                    // scripts, by SHA1
	waiting func(client int) *stateCall // what a client is blocked in
}

func (g *stateGen) chance(percent int) bool { return g.IntN(100) < percent }

func statePick[T any](g *stateGen, from []T) T { return from[g.IntN(len(from))] }

// Placeholders of the tables below; whatever else is in them stands for itself.
var statePools = map[string][]string{
	"$s": {"s1", "s2", "s3"}, "$l": {"l1", "l1", "l2", "l3"}, "$z": {"z1", "z1", "z2"}, "$x": {"x1", "x1", "x2"},
	"$h": {"h1"}, "$t": {"t1", "t2"}, "$v": {"a", "b", "c", "10", "value with space", ""}, "$n": {"1", "2", "7", "-3"},
	"$k": {"s1", "s2", "s3", "l1", "l2", "l3", "z1", "z2", "x1", "x2", "h1", "t1", "t2", "none"},
	"$c": {"ch1", "ch1", "ch2", "news.a", "we?ird[x]*", "a b", "s1", "t:globex:0:ch1"},
	"$S": {"sh1", "sh1", "sh2", "ch1", "{x}sh"},
	"$p": {"ch*", "ch?", "news.[a-c]", "[nc]*", `we\?ird*`, "", "h[^x]1", "s*"},
	"$P": {"*", "__key*__:*", "__keyspace@0__:*", "__keyspace@?__:l[12]", "__keyevent@0__:*", "__keyevent@*__:[sdl]*", "__keyspace@1__:s1", "__key*"},
	"$C": {"__keyevent@0__:set", "__keyevent@0__:del", "__keyspace@0__:s1", "__keyspace@0__:l1", "__keyevent@1__:rpush", "__keyevent@0__:expired", "__keyspace@15__:s1"},
	"$g": {"g", "g", "g", "nogroup"},
}

// call makes a call of a template.
func (g *stateGen) call(template string) *stateCall {
	return g.fill(strings.Fields(template))
}

func (g *stateGen) fill(words []string) *stateCall {
	c := &stateCall{}
	for _, w := range words {
		switch pool, ok := statePools[w]; {
		case ok:
			w = statePick(g, pool)
		case w == "$u": // an identifier that is above all before
			g.unique++
			w = fmt.Sprintf("%d-1", g.unique)
		case w == "$i":
			w = fmt.Sprintf("{id:%d}", g.IntN(len(g.clients)))
		case w == `""`:
			w = ""
		}
		c.words = append(c.words, w)
	}
	switch strings.ToLower(words[0]) {
	case "subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe":
		c.confirms = max(1, len(words)-1)
	}
	return c
}

// allowed tells whether a call may be made; multi says whether in a transaction.
func (g *stateGen) allowed(c *stateCall, multi bool) bool {
	text := strings.ToUpper(strings.Join(c.words, " "))
	for rule := range stateNever {
		inside, onlyMulti := strings.CutPrefix(rule, "MULTI ")
		if onlyMulti && multi && strings.HasPrefix(text, inside) || !onlyMulti && strings.HasPrefix(text, rule) {
			return false
		}
	}
	switch strings.ToLower(c.words[0]) {
	case "keys": // whose order is compared as that of a hash table, which EXEC's reply is not
		return !multi
	case "flushdb", "flushall":
		return !g.theme.events && !g.theme.tracking
	case "select", "move":
		return !g.theme.tracking
	case "evalsha", "evalsha_ro":
		return !multi // whether the tenant knows the script is found out when it is queued
	case "hello": // with tracking on, plain Redis writes half a push to who goes back to RESP2
		return !g.theme.tracking || len(c.words) == 1 || c.words[1] != "2"
	}
	return true
}

// pick makes a call of one of the templates.
func (g *stateGen) pick(multi bool, tables ...[]string) *stateCall {
	for {
		if c := g.call(statePick(g, statePick(g, tables))); g.allowed(c, multi) {
			return c
		}
	}
}

// step chooses who does what next.
func (g *stateGen) step() *stateStep {
	blocked := 0
	for _, c := range g.clients {
		if c.blocked {
			blocked++
		}
	}
	for {
		i := g.IntN(len(g.clients))
		c := g.clients[i]
		s := &stateStep{client: i}
		switch {
		case c.blocked:
			if !g.chance(8) || c.silent {
				continue
			}
			s.calls = g.tail(i)
		case c.silent:
			if !g.chance(30) {
				continue
			}
			c.silent = false
			s.calls = []*stateCall{g.call("CLIENT REPLY ON")}
		case !c.authenticated:
			if g.chance(30) {
				s.calls = []*stateCall{g.pick(false, []string{"GET $s", "PING", "SUBSCRIBE $c", "MULTI", "EXEC", "BLPOP $l 0", "HELLO", "AUTH acme wrong", "NOSUCH", "CLIENT ID"})}
				break
			}
			s.calls = stateLogin(2 + g.IntN(2))
			if g.chance(40) {
				s.calls = []*stateCall{{words: []string{"HELLO", strconv.Itoa(2 + g.IntN(2)), "AUTH", s.calls[0].words[1], s.calls[0].words[2]}}}
			}
		case c.multi:
			s = g.inMulti(i)
		case c.subscriber():
			s.calls = []*stateCall{g.pick(false, stateSubscriber, g.theme.channels)}
			if g.chance(25) {
				s.calls = []*stateCall{g.unsubscribe(c)}
			}
		case blocked > 0 && g.chance(20+15*blocked):
			s.calls = []*stateCall{g.serve()}
			if g.chance(15) {
				s.calls = []*stateCall{g.call("MULTI"), g.pick(true, stateServe), g.pick(true, stateServe), g.pick(true, stateData), g.call("EXEC")}
			}
		default:
			s = g.free(i, blocked)
		}
		return s
	}
}

// serve lets somebody who is blocked go on, or others in his place.
func (g *stateGen) serve() *stateCall {
	i := g.IntN(len(g.clients))
	switch {
	case !g.clients[i].blocked || g.chance(25):
		return g.pick(false, stateServe)
	case g.chance(15):
		return g.call(fmt.Sprintf("CLIENT UNBLOCK {id:%d}%s", i, statePick(g, []string{"", " TIMEOUT", " ERROR"})))
	}
	var keys []string
	for _, w := range g.waiting(i).words {
		if slices.Contains(statePools["$l"], w) || slices.Contains(statePools["$z"], w) || slices.Contains(statePools["$x"], w) {
			keys = append(keys, w)
		}
	}
	if len(keys) == 0 {
		return g.pick(false, stateServe)
	}
	key := statePick(g, keys)
	if g.chance(20) {
		return g.call("DEL " + key) // which may be of another type
	}
	switch key[0] {
	case 'l':
		return g.call(statePick(g, []string{"RPUSH " + key + " $v", "LPUSH " + key + " a b", "RPUSH " + key + " $v $v $v"}))
	case 'z':
		return g.call(statePick(g, []string{"ZADD " + key + " 1 a", "ZADD " + key + " 1 a 2 b 3 c"}))
	}
	return g.call("XADD " + key + " $u f $v")
}

// free is a step of a client that may do anything.
func (g *stateGen) free(i, blocked int) *stateStep {
	s := &stateStep{client: i}
	n := g.IntN(g.theme.sum())
	for _, part := range g.theme.parts {
		if n -= part.weight; n < 0 {
			part.make(g, s, blocked)
			break
		}
	}
	if len(s.calls) == 0 {
		s.calls = []*stateCall{g.pick(false, stateData)}
	}
	return s
}

func (g *stateGen) data(s *stateStep, _ int) {
	s.calls = []*stateCall{g.pick(false, stateData)}
	for g.chance(25) {
		s.calls = append(s.calls, g.pick(false, stateData))
	}
}

func (g *stateGen) transaction(s *stateStep, _ int) {
	switch g.IntN(8) {
	case 0, 1, 2:
		s.calls = []*stateCall{g.call("MULTI")}
	case 3, 4:
		s.calls = []*stateCall{g.pick(false, stateWatch)}
	case 5:
		s.calls = []*stateCall{g.pick(false, []string{"EXEC", "DISCARD", "EXEC a", "MULTI a", "WATCH", "UNWATCH a"})}
	case 6: // a key that a watch may be on comes to its end
		key := g.call("SET $s").words[1]
		s.calls = []*stateCall{g.call("SET " + key + " v PX 3")}
		s.until, s.want = g.call("EXISTS "+key), ":0\r\n"
		if g.clients[s.client].db != 0 {
			s.until = nil // the observer is in the first database
			s.calls = []*stateCall{g.call("SET " + key + " v")}
		}
	case 7:
		s.calls = []*stateCall{g.call("MULTI")}
		for g.chance(75) {
			s.calls = append(s.calls, g.pick(true, stateQueued, stateData))
		}
		s.calls = append(s.calls, g.pick(true, []string{"EXEC", "EXEC", "DISCARD"}))
	}
}

// inMulti goes on with a transaction.
func (g *stateGen) inMulti(i int) *stateStep {
	s := &stateStep{client: i}
	switch n := g.IntN(100); {
	case n < 25:
		s.calls = []*stateCall{g.call("EXEC")}
	case n < 30:
		s.calls = []*stateCall{g.call("DISCARD")}
	case n < 32:
		s.calls = []*stateCall{g.call("RESET")}
	case n < 45 && g.theme.scripts:
		s.calls = []*stateCall{g.eval()}
		for !g.allowed(s.calls[0], true) {
			s.calls[0] = g.eval()
		}
	case n < 75:
		s.calls = []*stateCall{g.pick(true, stateData)}
	default:
		s.calls = []*stateCall{g.pick(true, stateQueued)}
	}
	if n := g.IntN(100); n < 15 && s.calls[0].words[0] != "EXEC" && s.calls[0].words[0] != "RESET" {
		s.calls = append(s.calls, g.pick(true, stateData), g.call("EXEC"))
	}
	return s
}

func (g *stateGen) block(s *stateStep, blocked int) {
	if g.chance(15) {
		s.calls = []*stateCall{g.pick(false, stateBlockWrong)}
		return
	}
	c := g.pick(false, stateBlock)
	short := blocked >= len(g.clients)-1 || g.chance(15)
	for i, w := range c.words {
		switch {
		case w != "@":
		case !short:
			c.words[i] = "0"
		case strings.EqualFold(c.words[i-1], "BLOCK"):
			c.words[i] = "6"
		default:
			c.words[i] = "0.006"
		}
	}
	s.calls, s.timed = []*stateCall{c}, short || c.words[0] == "WAIT"
	if c.words[0] == "XREADGROUP" && g.chance(60) {
		s.calls = slices.Insert(s.calls, 0, g.call("XGROUP CREATE "+c.words[len(c.words)-2]+" g $ MKSTREAM"))
	}
	if g.chance(25) && !short {
		s.calls = append(s.calls, g.tail(s.client)...)
	}
}

// tail is what may wait behind a blocked command: nothing that others see.
func (g *stateGen) tail(client int) (calls []*stateCall) {
	own := fmt.Sprintf("own%d", client)
	for range 1 + g.IntN(3) {
		switch g.IntN(3) {
		case 0:
			calls = append(calls, g.pick(false, []string{"ECHO $v", "PING", "GET " + own, "TYPE " + own, "ECHO", "NOSUCH"}))
		case 1:
			calls = append(calls, g.call("MULTI"), g.call("ECHO $v"), g.call("GET "+own), g.call("EXEC"))
		case 2:
			calls = append(calls, g.call("WATCH "+own), g.call("EXISTS "+own), g.call("UNWATCH"))
		}
	}
	return calls
}

func (g *stateGen) pubsub(s *stateStep, _ int) {
	c := g.clients[s.client]
	switch {
	case g.chance(8):
		s.calls = []*stateCall{g.unsubscribe(c)}
	case g.chance(30):
		s.calls = []*stateCall{g.pick(false, g.theme.channels)}
	default:
		s.calls = []*stateCall{g.pick(false, statePublish)}
		if g.chance(20) {
			s.calls = append(s.calls, g.pick(false, statePublish), g.pick(false, statePublish))
		}
	}
}

// unsubscribe leaves everything of one kind, with as many confirmations as
// there are subscriptions.
func (g *stateGen) unsubscribe(c *stateClient) *stateCall {
	i := g.IntN(3)
	call := g.call([]string{"UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"}[i])
	call.confirms = max(1, c.kinds[i])
	return call
}
