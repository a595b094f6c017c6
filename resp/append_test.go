package resp

import (
	"math"
	"testing"
)

func TestAppend(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{string(AppendArray(nil, 0)), "*0\r\n"},
		{string(AppendArray(nil, 12)), "*12\r\n"},
		{string(AppendArray(nil, -1)), "*-1\r\n"},
		{string(AppendBulk(nil, []byte("a\r\nb"))), "$4\r\na\r\nb\r\n"},
		{string(AppendBulk(nil, nil)), "$0\r\n\r\n"},
		{string(AppendBulkString(nil, "0123456789")), "$10\r\n0123456789\r\n"},
		{string(AppendInt(nil, math.MinInt64)), ":-9223372036854775808\r\n"},
		{string(AppendInt(nil, 7)), ":7\r\n"},
		{string(AppendSimple(nil, "a\r\nb")), "+a  b\r\n"},
		{string(AppendError(nil, "ERR a\r\n-b")), "-ERR a  -b\r\n"},
		{string(AppendOK(nil)), "+OK\r\n"},
		{string(AppendNull(nil, 2)), "$-1\r\n"},
		{string(AppendNull(nil, 3)), "_\r\n"},
		{string(AppendNullArray(nil, 2)), "*-1\r\n"},
		{string(AppendNullArray(nil, 3)), "_\r\n"},
		{string(AppendMap(nil, 2, 3)), "*6\r\n"},
		{string(AppendMap(nil, 3, 3)), "%3\r\n"},
		{string(AppendSet(nil, 2, 3)), "*3\r\n"},
		{string(AppendSet(nil, 3, 3)), "~3\r\n"},
		{string(AppendPush(nil, 2, 3)), "*3\r\n"},
		{string(AppendPush(nil, 3, 3)), ">3\r\n"},
		{string(AppendAttribute(nil, 1)), "|1\r\n"},
		{string(AppendBool(nil, 2, true)), ":1\r\n"},
		{string(AppendBool(nil, 2, false)), ":0\r\n"},
		{string(AppendBool(nil, 3, true)), "#t\r\n"},
		{string(AppendBool(nil, 3, false)), "#f\r\n"},
		{string(AppendDouble(nil, 2, 0.1)), "$3\r\n0.1\r\n"},
		{string(AppendDouble(nil, 3, 0.1)), ",0.1\r\n"},
		{string(AppendDouble(nil, 3, 0)), ",0\r\n"},
		{string(AppendDouble(nil, 3, -3)), ",-3\r\n"},
		{string(AppendDouble(nil, 3, 1e20)), ",100000000000000000000\r\n"},
		{string(AppendDouble(nil, 3, 1e21)), ",1e+21\r\n"},
		{string(AppendDouble(nil, 3, 1e-7)), ",1e-07\r\n"},
		{string(AppendDouble(nil, 3, math.MaxFloat64)), ",1.7976931348623157e+308\r\n"},
		{string(AppendDouble(nil, 3, math.Inf(1))), ",inf\r\n"},
		{string(AppendDouble(nil, 2, math.Inf(-1))), "$4\r\n-inf\r\n"},
		{string(AppendDouble(nil, 3, math.NaN())), ",nan\r\n"},
		{string(AppendVerbatim(nil, 2, "txt", "abc")), "$3\r\nabc\r\n"},
		{string(AppendVerbatim(nil, 3, "txt", "abc")), "=7\r\ntxt:abc\r\n"},
		{string(AppendRequest(nil, "GET", "k")), "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"},
		{string(AppendRequest(nil, []byte("PING"))), "*1\r\n$4\r\nPING\r\n"},
	} {
		if c.got != c.want {
			t.Errorf("%q, not %q", c.got, c.want)
		}
	}
}
