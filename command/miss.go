package command

import "bytes"

// Miss says what the reply of a command looks like when it has found nothing. Commands that have one count as reads of
// the keyspace, each a hit or a miss. Left out are those whose ordinary answers look like that (SISMEMBER, GETBIT,
// BITCOUNT), those that put several keys together, and those of which servers do not count the reads either.
type Miss uint8

const (
	Uncounted    Miss = iota
	MissNull          // null: GET
	MissEmpty         // null, 0, or nothing in it: HGETALL, LLEN, EXISTS
	MissEach          // an array with an element for each key, null for one that is not there: MGET
	MissNone          // an array of nothing but nulls: HMGET
	MissNegative      // -2, since 0 and -1 are times to live: TTL
	MissType          // the word none: TYPE
)

// Count tells how many hits and misses a reply stands for. An error is neither, nor is what a transaction answers to
// a command that it queues.
func (m Miss) Count(reply []byte) (hits, misses uint64) {
	missed := false
	switch reply[0] {
	case '-', '!':
		return 0, 0
	case '+':
		if m != MissType || string(reply) == "+QUEUED\r\n" {
			return 0, 0
		}
		missed = string(reply) == "+none\r\n"
	default:
		switch m {
		case MissNull:
			missed = isNull(reply)
		case MissEmpty:
			missed = isNull(reply) || isEmpty(reply)
		case MissNegative:
			missed = string(reply) == ":-2\r\n"
		case MissNone:
			hits, _ = countElements(reply, true)
			missed = hits == 0
		case MissEach:
			return countElements(reply, false)
		}
	}
	if missed {
		return 0, 1
	}
	return 1, 0
}

// isNull reports whether a reply is null, in either version of the protocol.
func isNull(reply []byte) bool {
	return reply[0] == '_' || (reply[0] == '$' || reply[0] == '*') && reply[1] == '-'
}

// isEmpty reports whether a reply is 0 or an aggregate without elements. An empty string is something.
func isEmpty(reply []byte) bool {
	switch reply[0] {
	case ':', '*', '%', '~':
		return reply[1] == '0'
	}
	return false
}

// countElements counts what is there and what is null in an array of strings, or with one only whether anything is
// there. It steps from header to header, since this is done for every reply.
func countElements(reply []byte, one bool) (there, null uint64) {
	i := bytes.IndexByte(reply, '\n') + 1
	for i > 0 && i+2 < len(reply) {
		switch {
		case reply[i] == '_':
			null++
			i += len("_\r\n")
			continue
		case reply[i+1] == '-' && (reply[i] == '$' || reply[i] == '*'):
			null++
			i += len("$-1\r\n")
			continue
		}
		there++
		if one || reply[i] != '$' { // what is in an array in it is of no interest
			break
		}
		length := 0
		for i++; i < len(reply) && reply[i] != '\r'; i++ {
			length = length*10 + int(reply[i]-'0')
		}
		if length < 0 || length > len(reply) {
			break
		}
		i += length + 2*len("\r\n")
	}
	return there, null
}
