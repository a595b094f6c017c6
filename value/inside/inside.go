// Package inside computes Redis's commands on a string value, or on the value
// of a hash field, that the proxy holds in memory. It is for values that the
// server can not look into: the proxy fetches such a value, opens it, computes
// here, and puts the outcome back. Replies are those of Redis, byte for byte.
package inside

import (
	"riptide-proxy/command"
	"riptide-proxy/resp"
)

// DefaultLimit is Redis's own limit for the length of a string, in bytes.
const DefaultLimit = 512 << 20

// Env is what a reply depends on besides the value and the arguments.
type Env struct {
	Proto  int            // 2 or 3: the protocol that the client speaks
	Limit  int            // longest string in bytes, proto-max-bulk-len; 0: DefaultLimit
	Server command.Server // whose behaviour to follow; the zero value is the newest Redis
}

func (e *Env) limit() int64 {
	if e.Limit == 0 {
		return DefaultLimit
	}
	return int64(e.Limit)
}

// redis8 tells how Redis behaves since 8.0; Valkey kept to how it was before.
func (e *Env) redis8() bool { return e.Server.Product == "" || e.Server.AtLeast("redis", 8, 0) }

// redis82 tells whether the operations of BITOP that Redis 8.2 brought are known.
func (e *Env) redis82() bool { return e.Server.Product == "" || e.Server.AtLeast("redis", 8, 2) }

// looksFirst tells whether BITCOUNT and BITPOS look at the value before they
// have read all arguments, so that a missing key, or a range that is empty in any
// value, hides what is wrong with them.
func (e *Env) looksFirst() bool {
	return e.Server.Product == "redis" && !e.Server.AtLeast("redis", 7, 2)
}

// valkey8 tells whether BITCOUNT takes a range without an end.
func (e *Env) valkey8() bool { return e.Server.AtLeast("valkey", 8, 0) }

// Result is a command's outcome.
type Result struct {
	Reply []byte // in the client's protocol
	// Value is what is to be stored, if Changed. It never shares memory with the old value.
	Value []byte
	// Changed tells that the value has to be stored: it is new, or Redis counts
	// it as modified, though some commands may store what was there already.
	Changed bool
}

// Func computes one command on the value old; exists tells whether the key, or
// the hash's field, is there at all; if not, old is empty. args begin with the command's name, and
// there are as many as the command's arity asks for. Neither old nor args are
// altered.
type Func func(old []byte, exists bool, args [][]byte, env Env) Result

var functions = map[string]Func{
	"append":       appendTo,
	"getrange":     getRange,
	"substr":       getRange,
	"setrange":     setRange,
	"strlen":       length,
	"getbit":       getBit,
	"setbit":       setBit,
	"bitcount":     bitCount,
	"bitpos":       bitPos,
	"bitfield":     bitField,
	"bitfield_ro":  bitFieldRO,
	"incr":         increment,
	"decr":         decrement,
	"incrby":       incrementBy,
	"decrby":       decrementBy,
	"incrbyfloat":  incrementByFloat,
	"hincrby":      hashIncrementBy,
	"hincrbyfloat": hashIncrementByFloat,
	"hstrlen":      length,
}

// Lookup returns the function that computes a command, whose name is in lower
// case, or nil if it is none of those that this package computes.
func Lookup(command string) Func { return functions[command] }

const (
	errSyntax     = "syntax error"
	errNotInteger = "value is not an integer or out of range"
	errNotFloat   = "value is not a valid float"
	errTooLong    = "string exceeds maximum allowed size (proto-max-bulk-len)"
	errOffset     = "bit offset is not an integer or out of range"
)

func appendError(dst []byte, text string) []byte { return resp.AppendError(dst, "ERR "+text) }

func failed(text string) Result { return Result{Reply: appendError(nil, text)} }

func integer(n int64) Result { return Result{Reply: resp.AppendInt(nil, n)} }

func bulk(b []byte) Result { return Result{Reply: resp.AppendBulk(nil, b)} }

// is compares an argument with a keyword in lower case, as Redis does: without
// regard to case, and only up to a zero byte.
func is(arg []byte, word string) bool {
	arg = untilZero(arg)
	if len(arg) != len(word) {
		return false
	}
	for i, c := range arg {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// untilZero cuts an argument where a string of C ends.
func untilZero(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}

// tooLong reports whether a string of size bytes, to which more are added, would be longer than allowed.
func (e *Env) tooLong(size, more int64) bool {
	total := size + more
	return total > e.limit() || total < size || total < more
}

// grown returns a copy of a value that is at least size bytes long, filled up with zeros.
func grown(old []byte, size int64) []byte {
	b := make([]byte, max(size, int64(len(old))))
	copy(b, old)
	return b
}
