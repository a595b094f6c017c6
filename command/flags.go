package command

import "strings"

// Flag is a set of the properties that a server reports for a command.
type Flag uint32

const (
	Write           Flag = 1 << iota // may change data
	ReadOnly                         // only reads keys
	DenyOOM                          // may need memory, so refused when there is none left
	Admin                            // for operators
	PubSub                           // about channels
	NoScript                         // not from scripts
	Blocking                         // may wait
	Loading                          // works while the server loads its data
	Stale                            // works on a replica that has lost its master
	SkipMonitor                      // not shown by MONITOR
	SkipSlowlog                      // not recorded in the slow log
	Asking                           // implies ASKING in a cluster
	Fast                             // constant or logarithmic time
	NoAuth                           // works before AUTH
	NoMandatoryKeys                  // may be called without any key
	NoAsyncLoading                   // not while a replica loads beside its old data
	NoMulti                          // not inside a transaction
	AllowBusy                        // works while a script holds the server
	Module                           // comes from a module
	MovableKeys                      // first, last and step do not find all the keys
)

// flagNames lists the flags in the order of the constants, spelled as COMMAND spells them.
var flagNames = []string{
	"write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading", "stale", "skip_monitor",
	"skip_slowlog", "asking", "fast", "no_auth", "no_mandatory_keys", "no_async_loading", "no_multi", "allow_busy",
	"module", "movablekeys",
}

// Names returns the flags as COMMAND spells them.
func (f Flag) Names() []string { return bitNames(uint64(f), flagNames) }

func (f Flag) String() string { return strings.Join(f.Names(), " ") }

// ParseFlag returns the flag that COMMAND spells as name.
func ParseFlag(name string) (Flag, bool) {
	bit, ok := bitOf(name, flagNames)
	return Flag(bit), ok
}

// Category is a set of ACL categories.
type Category uint32

const (
	CatKeyspace Category = 1 << iota
	CatRead
	CatWrite
	CatSet
	CatSortedSet
	CatList
	CatHash
	CatString
	CatBitmap
	CatHyperLogLog
	CatGeo
	CatStream
	CatArray
	CatPubSub
	CatAdmin
	CatFast
	CatSlow
	CatBlocking
	CatDangerous
	CatConnection
	CatTransaction
	CatScripting
)

// categoryNames lists the categories in the order of the constants, as ACL CAT spells them.
var categoryNames = []string{
	"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
	"array", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
}

// Names returns the categories as ACL CAT spells them, without the "@".
func (c Category) Names() []string { return bitNames(uint64(c), categoryNames) }

func (c Category) String() string { return strings.Join(c.Names(), " ") }

// ParseCategory returns the category that ACL CAT spells as name, given without the "@".
func ParseCategory(name string) (Category, bool) {
	bit, ok := bitOf(name, categoryNames)
	return Category(bit), ok
}

// implied returns the categories that a server adds to those in a command's definition because of its flags.
func implied(f Flag, given Category) Category {
	cats := given
	if f&Write != 0 {
		cats |= CatWrite
	}
	if f&ReadOnly != 0 && given&CatScripting == 0 { // a read-only script is a script, not a read
		cats |= CatRead
	}
	if f&Admin != 0 {
		cats |= CatAdmin | CatDangerous
	}
	if f&PubSub != 0 {
		cats |= CatPubSub
	}
	if f&Blocking != 0 {
		cats |= CatBlocking
	}
	if f&Fast != 0 {
		return cats | CatFast
	}
	return cats | CatSlow
}

func bitNames(set uint64, names []string) []string {
	var out []string
	for i, name := range names {
		if set&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

func bitOf(name string, names []string) (uint64, bool) {
	for i := range names {
		if names[i] == name {
			return 1 << i, true
		}
	}
	return 0, false
}
