package command

import "testing"

func TestClass(t *testing.T) {
	for name, want := range map[string]Class{
		"get": ClassRead, "set": ClassWrite, "getex": ClassWrite, "eval": ClassScript, "evalsha_ro": ClassScript, "fcall": ClassScript, "script|load": ClassScript,
		"publish": ClassPubSub, "subscribe": ClassPubSub, "pubsub|numsub": ClassPubSub, "ping": ClassOther, "multi": ClassOther, "blpop": ClassWrite,
		"object|encoding": ClassRead, "client|setname": ClassOther, "auth": ClassOther, "scan": ClassRead, "xread": ClassRead, "copy": ClassWrite,
	} {
		c := Lookup([]byte(name))
		for _, row := range All() {
			if row.Name == name {
				c = row
			}
		}
		if c == nil || c.Class != want {
			t.Errorf("%s: %v, want %s", name, c, want)
		}
		if got, ok := ClassNamed(want.String()); !ok || got != want {
			t.Errorf("%s: %v, %v", want, got, ok)
		}
	}
}
