// Package script is what the proxy knows about tenants' Lua scripts: how a script is wrapped so that it sees its
// tenant's names, the upstream users that scripts run as, and the scripts that each tenant has loaded.
//
// What keeps a script inside its tenant is the upstream's access control: it runs as a user that may touch no other
// keys and run no command that these rules do not confine. The wrapping makes that comfortable, not safe, but for two
// things: it keeps scripts from changing the Lua state that all tenants' share, and from raising errors that kill the
// server or forge replies.
package script

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync/atomic"
)

// Mode is how a tenant's scripts are wrapped.
type Mode struct {
	Trusted bool // gets commands that an isolated one is refused
	Values  bool // the tenant has, or had, values that are stored sealed: see SealedKeys
	Rules   bool // the user has rules, which may keep it from looking at values
}

// Script is a tenant's script. It never changes once made, but for whether it has run.
type Script struct {
	Source     []byte // as the client sent it
	SHA        string // of Source, in lower-case hex: what the client calls it
	Wrapped    []byte // as the upstream runs it
	WrappedSHA string // what the upstream calls it
	Mode

	selects bool
	taken   *atomic.Bool // shared with what Guarded makes of it
}

// Taken reports whether an upstream has run or loaded the script, so that the tenant's other clients may call it by its
// hash.
func (s *Script) Taken() bool { return s.taken.Load() }

// Take notes that, and reports whether it is news.
func (s *Script) Take() bool { return !s.taken.Swap(true) }

// New wraps a script. It keeps a copy of source.
func New(source []byte, mode Mode) *Script {
	s := &Script{Source: bytes.Clone(source), SHA: Sum(source), Mode: mode, taken: new(atomic.Bool)}
	s.Wrapped, s.selects = wrap(s.Source, mode)
	s.WrappedSHA = Sum(s.Wrapped)
	return s
}

// Sum returns what a server calls a script.
func Sum(source []byte) string {
	sum := sha1.Sum(source)
	return hex.EncodeToString(sum[:])
}

// ExtraArgs is how many arguments AppendArgs adds.
func (s *Script) ExtraArgs() int {
	if s.selects {
		return 2
	}
	return 1
}

// AppendArgs appends, as RESP bulk strings, what must follow the client's own arguments of EVAL or EVALSHA: the prefix
// of the database that the session is in ("t:acme:0:"), in front of it the number of databases where the script may
// change to another one: none if the user may not.
func (s *Script) AppendArgs(dst, prefix []byte, databases int) []byte {
	if s.selects {
		n := strconv.Itoa(databases)
		dst = fmt.Appendf(dst, "$%d\r\n%s\r\n", len(n), n)
	}
	dst = fmt.Appendf(dst, "$%d\r\n", len(prefix))
	dst = append(dst, prefix...)
	return append(dst, '\r', '\n')
}

// RestoreError appends an error reply of a script ("-...\r\n") as the client is to see it: with its own name for the
// script and without the prefix where a command's error names a key.
func RestoreError(dst, reply []byte, s *Script, prefix []byte) []byte {
	if len(prefix) > 0 {
		reply = bytes.ReplaceAll(reply, prefix, nil)
	}
	return append(dst, bytes.ReplaceAll(reply, []byte(s.WrappedSHA), []byte(s.SHA))...)
}
