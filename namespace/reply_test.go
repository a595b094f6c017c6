package namespace

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/resp"
)

const own = "t:acme:0:"

// wire writes CRLF for each space of a reply, so that tables stay readable.
func wire(text string) []byte { return []byte(strings.ReplaceAll(text, " ", "\r\n")) }

func TestRestore(t *testing.T) {
	for _, c := range []struct {
		name  string
		what  command.ReplyKeys
		reply string
		want  string
	}{
		{"whole", command.WholeKey, "$10 t:acme:0:k ", "$1 k "},
		{"whole, empty name", command.WholeKey, "$9 t:acme:0: ", "$0  "},
		{"whole, prefix twice", command.WholeKey, "$18 t:acme:0:t:acme:0: ", "$9 t:acme:0: "},
		{"whole, simple", command.WholeKey, "+t:acme:0:k ", "+k "},
		{"whole, nil", command.WholeKey, "$-1 ", "$-1 "},
		{"whole, nil of RESP3", command.WholeKey, "_ ", "_ "},

		{"first", command.FirstKey, "*2 $10 t:acme:0:k $10 t:acme:0:v ", "*2 $1 k $10 t:acme:0:v "},
		{"first, deep", command.FirstKey, "*2 $10 t:acme:0:k *2 $10 t:acme:0:a $1 b ", "*2 $1 k *2 $10 t:acme:0:a $1 b "},
		{"first, scores", command.FirstKey, "*2 $10 t:acme:0:z *1 *2 $1 m ,1.5 ", "*2 $1 z *1 *2 $1 m ,1.5 "},
		{"first, nil", command.FirstKey, "*-1 ", "*-1 "},
		{"first, nil of RESP3", command.FirstKey, "_ ", "_ "},
		{"first, nil inside", command.FirstKey, "*2 $-1 $1 v ", "*2 $-1 $1 v "},
		{"first, empty", command.FirstKey, "*0 ", "*0 "},

		{"entries", command.KeyPerEntry,
			"*2 *2 $10 t:acme:0:a *1 *2 $3 1-0 *2 $1 f $1 v *2 $10 t:acme:0:b *0 ",
			"*2 *2 $1 a *1 *2 $3 1-0 *2 $1 f $1 v *2 $1 b *0 "},
		{"entries, fields that look like names", command.KeyPerEntry,
			"*1 *2 $10 t:acme:0:a *1 *2 $3 1-0 *2 $10 t:acme:0:f $11 t:other:0:v ",
			"*1 *2 $1 a *1 *2 $3 1-0 *2 $10 t:acme:0:f $11 t:other:0:v "},
		{"entries of a map", command.KeyPerEntry,
			"%2 $10 t:acme:0:a *1 *2 $3 1-0 *2 $1 f $1 v $10 t:acme:0:b *0 ",
			"%2 $1 a *1 *2 $3 1-0 *2 $1 f $1 v $1 b *0 "},
		{"entries of a map, values that look like names", command.KeyPerEntry,
			"%1 $10 t:acme:0:a $11 t:other:0:v ", "%1 $1 a $11 t:other:0:v "},
		{"entries, nil", command.KeyPerEntry, "*-1 ", "*-1 "},
		{"entries, nil of RESP3", command.KeyPerEntry, "_ ", "_ "},
		{"entries, none", command.KeyPerEntry, "%0 ", "%0 "},

		{"all", command.AllKeys, "*3 $10 t:acme:0:a $9 t:acme:0: $10 t:acme:0:b ", "*3 $1 a $0  $1 b "},
		{"all of a set", command.AllKeys, "~2 $10 t:acme:0:a +t:acme:0:b ", "~2 $1 a +b "},
		{"pairs", command.PairNames, "*4 $10 t:acme:0:a :1 $10 t:acme:0:b $1 x ", "*4 $1 a :1 $1 b $1 x "},
		{"pairs of a map", command.PairNames, "%1 $10 t:acme:0:a :1 ", "%1 $1 a :1 "},

		{"all, none", command.AllKeys, "*0 ", "*0 "},
		{"all, nil", command.AllKeys, "*-1 ", "*-1 "},
		{"all, nil of RESP3", command.AllKeys, "_ ", "_ "},
		{"all, with nils", command.AllKeys, "*3 $-1 _ $10 t:acme:0:a ", "*3 $-1 _ $1 a "},
	} {
		before := []byte("+before\r\n")
		reply := wire(c.reply)
		in := bytes.Clone(reply)
		out, err := Restore(before, in, c.what, []byte(own))
		if err != nil || string(out) != "+before\r\n"+string(wire(c.want)) {
			t.Errorf("%s: %q, %v, want %q", c.name, out, err, wire(c.want))
		}
		if !bytes.Equal(in, reply) {
			t.Errorf("%s: the reply was changed", c.name)
		}
	}
}

