package inside

import "riptide-proxy/resp"

type bitOpcode byte

const (
	bitGet bitOpcode = iota
	bitSet
	bitIncrement
)

type overflow byte

const (
	overflowWrap overflow = iota
	overflowSaturate
	overflowFail
)

// fieldOp is one operation of BITFIELD.
type fieldOp struct {
	code   bitOpcode
	mode   overflow
	signed bool
	width  int   // 1 to 64 bits, unsigned to 63
	offset int64 // in bits
	value  int64 // to set or to add
}

const errFieldType = "Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."

// parseFields reads BITFIELD's operations, and the highest bit that they write, -1 if none does.
func (e *Env) parseFields(args [][]byte) (ops []fieldOp, highest int64, problem string) {
	mode, highest := overflowWrap, -1
	for len(args) > 0 {
		name, rest := args[0], len(args)-1
		op, used := fieldOp{mode: mode}, 4
		switch {
		case is(name, "get") && rest >= 2:
			op.code, used = bitGet, 3
		case is(name, "set") && rest >= 3:
			op.code = bitSet
		case is(name, "incrby") && rest >= 3:
			op.code = bitIncrement
		case is(name, "overflow") && rest >= 1:
			var ok bool
			if mode, ok = overflowMode(args[1]); !ok {
				return nil, 0, "Invalid OVERFLOW type specified"
			}
			args = args[2:]
			continue
		default:
			return nil, 0, errSyntax
		}
		var ok bool
		if op.signed, op.width, ok = fieldType(args[1]); !ok {
			return nil, 0, errFieldType
		}
		if op.offset, ok = e.bitOffset(args[2], int64(op.width)); !ok {
			return nil, 0, errOffset
		}
		if op.code != bitGet {
			highest = max(highest, op.offset+int64(op.width)-1)
			if op.value, ok = resp.ParseInt(args[3]); !ok {
				return nil, 0, errNotInteger
			}
		}
		ops = append(ops, op)
		args = args[used:]
	}
	return ops, highest, ""
}

func overflowMode(arg []byte) (overflow, bool) {
	switch {
	case is(arg, "wrap"):
		return overflowWrap, true
	case is(arg, "sat"):
		return overflowSaturate, true
	}
	return overflowFail, is(arg, "fail")
}

// fieldType reads a type such as i16 or u8.
func fieldType(arg []byte) (signed bool, width int, ok bool) {
	arg = untilZero(arg)
	if len(arg) == 0 || arg[0] != 'i' && arg[0] != 'u' {
		return false, 0, false
	}
	signed = arg[0] == 'i'
	n, ok := resp.ParseInt(arg[1:])
	if !ok || n < 1 || n > 64 || !signed && n > 63 {
		return false, 0, false
	}
	return signed, int(n), true
}

// bitField is BITFIELD key [operation ...].
func bitField(old []byte, exists bool, args [][]byte, env Env) Result {
	return fields(old, exists, args, env, false)
}

// bitFieldRO is BITFIELD_RO key [GET type offset ...].
func bitFieldRO(old []byte, exists bool, args [][]byte, env Env) Result {
	return fields(old, exists, args, env, true)
}

func fields(old []byte, exists bool, args [][]byte, env Env, readOnly bool) Result {
	ops, highest, problem := env.parseFields(args[2:])
	if problem != "" {
		return failed(problem)
	}
	value, changed := old, false
	if highest >= 0 {
		if readOnly {
			return failed("BITFIELD_RO only supports the GET subcommand")
		}
		// The string is made as long as needed even if every operation fails.
		value = grown(old, highest>>3+1)
		changed = !exists || len(value) != len(old)
	}
	reply := resp.AppendArray(nil, len(ops))
	for i := range ops {
		n, wrote, ok := ops[i].apply(value)
		changed = changed || wrote
		if ok {
			reply = resp.AppendInt(reply, n)
		} else {
			reply = resp.AppendNull(reply, env.Proto)
		}
	}
	if !changed {
		value = nil
	}
	return Result{reply, value, changed}
}

// apply carries out an operation and returns what to reply; not ok is null.
// wrote tells whether the field is another than before.
func (op *fieldOp) apply(value []byte) (n int64, wrote, ok bool) {
	before := op.load(value)
	if op.code == bitGet {
		return before, false, true
	}
	from, by := op.value, int64(0)
	if op.code == bitIncrement {
		from, by = before, op.value
	}
	var after int64
	if op.signed {
		after, ok = op.addSigned(from, by)
	} else {
		after, ok = op.addUnsigned(uint64(from), by)
	}
	if !ok {
		return 0, false, false
	}
	op.store(value, after)
	if op.code == bitSet {
		return before, before != after, true
	}
	return after, before != after, true
}

// load reads the field. Bits behind the value's end are 0.
func (op *fieldOp) load(b []byte) int64 {
	var n uint64
	first := op.offset >> 3
	for i := range int64(9) {
		at := first + i
		var c byte
		if at < int64(len(b)) {
			c = b[at]
		}
		// The field's first bit is the highest one of n, until all are in.
		if shift := 56 - 8*i + op.offset&7; shift >= 0 {
			n |= uint64(c) << shift
		} else {
			n |= uint64(c) >> -shift
		}
	}
	if op.signed {
		return int64(n) >> (64 - op.width)
	}
	return int64(n >> (64 - op.width))
}

// store writes the field, all of which is inside the value.
func (op *fieldOp) store(b []byte, n int64) {
	for i := range op.width {
		at := op.offset + int64(i)
		mask := byte(1) << (7 - at&7)
		b[at>>3] &^= mask
		if n>>(op.width-1-i)&1 == 1 {
			b[at>>3] |= mask
		}
	}
}

// addSigned adds to a number, which need not fit either. It is not ok if the
// outcome does not fit and the mode is to fail.
func (op *fieldOp) addSigned(n, by int64) (int64, bool) {
	highest := int64(uint64(1)<<(op.width-1) - 1)
	lowest := -highest - 1
	// These may wrap where they decide nothing, and for a number far too low,
	// where Redis takes the highest one too.
	room, down := highest-n, lowest-n
	var limit int64
	switch {
	case n > highest, op.width < 64 && by > room, n >= 0 && by > 0 && by > room:
		limit = highest
	case n < lowest, op.width < 64 && by < down, n < 0 && by < 0 && by < down:
		limit = lowest
	default:
		return n + by, true
	}
	switch op.mode {
	case overflowFail:
		return 0, false
	case overflowSaturate:
		return limit, true
	}
	unused := 64 - op.width
	return (n + by) << unused >> unused, true
}

func (op *fieldOp) addUnsigned(n uint64, by int64) (int64, bool) {
	highest := uint64(1)<<op.width - 1
	var limit uint64
	switch {
	case n > highest, by > 0 && uint64(by) > highest-n:
		limit = highest
	case by < 0 && by < -int64(n):
		limit = 0
	default:
		return int64(n + uint64(by)), true
	}
	switch op.mode {
	case overflowFail:
		return 0, false
	case overflowSaturate:
		return int64(limit), true
	}
	return int64((n + uint64(by)) & highest), true
}
