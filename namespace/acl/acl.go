// Package acl is what a tenant's user may do: rules in Redis's own grammar, compiled so that a command is checked by
// looking up a bit and matching its keys. It sees one request at a time and knows nothing of tenants: keys and channels
// are called what the client calls them.
//
// What a rule means, and which of several refusals a client is told, is what Redis does (docs/acl.md says where it is
// stricter).
package acl

import (
	"bytes"

	"riptide-proxy/command"
	"riptide-proxy/namespace/glob"
)

// Rules are what a user may do. They never change once made. A nil *Rules is none at all: the user may do everything.
type Rules struct {
	selectors []*selector // the first is the user's own, the others those in parentheses
	text      string
}

// selector is one set of rules. A command is allowed if one selector allows all of it.
type selector struct {
	commands []uint64         // bits, by the command's ID
	first    map[int][]string // by the command's ID: arguments with which it is allowed though its bit is not set
	words    []string         // the rules about commands since the last that was about all of them

	allKeys     bool
	keys        []keyPattern
	allChannels bool
	channels    [][]byte
}

// keyPattern is the keys that a user may read, write, or both.
type keyPattern struct {
	pattern []byte
	may     command.Need
}

const everything = command.NeedsRead | command.NeedsWrite

// Verdict is the outcome of a check. Where several selectors refuse a command, the greatest of their verdicts is told.
type Verdict uint8

const (
	Allowed Verdict = iota
	NoCommand
	NoKey
	NoChannel
)

// Check decides about a request that is long enough for its command. at is the argument that is refused, the key or the
// channel; it is of no meaning with the other verdicts. scratch is memory to work in, which is returned for the next call.
func (r *Rules) Check(cmd *command.Command, args command.Args, scratch []int32) (verdict Verdict, at int, _ []int32) {
	q := request{cmd: cmd, args: args, names: scratch[:0]}
	verdict = NoCommand
	here := 0
	for _, s := range r.selectors {
		v := s.check(&q, &here)
		if v == Allowed {
			return Allowed, 0, q.names
		}
		if v > verdict || v == verdict && here > at {
			verdict, at = v, here
		}
	}
	return verdict, at, q.names
}

// MayRun reports whether some request of the command would be allowed, whatever its arguments.
func (r *Rules) MayRun(cmd *command.Command) bool {
	for _, s := range r.selectors {
		if s.runs(cmd) {
			return true
		}
	}
	return false
}

// ReadsAnyKey reports whether the user may do this request, and read all keys with it. SORT asks for that when it is to
// look at keys whose names it makes up.
func (r *Rules) ReadsAnyKey(cmd *command.Command, args command.Args, scratch []int32) (bool, []int32) {
	q := request{cmd: cmd, args: args, names: scratch[:0]}
	here := 0
	for _, s := range r.selectors {
		if s.reads("*") && s.check(&q, &here) == Allowed {
			return true, q.names
		}
	}
	return false, q.names
}

// MayTouch reports whether there is a pattern for the key, whatever it allows to do with it.
func (r *Rules) MayTouch(key []byte) bool {
	for _, s := range r.selectors {
		if s.touches(key, 0) {
			return true
		}
	}
	return false
}

// MayHear reports whether the user may be subscribed to a channel, or to a pattern of channels.
func (r *Rules) MayHear(name string, pattern bool) bool {
	for _, s := range r.selectors {
		if s.hears([]byte(name), pattern) {
			return true
		}
	}
	return false
}

// Unrestricted reports whether the rules allow everything.
func (r *Rules) Unrestricted() bool {
	s := r.selectors[0]
	if !s.allKeys || !s.allChannels {
		return false
	}
	for _, c := range command.All() {
		if !s.runs(c) {
			return false
		}
	}
	return true
}

// String is the rules as Parse has read them.
func (r *Rules) String() string { return r.text }

// request is a request with its names, which are looked for once for all selectors.
type request struct {
	cmd     *command.Command
	args    command.Args
	names   []int32
	verdict command.Verdict
	found   bool
}

func (q *request) find() []int32 {
	if !q.found {
		q.found = true
		q.names, q.verdict = q.cmd.Prefixed(q.names, q.args)
	}
	return q.names
}

// check is Check for one selector. at is changed only when it is known.
func (s *selector) check(q *request, at *int) Verdict {
	cmd := q.cmd
	if !s.runs(cmd) && !cmd.Has(command.NoAuth) && !s.runsWith(cmd, q.args) {
		return NoCommand
	}
	if !s.allKeys && cmd.HasKeys() {
		for _, i := range q.find() {
			need, isKey := cmd.NeedAt(q.args, i)
			if q.verdict&command.Unparsed != 0 && !isKey {
				need, isKey = everything, true
			}
			if isKey && !s.touches(q.args.At(int(i)), need) {
				*at = int(i)
				return NoKey
			}
		}
	}
	if !s.allChannels && cmd.ChannelCheck != command.ChannelsFree {
		for _, i := range q.find() {
			if !s.hears(q.args.At(int(i)), cmd.ChannelCheck == command.ChannelGlobs) {
				*at = int(i)
				return NoChannel
			}
		}
	}
	return Allowed
}

func (s *selector) runs(cmd *command.Command) bool {
	return s.commands[cmd.ID/64]>>(cmd.ID%64)&1 != 0
}

// runsWith reports whether a command is allowed because of its first argument.
func (s *selector) runsWith(cmd *command.Command, args command.Args) bool {
	if s.first == nil || args.Len() < 2 {
		return false
	}
	for _, word := range s.first[cmd.ID] {
		if equalFold(args.At(1), word) {
			return true
		}
	}
	return false
}

// touches reports whether the selector lets a key be used as it is needed.
func (s *selector) touches(key []byte, need command.Need) bool {
	if s.allKeys {
		return true
	}
	for i := range s.keys {
		if p := &s.keys[i]; p.may&need == need && matches(p.pattern, key) {
			return true
		}
	}
	return false
}

// reads reports whether all keys that match a pattern may be read: by a rule with that very pattern.
func (s *selector) reads(pattern string) bool {
	if s.allKeys {
		return true
	}
	for i := range s.keys {
		if p := &s.keys[i]; p.may&command.NeedsRead != 0 && string(p.pattern) == pattern {
			return true
		}
	}
	return false
}

func (s *selector) hears(name []byte, pattern bool) bool {
	if s.allChannels {
		return true
	}
	for _, p := range s.channels {
		if pattern && bytes.Equal(p, name) || !pattern && matches(p, name) {
			return true
		}
	}
	return false
}

// matches is glob.Match, with a shorter way for what nearly all patterns are: a text, or one with a star at its end. To
// Redis a star is not nothing where there is nothing at all.
func matches(pattern, name []byte) bool {
	if len(name) == 0 {
		return len(pattern) == 0
	}
	i := 0
	for ; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*' && i == len(pattern)-1:
			return true
		case c == '*' || c == '?' || c == '[' || c == '\\':
			return glob.Match(pattern[i:], name[i:])
		case i == len(name) || name[i] != c:
			return false
		}
	}
	return i == len(name)
}

// equalFold compares with a word in lower case, as Redis compares words: letters of ASCII only, up to a zero byte.
func equalFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
