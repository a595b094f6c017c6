package tests

import (
	"fmt"
	"strings"

	"riptide-proxy/tests/harness"
)

// check compares what is there after a round with what was told, through one of the proxies.
func (c *modelClient) check() {
	t, m := c.t, c.m
	t.Helper()
	get := func(words ...string) string {
		var reply string
		harness.Eventually(t, "it is read", func() bool {
			var o outcome
			reply, o = c.do(words)
			return o == done
		})
		return diffParse(reply).text
	}
	texts := map[string][]string{"": m.drains}
	for _, name := range []string{"text0", "text1", "hop"} {
		key := m.key(name)
		stored := get("GET", key)
		if other := get("GET", m.key("hup")); name == "hop" && strings.HasPrefix(other, modelSeed) {
			stored = other
		}
		texts[key] = []string{stored}
	}
	seen := make(map[string]string)
	for key, all := range texts {
		for _, text := range all {
			rest, ok := strings.CutPrefix(text, modelSeed)
			if !ok {
				t.Errorf("%s does not begin as it should: %.200q", key, text)
				continue
			}
			latest := make(map[int]int)
			for rest != "" {
				token, after, ok := strings.Cut(rest, ">")
				rest = after
				var id, round, seq int
				if n, _ := fmt.Sscanf(token, "<%d-%d-%d", &id, &round, &seq); n != 3 || !ok || round != m.round {
					t.Errorf("%s holds %.200q", key, token)
					break
				}
				if seq < latest[id] {
					t.Errorf("%s: %s comes after number %d", key, token, latest[id])
				}
				latest[id] = seq
				token += ">"
				switch was, twice := seen[token]; {
				case twice:
					t.Errorf("%s is in %q and in %q", token, was, key)
				case m.tokens[token] == nil:
					t.Errorf("%s in %s was refused", token, key)
				case key != "" && m.tokens[token].key != key:
					t.Errorf("%s is in %s instead of %s", token, key, m.tokens[token].key)
				}
				seen[token] = key
			}
		}
	}
	for token, told := range m.tokens {
		if _, ok := seen[token]; told.known && !ok {
			t.Errorf("%s was appended to %s and is lost", token, told.key)
		}
	}
	bits := get("GET", m.key("bits")) + strings.Repeat("\x00", 16<<10)
	for key, n := range m.counts {
		stored := 0.0
		switch name, slot, ok := strings.Cut(key, " "); {
		case ok:
			var at int
			fmt.Sscan(slot, &at)
			for _, b := range []byte(bits[at/8 : at/8+4]) {
				stored = stored*256 + float64(b)
			}
		case strings.HasPrefix(name, "hash"):
			fmt.Sscan(get("HGET", key, "n"), &stored)
		default:
			fmt.Sscan(get("GET", key), &stored)
			if strings.HasPrefix(name, "f") {
				stored *= 2
			}
		}
		if int(stored) < n.known || int(stored) > n.known+n.unknown {
			t.Errorf("%s is %v; %d were acknowledged and %d unknown", key, stored, n.known, n.unknown)
		}
	}
	for place, l := range m.last {
		key, where, _ := strings.Cut(place, " ")
		stored, at := "", 0
		if bit, ok := strings.CutPrefix(where, "bit "); ok {
			fmt.Sscan(bit, &at)
			stored = fmt.Sprint(bits[at])
		} else if strings.HasPrefix(where, "c") {
			stored = get("HGET", key, where)
		} else {
			fmt.Sscan(where, &at)
			stored = strings.Trim(bits[at:at+16], "\x00")
		}
		ok := stored == l.known || l.known == "" && strings.Trim(stored, "-10\x00") == ""
		for _, maybe := range l.maybe {
			ok = ok || stored == maybe
		}
		if !ok {
			t.Errorf("%s is %.200q instead of %.200q or %.200q", place, stored, l.known, l.maybe)
		}
	}
}
