package script

import "bytes"

// guard is what a script begins with that shares a connection with the proxy's own
// commands: it ends unless it runs as a user that may do nothing of the kind.
const guard = `do local ok,may=pcall(redis.acl_check_cmd,"acl","setuser","riptide") if may~=false then ` +
	`return {err="NOPERM the user for this tenant's scripts is missing, try again"} end end `

// Guarded returns the script with a check in front of it that it runs as the user of its tenant, for transactions: there
// the login before it can fail without an effect on what follows.
func (s *Script) Guarded() *Script {
	g := *s
	at := 0
	if bytes.HasPrefix(s.Wrapped, []byte("#!")) {
		if at = bytes.IndexByte(s.Wrapped, '\n') + 1; at == 0 {
			at = len(s.Wrapped)
		}
	}
	g.Wrapped = append(append(append([]byte(nil), s.Wrapped[:at]...), guard...), s.Wrapped[at:]...)
	g.WrappedSHA = Sum(g.Wrapped)
	return &g
}
