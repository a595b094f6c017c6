package command

import "testing"

func TestAudit(t *testing.T) {
	for name, want := range map[string]Audit{
		"auth": Unaudited, "hello": Unaudited,
		"flushall": AuditAdmin, "config|set": AuditAdmin, "keys": AuditAdmin, "debug": AuditAdmin, "client|kill": AuditAdmin, "restore": AuditAdmin,
		"set": AuditWrite, "hset": AuditWrite, "blpop": AuditWrite, "eval": AuditWrite, "fcall": AuditWrite, "exec": AuditWrite, "discard": AuditWrite, "getdel": AuditWrite,
		"get": AuditAll, "eval_ro": AuditAll, "publish": AuditAll, "subscribe": AuditAll, "select": AuditAll, "multi": AuditAll, "ping": AuditAll,
	} {
		c := Named(name)
		if c == nil {
			t.Errorf("there is no command %s", name)
		} else if c.Audit != want {
			t.Errorf("%s: %d, want %d", name, c.Audit, want)
		}
	}
	for _, c := range All() {
		if c.Has(Write) && c.Audit > AuditWrite || c.Audit == AuditNone {
			t.Errorf("%s would not be recorded at its level", c.Name)
		}
	}
}
