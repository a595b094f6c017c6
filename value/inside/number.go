package inside

import (
	"math"
	"math/big"
	"strconv"

	"riptide-proxy/resp"
)

const errOverflow = "increment or decrement would overflow"

// add adds to an integer; a missing one is 0. invalid is what to say if the old value is none.
func add(old []byte, exists bool, by int64, invalid string) Result {
	var n int64
	if exists {
		var ok bool
		if n, ok = resp.ParseInt(old); !ok {
			return failed(invalid)
		}
	}
	sum := n + by
	if (sum > n) != (by > 0) && by != 0 {
		return failed(errOverflow)
	}
	return Result{resp.AppendInt(nil, sum), strconv.AppendInt(nil, sum, 10), true}
}

// increment is INCR key.
func increment(old []byte, exists bool, _ [][]byte, _ Env) Result {
	return add(old, exists, 1, errNotInteger)
}

// decrement is DECR key.
func decrement(old []byte, exists bool, _ [][]byte, _ Env) Result {
	return add(old, exists, -1, errNotInteger)
}

// incrementBy is INCRBY key increment.
func incrementBy(old []byte, exists bool, args [][]byte, _ Env) Result {
	by, ok := resp.ParseInt(args[2])
	if !ok {
		return failed(errNotInteger)
	}
	return add(old, exists, by, errNotInteger)
}

// decrementBy is DECRBY key decrement.
func decrementBy(old []byte, exists bool, args [][]byte, _ Env) Result {
	by, ok := resp.ParseInt(args[2])
	if !ok {
		return failed(errNotInteger)
	}
	if by == math.MinInt64 {
		return failed("decrement would overflow")
	}
	return add(old, exists, -by, errNotInteger)
}

// hashIncrementBy is HINCRBY key field increment.
func hashIncrementBy(old []byte, exists bool, args [][]byte, _ Env) Result {
	by, ok := resp.ParseInt(args[3])
	if !ok {
		return failed(errNotInteger)
	}
	return add(old, exists, by, "hash value is not an integer")
}

// incrementByFloat is INCRBYFLOAT key increment.
func incrementByFloat(old []byte, exists bool, args [][]byte, _ Env) Result {
	by, ok := parseFloat(args[2])
	if !ok {
		return failed(errNotFloat)
	}
	return addFloat(old, exists, by, errNotFloat)
}

// hashIncrementByFloat is HINCRBYFLOAT key field increment.
func hashIncrementByFloat(old []byte, exists bool, args [][]byte, _ Env) Result {
	by, ok := parseFloat(args[3])
	if !ok {
		return failed(errNotFloat)
	}
	if by.IsInf() {
		return failed("value is NaN or Infinity")
	}
	return addFloat(old, exists, by, "hash value is not a float")
}

func addFloat(old []byte, exists bool, by *big.Float, invalid string) Result {
	n := newFloat()
	if exists {
		var ok bool
		if n, ok = parseFloat(old); !ok {
			return failed(invalid)
		}
	}
	sum, ok := sumOf(n, by)
	if !ok {
		return failed("increment would produce NaN or Infinity")
	}
	text := appendFloat(nil, sum)
	return Result{resp.AppendBulk(nil, text), text, true}
}