// foreigners are names that are not the tenant's, however similar.
var foreigners = []string{
	"k", "", "t:acme:0", "t:acme:1:k", "t:acme:00:k", "t:acme2:0:k", "t:globex:0:k", "T:ACME:0:k", "xt:acme:0:k", " t:acme:0:k", "t:{acme}:0:k",
}

// A name that is not the tenant's never gets through, wherever it stands and
// whatever stands beside it; the caller is told.
func TestRestoreForeign(t *testing.T) {
	for _, c := range []struct {
		name  string
		what  command.ReplyKeys
		reply func(foreign string) []byte
	}{
		{"whole", command.WholeKey, func(f string) []byte { return resp.AppendBulkString(nil, f) }},
		{"whole, simple", command.WholeKey, func(f string) []byte { return resp.AppendSimple(nil, f) }},
		{"first", command.FirstKey, func(f string) []byte {
			return resp.AppendBulkString(resp.AppendBulkString(resp.AppendArray(nil, 2), f), "v")
		}},
		{"entries", command.KeyPerEntry, func(f string) []byte {
			b := resp.AppendArray(resp.AppendBulkString(resp.AppendArray(resp.AppendArray(nil, 2), 2), own+"k"), 0)
			return resp.AppendArray(resp.AppendBulkString(resp.AppendArray(b, 2), f), 0)
		}},
		{"entries of a map", command.KeyPerEntry, func(f string) []byte {
			b := resp.AppendArray(resp.AppendBulkString(resp.AppendMap(nil, 3, 2), f), 0)
			return resp.AppendArray(resp.AppendBulkString(b, own+"k"), 0)
		}},
		{"all", command.AllKeys, func(f string) []byte {
			b := resp.AppendBulkString(resp.AppendArray(nil, 3), own+"k")
			return resp.AppendBulkString(resp.AppendBulkString(b, f), own+"k")
		}},
		{"pairs", command.PairNames, func(f string) []byte {
			return resp.AppendInt(resp.AppendBulkString(resp.AppendArray(nil, 2), f), 1)
		}},
		// Nobody has built these yet, so nothing passes that is not the tenant's.
		{"scan", command.ScanKeys, func(f string) []byte {
			return resp.AppendBulkString(resp.AppendArray(resp.AppendBulkString(resp.AppendArray(nil, 2), own), 1), f)
		}},
		{"messages", command.MessageNames, func(f string) []byte {
			return resp.AppendBulkString(resp.AppendBulkString(resp.AppendPush(nil, 3, 2), own), f)
		}},
		{"all of a set", command.AllKeys, func(f string) []byte {
			return resp.AppendBulkString(resp.AppendSet(nil, 3, 1), f)
		}},
	} {
		for _, f := range foreigners {
			f += "SECRET" // so that it can be told from the protocol's own bytes
			out, err := Restore(nil, c.reply(f), c.what, []byte(own))
			if !errors.Is(err, ErrForeign) {
				t.Errorf("%s, %q: error %v", c.name, f, err)
			}
			if bytes.Contains(out, []byte("SECRET")) {
				t.Errorf("%s: %q came through: %q", c.name, f, out)
			}
		}
	}
}

// What is not one complete reply is an error, and nothing of it is kept.
func TestRestoreMalformed(t *testing.T) {
	for _, reply := range []string{"$10 t:acme:0:", "*2 $10 t:acme:0:k ", "$10 t:acme:0:kxx", "?", "*1 $1 a $1 b ", "$-2 "} {
		for _, what := range []command.ReplyKeys{command.WholeKey, command.FirstKey, command.KeyPerEntry, command.AllKeys} {
			out, err := Restore([]byte("before"), wire(reply), what, []byte(own))
			if err == nil || string(out) != "before" {
				t.Errorf("%q: %q, %v", reply, out, err)
			}
		}
	}
}

