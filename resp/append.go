package resp

import (
	"math"
	"strconv"

	"github.com/tidwall/redcon"
)

// What RESP2 and RESP3 share is written by redcon. A proto argument is the version the client speaks, 2 or 3: where it
// is 2, a RESP3 type becomes what Redis makes of it for such a client.

// AppendArray begins an array of n elements.
func AppendArray(dst []byte, n int) []byte { return redcon.AppendArray(dst, n) }

// AppendBulk writes a bulk string.
func AppendBulk(dst, b []byte) []byte { return redcon.AppendBulk(dst, b) }

// AppendBulkString writes a bulk string.
func AppendBulkString(dst []byte, s string) []byte { return redcon.AppendBulkString(dst, s) }

// AppendInt writes an integer.
func AppendInt(dst []byte, n int64) []byte { return redcon.AppendInt(dst, n) }

// AppendSimple writes a simple string. CR and LF become spaces.
func AppendSimple(dst []byte, s string) []byte { return redcon.AppendString(dst, s) }

// AppendError writes an error; s begins with its code, such as ERR. CR and LF become spaces.
func AppendError(dst []byte, s string) []byte { return redcon.AppendError(dst, s) }

// AppendOK writes +OK.
func AppendOK(dst []byte) []byte { return redcon.AppendOK(dst) }

// AppendNull writes the absence of a value.
func AppendNull(dst []byte, proto int) []byte {
	if proto == 3 {
		return append(dst, "_\r\n"...)
	}
	return append(dst, "$-1\r\n"...)
}

// AppendNullArray writes the absence of an array, which RESP2 tells from that of a value.
func AppendNullArray(dst []byte, proto int) []byte {
	if proto == 3 {
		return append(dst, "_\r\n"...)
	}
	return append(dst, "*-1\r\n"...)
}

// AppendMap begins a map of n pairs, for RESP2 an array of twice as many elements.
func AppendMap(dst []byte, proto, n int) []byte {
	if proto == 3 {
		return appendHeader(dst, '%', n)
	}
	return AppendArray(dst, 2*n)
}

// AppendSet begins a set of n elements, for RESP2 an array.
func AppendSet(dst []byte, proto, n int) []byte {
	if proto == 3 {
		return appendHeader(dst, '~', n)
	}
	return AppendArray(dst, n)
}

// AppendPush begins an out-of-band message of n elements, for RESP2 an array.
func AppendPush(dst []byte, proto, n int) []byte {
	if proto == 3 {
		return appendHeader(dst, '>', n)
	}
	return AppendArray(dst, n)
}

// AppendAttribute begins n pairs of attributes of the reply that follows. RESP2 has no place for attributes: the caller
// leaves them out.
func AppendAttribute(dst []byte, n int) []byte { return appendHeader(dst, '|', n) }

// AppendBool writes a truth value, for RESP2 the integer 1 or 0.
func AppendBool(dst []byte, proto int, v bool) []byte {
	switch {
	case proto == 3 && v:
		return append(dst, "#t\r\n"...)
	case proto == 3:
		return append(dst, "#f\r\n"...)
	case v:
		return append(dst, ":1\r\n"...)
	}
	return append(dst, ":0\r\n"...)
}

// AppendDouble writes a floating point number with the digits it takes to read the same one back, for RESP2 as a bulk.
func AppendDouble(dst []byte, proto int, f float64) []byte {
	var text [32]byte
	b := appendFloat(text[:0], f)
	if proto != 3 {
		return AppendBulk(dst, b)
	}
	dst = append(dst, ',')
	dst = append(dst, b...)
	return append(dst, '\r', '\n')
}

func appendFloat(dst []byte, f float64) []byte {
	switch size := math.Abs(f); {
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case size != 0 && (size < 1e-6 || size >= 1e21):
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

// AppendVerbatim writes a text together with its format, three letters such as txt; RESP2 has only the text.
func AppendVerbatim(dst []byte, proto int, format, text string) []byte {
	if proto != 3 {
		return AppendBulkString(dst, text)
	}
	dst = appendHeader(dst, '=', len(format)+1+len(text))
	dst = append(dst, format...)
	dst = append(dst, ':')
	dst = append(dst, text...)
	return append(dst, '\r', '\n')
}

// AppendRequest writes a request.
func AppendRequest[T ~string | ~[]byte](dst []byte, args ...T) []byte {
	dst = AppendArray(dst, len(args))
	for _, a := range args {
		dst = appendHeader(dst, '$', len(a))
		dst = append(dst, a...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

func appendHeader(dst []byte, kind byte, n int) []byte {
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '\r', '\n')
}
