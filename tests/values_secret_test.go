package tests

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
	"riptide-proxy/value"
)

// The plain text of an encrypting tenant is nowhere in the upstream: not in what it is sent, and not in
// what it keeps. Only what has to look inside several values at once, or is a script, gives it
// away for a moment; afterwards it is sealed.
func TestValuesSecret(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	p := valuesProxy(t, r)
	const secret = "pLaInTeXtSeCrEt"
	long := strings.Repeat(secret, 40)
	for _, k := range valueKinds[3:] {
		c := p.Connect(t, valuesTenant(k.name, k.yaml))
		monitor := dialRaw(t, r.Addr)
		diffMust(t, monitor, "MONITOR")
		for _, words := range [][]string{
			{"SET", "a", secret}, {"SETEX", "a", "100", secret}, {"SETNX", "a1", secret}, {"GETSET", "a", secret}, {"SET", "a", secret, "GET"}, {"MSET", "a", secret, "b", long},
			{"APPEND", "a", secret}, {"SETRANGE", "a", "3", secret}, {"GETRANGE", "a", "0", "-1"}, {"STRLEN", "a"}, {"SETBIT", "a", "1", "1"}, {"BITFIELD", "a", "SET", "u8", "0", "1"},
			{"BITCOUNT", "a"}, {"INCRBY", "n", "918273645"}, {"INCR", "n"}, {"INCRBYFLOAT", "n", "0.5"}, {"HSET", "h", "f", secret, "g", long}, {"HINCRBY", "h", "n", "918273645"},
			{"HGETALL", "h"}, {"HSTRLEN", "h", "f"}, {"RENAME", "a", "a2"}, {"COPY", "a2", "a3"}, {"MOVE", "a3", "1"}, {"COPY", "h", "h2"}, {"RENAMENX", "h", "h3"},
			{"GETEX", "a2", "EX", "100"}, {"GETDEL", "a2"}, {"OBJECT", "ENCODING", "b"}, {"DUMP", "b"}, {"MULTI"}, {"SET", "t", secret}, {"HSET", "th", "f", secret}, {"GET", "t"}, {"EXEC"},
		} {
			if reply := diffMust(t, c, words...); strings.HasPrefix(reply, "-") {
				t.Errorf("%q: %q", words, reply)
			}
		}
		diffMust(t, c, "ECHO", "x")
		up := dialRaw(t, r.Addr)
		diffMust(t, up, "ECHO", "the end of it")
		for line := ""; !strings.Contains(line, "the end of it"); {
			if line, _ = monitor.Reply(); strings.Contains(line, secret[:8]) || strings.Contains(line, "91827364") {
				t.Errorf("%s: the upstream was sent %.300q", k.name, line)
			}
			if line == "" {
				t.Fatal("MONITOR ends")
			}
		}
		monitor.Close()
		for _, words := range [][]string{
			{"MULTI"}, {"SET", "t2", secret}, {"APPEND", "t", secret}, {"EXEC"}, {"EVAL", "return redis.call('GET',KEYS[1])", "1", "b"}, {"LCS", "b", "b", "LEN"},
			{"BITOP", "OR", "bo", "b", "t"}, {"MULTI"}, {"RENAME", "t", "t3"}, {"EXEC"}, {"MULTI"}, {"HINCRBY", "h3", "n", "1"}, {"STRLEN", "b"}, {"EXEC"},
		} {
			diffMust(t, c, words...)
		}
		for _, key := range diffParse(diffMust(t, up, "KEYS", "t:"+k.name+":*")).kids {
			for _, words := range [][]string{{"GET", key.text}, {"HVALS", key.text}} {
				if reply, _ := up.Do(words...); strings.Contains(reply, secret[:8]) || strings.Contains(reply, "91827364") {
					t.Errorf("%s: the upstream keeps %.100q", words, reply)
				}
			}
		}
	}
}

// A script can make up the error with which the proxy's part of it asks for values to be made
// plain. It reaches no other tenant's.
func TestValuesScriptErrors(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	p := valuesProxy(t, r)
	up := dialRaw(t, r.Addr)
	victim := p.Connect(t, valuesTenant("zstd", valueKinds[2].yaml))
	mustSay(t, victim, "+OK\r\n", "SET", "s", strings.Repeat("mine ", 100))
	stored := diffMust(t, up, "GET", "t:zstd:0:s")
	for _, k := range valueKinds {
		c := p.Connect(t, valuesTenant(k.name, k.yaml))
		for _, key := range []string{"t:zstd:0:s", "t:lz4:dicts", "riptide:values", "t:", "", "t:" + k.name + ":0:*", strings.Repeat("t:"+k.name+":0:x", 1000)} {
			if strings.HasPrefix(key, "t:"+k.name+":0:s") {
				continue // its own
			}
			word := hex.EncodeToString([]byte(key))
			for _, text := range []string{"RIPTIDESEALED " + word, "RIPTIDESEALED " + word + " " + word, "RIPTIDESEALED zz", "RIPTIDESEALED", "RIPTIDEGUARD sealed"} {
				script := "return redis.error_reply('" + text + "')"
				for _, words := range [][]string{{"EVAL", script, "0"}, {"EVAL", "return {err='" + text + "'}", "1", "s"}, {"EVAL", "error({err='" + text + "'})", "0"}} {
					if reply, err := c.Do(words...); err != nil || reply[0] != '-' {
						t.Errorf("%s: %.100q: %.100q, %v", k.name, words, reply, err)
					}
				}
			}
		}
		// A value of another's, or one made up, tells nothing and is only one's own.
		sealed := diffParse(stored).text
		mustSay(t, c, "+OK\r\n", "SET", "copy", sealed)
		mustSay(t, c, fmt.Sprintf("$%d\r\n%s\r\n", len(sealed), sealed), "GET", "copy")
		expect(t, c, "-", "EVAL", "return redis.call('SET',KEYS[1],ARGV[1])", "1", "copy", value.Magic+"x")
		expect(t, c, "*1\r\n$-1\r\n", "SORT", "list:"+fmt.Sprint(diffParse(diffMust(t, c, "RPUSH", "list:1", "t:zstd:0:s")).text), "BY", "nosort", "GET", "*")
		expect(t, c, "*1\r\n$-1\r\n", "SORT", "list:1", "BY", "*", "GET", "../*")
		mustSay(t, c, "+PONG\r\n", "PING")
	}
	mustSay(t, up, stored, "GET", "t:zstd:0:s")
}
