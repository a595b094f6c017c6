package inside

import "riptide-proxy/resp"

// appendTo is APPEND key value.
func appendTo(old []byte, exists bool, args [][]byte, env Env) Result {
	more := args[2]
	if exists && env.tooLong(int64(len(old)), int64(len(more))) {
		return failed(errTooLong)
	}
	value := make([]byte, 0, len(old)+len(more))
	value = append(append(value, old...), more...)
	return Result{resp.AppendInt(nil, int64(len(value))), value, true}
}

// length is STRLEN key, and HSTRLEN key field.
func length(old []byte, _ bool, _ [][]byte, _ Env) Result { return integer(int64(len(old))) }

// setRange is SETRANGE key offset value.
func setRange(old []byte, _ bool, args [][]byte, env Env) Result {
	offset, ok := resp.ParseInt(args[2])
	if !ok {
		return failed(errNotInteger)
	}
	if offset < 0 {
		return failed("offset is out of range")
	}
	patch := args[3]
	if len(patch) == 0 {
		return integer(int64(len(old)))
	}
	if env.tooLong(offset, int64(len(patch))) {
		return failed(errTooLong)
	}
	value := grown(old, offset+int64(len(patch)))
	copy(value[offset:], patch)
	return Result{resp.AppendInt(nil, int64(len(value))), value, true}
}

// getRange is GETRANGE key start end, and SUBSTR.
func getRange(old []byte, _ bool, args [][]byte, env Env) Result {
	start, ok1 := resp.ParseInt(args[2])
	end, ok2 := resp.ParseInt(args[3])
	if !ok1 || !ok2 {
		return failed(errNotInteger)
	}
	size := int64(len(old))
	if env.redis8() && end < -size {
		return bulk(nil) // before, the end became the first byte
	}
	start, end, ok := span(start, end, size)
	if !ok {
		return bulk(nil)
	}
	return bulk(old[start : end+1])
}

// span makes a range out of the first and the last index that a client gave
// for something of the given size, where a negative index counts from the end.
// It is not ok if the range is empty.
func span(start, end, size int64) (_, _ int64, ok bool) {
	if start < 0 && end < 0 && start > end {
		return 0, 0, false
	}
	return clamp(start, end, size)
}

// clamp is span without the rule that a negative range the wrong way round is
// empty, whatever the size.
func clamp(start, end, size int64) (_, _ int64, ok bool) {
	if start < 0 {
		start = max(start+size, 0)
	}
	if end < 0 {
		end = max(end+size, 0)
	}
	end = min(end, size-1)
	return start, end, start <= end
}
