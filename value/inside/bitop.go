package inside

import "strings"

// Problem is an error of a command: what follows ERR in the reply.
type Problem string

func (p Problem) Error() string { return string(p) }

type bitOp byte

const (
	opAnd bitOp = iota
	opOr
	opXor
	opNot
	opDiff  // in the first, in none of the others
	opDiff1 // in one of the others, not in the first
	opAndOr // in the first, and in one of the others
	opOne   // in exactly one of all
)

var bitOps = []string{opAnd: "and", opOr: "or", opXor: "xor", opNot: "not", opDiff: "diff", opDiff1: "diff1", opAndOr: "andor", opOne: "one"}

// BitOp computes BITOP's result of some values, a missing one being empty. The
// values are padded with zeros to the length of the longest. If the result is
// empty, the destination is to be deleted. The error is a Problem.
func BitOp(op []byte, sources [][]byte, env Env) ([]byte, error) {
	known := bitOps
	if !env.redis82() {
		known = bitOps[:opDiff]
	}
	code := bitOp(len(known))
	for i, name := range known {
		if is(op, name) {
			code = bitOp(i)
		}
	}
	switch code {
	case bitOp(len(known)):
		return nil, Problem(errSyntax)
	case opNot:
		if len(sources) != 1 {
			return nil, Problem("BITOP NOT must be called with a single source key.")
		}
	case opDiff, opDiff1, opAndOr:
		if len(sources) < 2 {
			return nil, Problem("BITOP " + strings.ToUpper(bitOps[code]) + " must be called with at least two source keys.")
		}
	}
	return code.apply(sources), nil
}

func (op bitOp) apply(sources [][]byte) []byte {
	size, least := 0, len(sources[0])
	for _, s := range sources {
		size, least = max(size, len(s)), min(least, len(s))
	}
	result := make([]byte, size)
	copy(result, sources[0])
	var others []byte // the first source is not like the others, or which bits are in several of them
	switch op {
	case opDiff, opDiff1, opAndOr, opOne:
		others = make([]byte, size)
	}
	for _, s := range sources[1:] {
		switch op {
		case opAnd:
			for i, c := range s {
				result[i] &= c
			}
		case opOr:
			for i, c := range s {
				result[i] |= c
			}
		case opXor:
			for i, c := range s {
				result[i] ^= c
			}
		case opOne:
			for i, c := range s {
				others[i] |= result[i] & c
				result[i] |= c
			}
		default:
			for i, c := range s {
				others[i] |= c
			}
		}
	}
	switch op {
	case opAnd:
		clear(result[least:])
	case opNot:
		for i, c := range result {
			result[i] = ^c
		}
	case opDiff, opOne:
		for i, c := range others {
			result[i] &^= c
		}
	case opDiff1:
		for i, c := range others {
			result[i] = c &^ result[i]
		}
	case opAndOr:
		for i, c := range others {
			result[i] &= c
		}
	}
	return result
}
