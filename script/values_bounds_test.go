package script

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/tests/harness"
)

// TestMarks shows that whatever the table says about values is in the marks.
func TestMarks(t *testing.T) {
	for name, want := range map[string]string{
		"get": "1", "hget": "4", "set": "3", "del": "2", "exists": "0", "incr": "6", "strlen": "5", "mget": "g01l100", "hset": "s11n132",
		"bitop": "i13l100", "lcs": "i01o100", "getset": "i11n129", "hgetall": "p01n100", "mset": "s10m122", "select": "0", "publish": "2",
		"object": "0", "xgroup": "2", "lrange": "0", "rename": "r11n100", "echo": "0", "subscribe": "0",
	} {
		if got := markOf(command.Lookup([]byte(name))); got != want {
			t.Errorf("%s: %s, not %s", name, got, want)
		}
	}
	for _, c := range command.All() {
		mark := markOf(c)
		if len(mark) != 1 && len(mark) != 7 {
			t.Errorf("%s: %q", c.Name, mark)
		}
		about := c.ReplyValues != command.NoValues || c.InsideString || c.InsideIf || !c.Values.None()
		if about && strings.Contains(markNothing+markWrite, mark) {
			t.Errorf("%s: nothing about values in %q", c.Name, mark)
		}
		if c.Parent != nil && about {
			t.Errorf("%s: subcommands are not looked at", c.Name)
		}
	}
}

// TestSealedNewer has commands that not every server knows. What the prelude refuses it refuses on all.
func TestSealedNewer(t *testing.T) {
	w := newWorld(t, Mode{Values: true})
	for _, tc := range []struct{ command, source, want string }{
		{"hgetdel", "return redis.call('hgetdel','h','FIELDS',2,'a','b')", ends("h")},
		{"hgetdel", "return redis.call('hgetdel','h','fields',1,'a')", "*1\r\n$1\r\n1\r\n"},
		{"hgetdel", "return redis.call('hgetdel','huge','FIELDS',1,'f7')", ends("huge")},
		{"hgetex", "return redis.call('hgetex','h','EX',9,'FIELDS',1,'b')", ends("h")},
		{"hgetex", "return redis.call('hgetex','h','EX',9,'FIELDS',1,'a')", "*1\r\n$1\r\n1\r\n"},
		{"hgetex", "redis.call('del','n') return redis.pcall('hgetex','h','EX',9,'FIELDS',1,'b')", late("h") + "\r\n"},
		{"hsetex", "return redis.pcall('hsetex','n','FIELDS',1,'f',ARGV[1])", magic + "\r\n"},
		{"hsetex", "return redis.pcall('hsetex','n','FIELDS',1,'f','x')", ":1\r\n"},
		{"msetex", "return redis.pcall('msetex',2,'n','1','m',ARGV[1])", magic + "\r\n"},
		{"delifeq", "return redis.pcall('delifeq','s','x')", ends("s")},
		{"delex", "return redis.pcall('delex','s','IFEQ','x')", ends("s")},
		{"digest", "return redis.pcall('digest','s')", ends("s")},
		{"delifeq", "return redis.pcall('set','s','new','IFEQ','x')", ends("s")},
		{"httl", "return redis.call('httl','h','FIELDS',1,'b')", "*1\r\n:-1\r\n"},
	} {
		stored(t, w)
		known, err := w.admin.Do(harness.Context(t), "COMMAND", "INFO", tc.command).Slice()
		if unknown := err != nil || len(known) == 0 || known[0] == nil; unknown && tc.want[0] != '-' {
			t.Log("the server has no", tc.command)
			continue
		}
		if got := eval(t, w.wall, w.mode, tc.source, acme, nil, []string{compressed}); got != tc.want {
			t.Errorf("%s\n got %q\nwant %q", tc.source, got, tc.want)
		}
	}
}

// TestSealedMany shows that the reply stays short enough for a line.
func TestSealedMany(t *testing.T) {
	w := newWorld(t, Mode{Values: true})
	ctx := harness.Context(t)
	var keys []string
	for i := range 1000 {
		keys = append(keys, fmt.Sprintf("%0100d", i))
		w.admin.Set(ctx, acme+keys[i], compressed, 0)
	}
	for _, source := range []string{"return redis.call('mget',unpack(KEYS))", "return redis.call('get',KEYS[#KEYS-999])"} {
		reply := eval(t, w.wall, w.mode, source, acme, keys, nil)
		found, ok := SealedKeys([]byte(reply))
		if !ok || len(found) < 100 || len(reply) > 40<<10 || string(found[99]) != acme+keys[99] {
			t.Errorf("%s: %d names in %d bytes", source, len(found), len(reply))
		}
	}
}

func TestSealedKeys(t *testing.T) {
	for reply, want := range map[string]string{
		"-RIPTIDESEALED 61 62ff\r\n": `["a" "b\xff"]`,
		"-RIPTIDESEALED 00\r\n":      `["\x00"]`,
		"-RIPTIDESEALED 61  62\r\n":  "[]", "-RIPTIDESEALED \r\n": "[]", "-RIPTIDESEALED\r\n": "[]", "-RIPTIDESEALED 6\r\n": "[]",
		"-RIPTIDESEALED 61": "[]", "-RIPTIDESEALED zz\r\n": "[]", "-ERR RIPTIDESEALED 61\r\n": "[]", "+RIPTIDESEALED 61\r\n": "[]", "": "[]",
		"-RIPTIDESEALED 61 script: x\r\n": "[]",
	} {
		keys, ok := SealedKeys([]byte(reply))
		if got := fmt.Sprintf("%q", keys); got != want || ok != (want != "[]") {
			t.Errorf("%q: %s, %v", reply, got, ok)
		}
	}
}

func FuzzSealedKeys(f *testing.F) {
	f.Add([]byte("-RIPTIDESEALED 61 62ff\r\n"))
	f.Fuzz(func(t *testing.T, reply []byte) {
		keys, ok := SealedKeys(reply)
		if !ok {
			return
		}
		again := "-RIPTIDESEALED"
		for _, key := range keys {
			again += " " + hex.EncodeToString(key)
		}
		if again += "\r\n"; !strings.EqualFold(again, string(reply)) {
			t.Errorf("%q is taken for %q", reply, again)
		}
	})
}
