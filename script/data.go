package script

import (
	"fmt"
	"strings"

	"riptide-proxy/command"
)

// What the prelude knows about commands: for each a code of five characters, made from the command table. The first is
// the kind:
//
//	r  arguments from one to another: first, last ('m' plus it, -1 being the end), step
//	n  a number of keys: where the number is, the step between keys, 1 if a key is in front of it
//	c  a container: look at the subcommand
//	x  keys behind the option STREAMS
//	o  SORT
//	g  GEORADIUS: where its options begin
//	p  a channel
//	s  SELECT
//	!  not for scripts
//	0  no keys
//	K C R D F Y V  KEYS, SCAN, RANDOMKEY, DBSIZE, FLUSH*, COPY, MOVE, for trusted scripts
//
// The last is what the reply names: 0 nothing, 1 its first element, 2 each entry's first, 3 every element, 4 every
// element of the second.
const (
	plainKey = "r1n10" // one key at argument 1, which goes without saying
	noKeys   = "00000"
	refused  = "!0000"

	container = "c0000"
)

// dataOf are the data for isolated and for trusted scripts: " name=code" for every command that differs from what the
// prelude takes for granted.
var dataOf = map[bool]string{false: data(false), true: data(true)}

// data lists the codes. Isolated scripts meet the wall, so whatever the table does not know may be tried; trusted ones
// do not, so they may do what the table knows.
func data(trusted bool) string {
	var b strings.Builder
	for _, c := range command.All() {
		code := codeOf(c, trusted)
		if code == plainKey && !trusted {
			continue
		}
		if c.Parent != nil && (code == "r2o10" || code == plainKey || codeOf(c.Parent, trusted) != container) {
			continue // what the prelude assumes of subcommands, or the container says it all
		}
		fmt.Fprintf(&b, " %s=%s", c.Name, code)
	}
	return b.String()
}

// trustedCodes are the commands that the prelude gives the tenant's meaning.
var trustedCodes = map[command.Handler]string{
	command.HandleKeys: "K0003", command.HandleScan: "C0004", command.HandleRandomKey: "R0000",
	command.HandleDBSize: "D0000", command.HandleFlushDB: "F0000", command.HandleFlushAll: "F0000",
	command.HandleCopy: "Y0000", command.HandleMove: "V0000",
}

// codeOf returns the code of a command.
func codeOf(c *command.Command, trusted bool) string {
	if c.Handler == command.HandleSelect {
		return "s0000"
	}
	if len(c.Subs) > 0 {
		return containerCode(c)
	}
	if trusted && trustedCodes[c.Handler] != "" {
		return trustedCodes[c.Handler]
	}
	if c.Has(command.NoScript) {
		return plainKey // the server has an error for it
	}
	reply := replyOf[c.ReplyKeys]
	options, geo := geoOptions(c)
	switch {
	case geo && c.Unwalled:
		return fmt.Sprintf("g%d000", options)
	case !confined(c) && !(trusted && c.HasKeys() && namesAll(c)):
		return refused
	case c.Channels:
		return "p0000"
	case keyword(c, "STREAMS"):
		return "x0002"
	case c.Name == "sort" || c.Name == "sort_ro":
		return "o0000"
	}
	switch s := c.Shape; s.Kind {
	case command.ShapeOne, command.ShapeRange:
		return fmt.Sprintf("r%d%c%d%c", s.First, 'm'+s.Last, s.Step, reply)
	case command.ShapeCustom:
		if n := len(c.Keys); n > 0 && c.Keys[n-1].Find == command.KeysCount {
			return fmt.Sprintf("n%d%d%d%c", c.Keys[n-1].Index, c.Keys[n-1].Step, n-1, reply)
		}
		return refused
	}
	return noKeys
}

// containerCode looks at the subcommands only where they differ.
func containerCode(c *command.Command) string {
	code := noKeys
	for _, sub := range c.Subs {
		switch {
		case confined(sub):
			return container
		case !sub.Has(command.NoScript) && !strings.HasSuffix(sub.Name, "|help"):
			code = refused
		}
	}
	return code
}

var replyOf = map[command.ReplyKeys]byte{
	command.NoKeys: '0', command.FirstKey: '1', command.KeyPerEntry: '2', command.AllKeys: '3', command.ScanKeys: '4',
}

// keyword reports whether a command's keys follow an option.
func keyword(c *command.Command, option string) bool {
	for _, spec := range c.Keys {
		if spec.Begin == command.BeginKeyword && spec.Keyword == option {
			return true
		}
	}
	return false
}

// geoOptions returns where the options of GEORADIUS begin.
func geoOptions(c *command.Command) (int, bool) {
	for _, spec := range c.Keys {
		if spec.Begin == command.BeginKeyword && spec.Keyword == "STORE" {
			return spec.Index, true
		}
	}
	return 0, false
}
