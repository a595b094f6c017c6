package tests

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func (g *stateGen) script(s *stateStep, _ int) {
	switch {
	case g.chance(10):
		s.calls = []*stateCall{g.pick(false, stateScriptCommands)}
	case g.chance(15):
		script := statePick(g, stateScripts)[0]
		g.loaded = append(g.loaded, stateSHA(script))
		s.calls = []*stateCall{{words: []string{"SCRIPT", "LOAD", script}}}
	case g.chance(10):
		words := []string{"SCRIPT", "EXISTS", stateSHA("return 'never loaded'")}
		for range g.IntN(3) {
			words = append(words, stateSHA(statePick(g, stateScripts)[0]))
		}
		s.calls = []*stateCall{{words: words}}
	default:
		s.calls = []*stateCall{g.eval()}
		for g.chance(20) {
			s.calls = append(s.calls, g.eval())
		}
	}
}

// eval runs one of the scripts, by its text or by its name.
func (g *stateGen) eval() *stateCall {
	words := slices.Clone(statePick(g, stateScripts))
	name := statePick(g, []string{"EVAL", "EVAL", "EVAL", "EVALSHA", "EVALSHA", "EVAL_RO", "EVALSHA_RO"})
	if strings.HasPrefix(name, "EVALSHA") {
		words[0] = stateSHA(words[0])
		if len(g.loaded) > 0 && g.chance(30) {
			words[0] = statePick(g, g.loaded)
		}
		if g.chance(10) {
			words[0] = strings.ToUpper(words[0])
		}
	}
	return g.fill(append([]string{name}, words...))
}

func stateSHA(script string) string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}

func (g *stateGen) track(s *stateStep, _ int) {
	listener := slices.IndexFunc(g.clients, func(c *stateClient) bool { return c.subscriber() && c.kinds[0] > 0 })
	switch {
	case g.chance(15) && listener >= 0:
		s.calls = []*stateCall{g.call(fmt.Sprintf("CLIENT TRACKING ON REDIRECT {id:%d}", listener)), g.pick(false, stateReads), g.pick(false, stateReads)}
	case g.chance(35):
		s.calls = []*stateCall{g.pick(false, stateTracking)}
		for i, c := range g.clients {
			if !c.authenticated && slices.Contains(s.calls[0].words, fmt.Sprintf("{id:%d}", i)) {
				// It is nobody's: behind the proxy it is not the tenant's to name.
				s.calls = []*stateCall{g.call("CLIENT TRACKING ON")}
			}
		}
	case g.chance(30):
		s.calls = []*stateCall{g.pick(false, []string{"CLIENT CACHING YES", "CLIENT CACHING NO"}), g.pick(false, stateReads)}
	case g.chance(70):
		s.calls = []*stateCall{g.pick(false, stateReads)}
	default:
		s.calls = []*stateCall{g.call("SUBSCRIBE __redis__:invalidate")}
		if g.chance(50) && g.clients[s.client].proto == 3 && listener < 0 {
			s.calls = []*stateCall{g.call("CLIENT TRACKING OFF"), g.call("HELLO 2"), s.calls[0]}
		}
	}
}

// reply makes a client silent: for a while, or for a few commands.
func (g *stateGen) reply(s *stateStep, _ int) {
	add := func(silent bool, c *stateCall) {
		s.calls, s.silent = append(s.calls, c), append(s.silent, silent)
	}
	switch g.IntN(4) {
	case 0:
		add(true, g.call("CLIENT REPLY SKIP"))
		add(true, g.pick(false, stateData, []string{"CLIENT REPLY ONN", "NOSUCH"}))
		add(false, g.call("ECHO $v"))
	case 1:
		add(true, g.call("CLIENT REPLY OFF"))
		for range g.IntN(4) {
			add(true, g.pick(false, stateData, []string{"MULTI", "EXEC", "CLIENT REPLY SKIP", "NOSUCH"}))
		}
		add(true, g.call("DISCARD"))
		add(false, g.call("CLIENT REPLY ON"))
	case 2: // what it does is seen by others, which shows that it has come so far
		g.unique++
		mark := fmt.Sprintf("mark%d", s.client)
		add(true, g.call("SELECT 0"))
		add(true, g.call(fmt.Sprintf("SET %s %d", mark, g.unique)))
		s.calls, s.silent = slices.Insert(s.calls, 0, g.call("CLIENT REPLY OFF")), append(s.silent, true)
		value := strconv.Itoa(g.unique)
		s.until, s.want = g.call("GET "+mark), fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
		g.clients[s.client].silent = true
	case 3:
		add(false, g.pick(false, []string{"CLIENT REPLY", "CLIENT REPLY NO", "CLIENT REPLY ON"}))
	}
}

func (g *stateGen) connection(s *stateStep, _ int) {
	c := g.pick(false, stateConnection)
	s.calls = []*stateCall{c}
	if g.chance(20) {
		s.calls = append(s.calls, g.pick(false, stateData))
	}
}