// Restore knows these places of names. Of a row that is passed on and has its
// names elsewhere the tenant would get errors only.
func TestEveryRowsReplyKeysAreKnown(t *testing.T) {
	for _, cmd := range command.All() {
		if cmd.Run != command.Shared || cmd.Later || cmd.Handler != command.NoHandler {
			continue
		}
		switch cmd.ReplyKeys {
		case command.NoKeys, command.WholeKey, command.FirstKey, command.KeyPerEntry, command.AllKeys, command.PairNames:
		default:
			t.Errorf("%s: Restore does nothing for ReplyKeys %d", cmd.Name, cmd.ReplyKeys)
		}
	}
}

func TestRestoreError(t *testing.T) {
	for _, c := range []struct{ name, reply, want string }{
		{"XREADGROUP",
			"-NOGROUP No such key 't:acme:0:s' or consumer group 'g' in XREADGROUP with GROUP option\r\n",
			"-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n"},
		{"XPENDING, XCLAIM, XAUTOCLAIM",
			"-NOGROUP No such key 't:acme:0:s' or consumer group 'g'\r\n", "-NOGROUP No such key 's' or consumer group 'g'\r\n"},
		{"XGROUP, XINFO",
			"-NOGROUP No such consumer group 'g' for key name 't:acme:0:s'\r\n", "-NOGROUP No such consumer group 'g' for key name 's'\r\n"},
		{"an empty name",
			"-NOGROUP No such key 't:acme:0:' or consumer group 'g'\r\n", "-NOGROUP No such key '' or consumer group 'g'\r\n"},
		{"the prefix in the name",
			"-NOGROUP No such key 't:acme:0:t:acme:0:s' or consumer group 'g'\r\n", "-NOGROUP No such key 't:acme:0:s' or consumer group 'g'\r\n"},
		{"a group with a quote",
			"-NOGROUP No such consumer group 'for key name ' for key name 't:acme:0:s'\r\n",
			"-NOGROUP No such consumer group 'for key name ' for key name 's'\r\n"},
		{"a group that looks like a key",
			"-NOGROUP No such key 't:acme:0:s' or consumer group 't:acme:0:g'\r\n", "-NOGROUP No such key 's' or consumer group 't:acme:0:g'\r\n"},

		{"another error", "-ERR syntax error\r\n", "-ERR syntax error\r\n"},
		{"a quote cut short", "-NOGROUP No such key '", "-NOGROUP No such key '"},
		{"wrong type", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
			"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
		{"group exists", "-BUSYGROUP Consumer Group name already exists\r\n", "-BUSYGROUP Consumer Group name already exists\r\n"},
	} {
		got := RestoreError([]byte("+before\r\n"), []byte(c.reply), []byte(own))
		if string(got) != "+before\r\n"+c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// path.Match has the same special characters as Redis's globs, with the one
// difference that a star does not match a slash, so it can check EscapeGlob.
func TestEscapeGlob(t *testing.T) {
	texts := []string{"", "t:acme:0:", "t:{acme}:0:", "*", "a*b", "a?b", "[ab]", "[^a]", `\`, `a\*b`, "]", "a-z", "\x00\xff", "{a,b}"}
	for _, text := range texts {
		pattern := EscapeGlob([]byte(text))
		for _, other := range texts {
			matched, err := filepath.Match(pattern, other)
			if err != nil {
				t.Fatalf("%q is not a pattern: %v", pattern, err)
			}
			if matched != (other == text) {
				t.Errorf("%q from %q matches %q: %v", pattern, text, other, matched)
			}
		}
		for _, near := range []string{text + "x", "x" + text} {
			if matched, _ := filepath.Match(pattern, near); matched {
				t.Errorf("%q from %q matches %q", pattern, text, near)
			}
			if matched, _ := filepath.Match(pattern+"*", text+"x"); !matched {
				t.Errorf("%q* from %q does not match what begins with it", pattern, text)
			}
		}
	}
	for text, want := range map[string]string{"t:acme:0:": "t:acme:0:", `*?[]\`: `\*\?\[\]\\`} {
		if got := EscapeGlob([]byte(text)); got != want {
			t.Errorf("EscapeGlob(%q) = %q, want %q", text, got, want)
		}
	}
}
