// Package command is the command table: one row for every command and subcommand that a Redis, Valkey or
// compatible server may know. Whatever else in the proxy needs to know something about a command (how many
// arguments it takes, which of them name keys, where it may run) reads it here, so adding a command means adding a
// row and there is no other place that switches on command names.
//
// The rows live in the table_*.go files, grouped as Redis's own documentation groups them, and state what the newest
// server reports about itself in reply to COMMAND. What older servers report differently is listed in differences.go.
// A command that has no row is refused by the proxy, since nobody can say which of its arguments are keys.
package command

// Command is one row of the table. Rows are shared by every loop and never change once the program has started.
type Command struct {
	ID           int          // dense, from 0 to Count()-1, so that counters per command fit in a slice
	Name         string       // in lower case; a subcommand is called "container|sub"
	Arity        int          // number of arguments with the name; negative: at least that many
	Flags        Flag         // as COMMAND reports them
	Cats         Category     // ACL categories as COMMAND reports them
	Class        Class        // derived: what quotas and bills count it as
	Audit        Audit        // derived: how much the audit log has to be told for it to be recorded
	Keys         KeySpecs     // where the keys are, as COMMAND reports it
	Split        Split        // how a cluster distributes the command over its nodes
	Join         Join         // how the nodes' answers become one
	Since        string       // servers that have it, when Redis 7.0 does not: "redis 7.4, valkey 9.0"
	Run          Route        // where the proxy runs it; the zero value refuses
	Later        bool         // belongs to tenants but is not built yet, so it is refused with an error that says so
	Why          string       // for a refused row: what tells the reader why, when the route's own reason is not enough
	Handler      Handler      // who answers or rewrites it in the proxy; none for what is forwarded as it is
	Channels     bool         // what is prefixed are channels or channel patterns, not keys
	ChannelCheck ChannelCheck // what is asked of a user's channels, if it has rules
	Unwalled     bool         // reaches further than the patterns of an upstream user can confine, so scripts can not have it

	AtOnce     bool // runs at once between MULTI and EXEC, and is not queued
	Subscriber bool // may be run by a client of RESP2 that has subscribed to something

	// Paced: never refused for a client that is too fast, but made to wait. A client without it could not get out of
	// where it is, or would have what comes next mean something else.
	Paced bool

	// Find walks the requests whose names cannot be told from their position alone. It is nil for everything that
	// Shape describes.
	Find  Finder
	Shape Shape // derived from Keys and Find

	// Needs tells what a user must be allowed to do with the key, where that depends on the request. Elsewhere Keys tell.
	Needs    func(args Args) Need
	Patterns bool // some of what Prefixed finds may be patterns, of which it makes keys (SORT with BY or GET)
	hasKeys  bool // derived, see HasKeys
	oneNeed  bool // derived: need is what it needs for all its keys
	need     Need

	Values       ValueSpec // arguments that are string or hash values, which may be stored encoded
	ReplyValues  ReplyKind // the parts of the reply that are such values; ReplyValuesOf knows about a request's options
	Miss         Miss      // what the reply is if it has found nothing; none for what is not counted
	ReplyKeys    ReplyKeys // the parts of the reply that name keys, whose prefix has to go
	ErrKeys      bool      // an error reply may quote a key's name
	InsideIf     bool      // looks inside only with a condition on the value: SET with IFEQ
	InsideString bool      // looks inside a string or hash value, so that an encoded one must be made plain first

	// InsidePlain is set for those that look only inside numbers or HyperLogLogs, and fail on all else. Compression
	// leaves both as they are, so that only encryption keeps such a command from running as it is.
	InsidePlain bool
	InsideField int // argument that names the field of a hash that it looks inside; 0 if it is the string itself

	// StreamValues and StreamReply are Values and ReplyValues for the values of fields in the entries of streams,
	// which are encoded only where that is asked for.
	StreamValues ValueSpec
	StreamReply  ReplyKind

	Reach      Reach // how long it makes a string at least; nil: nothing that a request alone tells
	LengthOnly bool  // asks for the length of a value, and looks no further inside
	Unscripted bool  // replies with what a script does not pass on as it is: integers of 64 bits, or maps
	Encoding   bool  // tells how the server stores a value
	Moves      bool  // values stay as they are and get another key's name: RENAME
	Dumps      bool  // replies with a value as the server serializes it
	Restores   bool  // stores a value from what the server serialized

	// What memory a command can make the keys take follows from its length where it Grows at all, but for what these
	// tell: Copies whether it writes what it finds at its keys, Extent how long the value is afterwards at least, and
	// Hidden how much more than all that it can take at most. All of them are in bytes.
	Grows  bool
	Copies func(args Args) bool
	Extent func(args Args) int64
	Hidden func(args Args) int64
	// Delivers tells whether even that follows only from what is at the keys.
	Delivers func(args Args) bool
	Lumpy    bool // takes much more room now and then
	Adds     bool // at most what it says, to one key
	// Converts: it may have the server store all of a key's elements in a way that takes more.
	Converts bool

	Subs   []*Command // a container's subcommands, in the order of their names
	Parent *Command   // the container of a subcommand
	sub    string     // the subcommand's own name
}

// Has reports whether every flag in want is set.
func (c *Command) Has(want Flag) bool { return c.Flags&want == want }

// AcceptsArity reports whether a request of n arguments, the command's name included, is as long as the command asks
// for. It is as lenient as the most lenient server supported: a stricter one sends its own error.
func (c *Command) AcceptsArity(n int) bool {
	if c.Arity >= 0 {
		return n == c.Arity
	}
	return n >= -c.Arity
}

// Container reports whether the command does nothing by itself and must be followed by one of its subcommands.
// COMMAND is the one command that has subcommands and also works alone.
func (c *Command) Container() bool { return len(c.Subs) > 0 && c.Arity < -1 }

// Sub returns the subcommand called name, written in any case, or nil if there is none.
func (c *Command) Sub(name []byte) *Command {
	if len(c.Subs) == 0 {
		return nil
	}
	return find(c.ID+1, name)
}

// Lookup returns the command called name, written in any case, or nil if there is none.
func Lookup(name []byte) *Command { return find(0, name) }

// All returns every command and subcommand in the order of their IDs. The caller must not change the slice.
func All() []*Command { return all }

// Count returns the number of rows, subcommands included: IDs are below it.
func Count() int { return len(all) }
