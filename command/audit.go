package command

// Audit is the level of the audit log from which on a command is recorded.
type Audit uint8

const (
	AuditNone  Audit = iota // no command has it: as a level it records none
	AuditAdmin              // for operators, or dangerous, as the server's ACL categories say
	AuditWrite              // may change data, or decides whether queued commands do
	AuditAll                // everything else
	// Unaudited commands are in the log as something else, whatever the level is: logins.
	Unaudited
)

// auditOf tells it from what the row says already.
func auditOf(c *Command) Audit {
	switch {
	case c.Handler == HandleAuth || c.Handler == HandleHello:
		return Unaudited
	case c.Cats&(CatAdmin|CatDangerous) != 0:
		return AuditAdmin
	case c.Has(Write), c.Cats&CatScripting != 0 && !c.Has(ReadOnly), c.Handler == HandleExec, c.Handler == HandleDiscard:
		return AuditWrite
	}
	return AuditAll
}
