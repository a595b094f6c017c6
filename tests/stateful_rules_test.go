package tests

// stateUnordered are the commands whose replies have the order of a hash table.
var stateUnordered = []string{"pubsub|channels", "pubsub|shardchannels", "keys"}

// stateNever lists what the proxy can not do as plain Redis does, and why, by
// the beginning of the call in upper case; what begins with "MULTI " is left
// out inside a transaction only. Such calls are not made.
var stateNever = map[string]string{
	"MULTI CLIENT UNBLOCK": "other loops are asked once the transaction has run",
	"MOVE":                 "a tenant's databases are prefixes, so that the events are those of a rename; compared where nobody listens in TestDifferential",
}

// What the sessions avoid without a rule, since plain Redis makes no promise
// that a tenant could rely on, or keeps it in a way that only a server of one's
// own can:
//
//   - FLUSHDB and FLUSHALL while somebody tracks keys or listens to keyspace
//     events: a flush of a whole server is one event without names, and the
//     removal of a tenant's keys is one for each of them.
//   - PUBLISH to a channel without a name, which Redis does not take to match
//     the pattern *.
//   - SELECT while somebody tracks keys: an invalidation does not say in which
//     database, so that Redis sends it for a key of that name in any.
//   - Writes pipelined behind a blocked command: when one push serves two
//     clients, it is open whose next command comes first.
