package inside

import (
	"bytes"
	"strings"
	"testing"

	"riptide-proxy/command"
)

var (
	redis70 = command.Server{Product: "redis", Major: 7, Minor: 0}
	redis74 = command.Server{Product: "redis", Major: 7, Minor: 4}
	redis80 = command.Server{Product: "redis", Major: 8, Minor: 0}
	valkey8 = command.Server{Product: "valkey", Major: 8, Minor: 1}
)

// TestCommands has what no server at hand shows: the limit, and what versions do differently.
func TestCommands(t *testing.T) {
	const missing = "(missing)"
	tests := []struct {
		server  command.Server
		old     string
		request string
		reply   string
		value   string // if changed
	}{
		{redis70, "", "APPEND k x", ":1", "x"},
		{redis70, missing, "APPEND k x", ":1", "x"},
		{redis70, "12345678", "APPEND k 12345678", ":16", "1234567812345678"},
		{redis70, "12345678", "APPEND k 123456789", "-ERR " + errTooLong, ""},
		{redis70, missing, "SETRANGE k 15 x", ":16", strings.Repeat("\x00", 15) + "x"},
		{redis70, missing, "SETRANGE k 16 x", "-ERR " + errTooLong, ""},
		{redis70, missing, "SETRANGE k 9223372036854775807 x", "-ERR " + errTooLong, ""},
		{redis70, missing, "SETRANGE k -1 x", "-ERR offset is out of range", ""},
		{redis70, missing, "SETBIT k 127 1", ":0", strings.Repeat("\x00", 15) + "\x01"},
		{redis70, missing, "SETBIT k 128 1", "-ERR " + errOffset, ""},
		{redis70, missing, "SETBIT k 0 0", ":0", "\x00"},
		{redis70, "\x80", "SETBIT k 0 1", ":1", ""},
		{redis70, "hello", "GETRANGE k 0 -100", "$1\r\nh", ""},
		{valkey8, "hello", "GETRANGE k 0 -100", "$1\r\nh", ""},
		{redis80, "hello", "GETRANGE k 0 -100", "$0\r\n", ""},
		{redis80, "hello", "SUBSTR k 0 -5", "$1\r\nh", ""},
		{command.Server{}, "hello", "GETRANGE k 0 -6", "$0\r\n", ""},
		{redis70, missing, "BITCOUNT k a b", ":0", ""},
		{redis74, missing, "BITCOUNT k a b", "-ERR " + errNotInteger, ""},
		{redis70, missing, "BITPOS k 1 a", ":-1", ""},
		{redis74, missing, "BITPOS k 1 a", "-ERR " + errNotInteger, ""},
		{redis74, "\xff\xff", "BITCOUNT k 1", "-ERR syntax error", ""},
		{valkey8, "\xff\xff", "BITCOUNT k 1", ":8", ""},
		{redis70, "\xff\xff", "BITPOS k 0", ":16", ""},
		{redis70, "\xff\xff", "BITPOS k 0 0 -1", ":-1", ""},
		{redis70, missing, "BITFIELD k OVERFLOW FAIL SET u1 8 2", "*1\r\n$-1", "\x00\x00"},
		{redis70, missing, "BITFIELD k GET u8 0", "*1\r\n:0", ""},
		{redis70, missing, "BITFIELD_RO k SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand", ""},
		{redis70, "9223372036854775807", "INCR k", "-ERR increment or decrement would overflow", ""},
		{redis70, "0", "DECRBY k -9223372036854775808", "-ERR decrement would overflow", ""},
		{redis70, "10.50", "INCRBYFLOAT k 0.1", "$4\r\n10.6", "10.6"},
		{redis70, "5.0e3", "INCRBYFLOAT k 2.0e2", "$4\r\n5200", "5200"},
		{redis70, "1", "INCRBYFLOAT k inf", "-ERR increment would produce NaN or Infinity", ""},
		{redis70, "1", "HINCRBYFLOAT k f inf", "-ERR value is NaN or Infinity", ""},
		{redis70, "x", "HINCRBYFLOAT k f 1", "-ERR hash value is not a float", ""},
		{redis70, "x", "HINCRBY k f 1", "-ERR hash value is not an integer", ""},
		{redis70, missing, "HINCRBY k f 5", ":5", "5"},
	}
	for _, tt := range tests {
		args := bytesOf(strings.Split(tt.request, " "))
		var old []byte
		if tt.old != missing {
			old = []byte(tt.old)
		}
		before := bytes.Clone(old)
		r := Lookup(strings.ToLower(string(args[0])))(old, tt.old != missing, args, Env{Proto: 2, Limit: 16, Server: tt.server})
		if got := string(r.Reply); got != tt.reply+"\r\n" || string(r.Value) != tt.value || r.Changed != (tt.value != "") {
			t.Errorf("%s on %q: %q, %q, changed %v", tt.request, tt.old, got, r.Value, r.Changed)
		}
		if !bytes.Equal(old, before) {
			t.Errorf("%s altered the value", tt.request)
		}
	}
	if Lookup("get") != nil {
		t.Error("GET is computed")
	}
}

func TestBitOp(t *testing.T) {
	a, b, c := "\xf0\x0f\xff", "\xaa\xaa", "\xcc"
	tests := []struct {
		server  command.Server
		op      string
		sources []string
		result  string
		problem string
	}{
		{redis70, "AND", []string{a, b, c}, "\x80\x00\x00", ""},
		{redis70, "or", []string{b, a, c}, "\xfe\xaf\xff", ""},
		{redis70, "Xor", []string{b, a, ""}, "\x5a\xa5\xff", ""},
		{redis70, "NOT", []string{a}, "\x0f\xf0\x00", ""},
		{redis70, "NOT", []string{a, b}, "", "BITOP NOT must be called with a single source key."},
		{redis70, "AND", []string{"", ""}, "", ""},
		{redis80, "DIFF", []string{a, b}, "", "syntax error"},
		{command.Server{}, "DIFF", []string{a, b, c}, "\x10\x05\xff", ""},
		{command.Server{}, "DIFF1", []string{a, b, c}, "\x0e\xa0\x00", ""},
		{command.Server{}, "ANDOR", []string{a, b, c}, "\xe0\x0a\x00", ""},
		{command.Server{}, "one", []string{a, b, c}, "\x16\xa5\xff", ""},
		{command.Server{}, "one", []string{a, a, a}, "\x00\x00\x00", ""},
		{command.Server{}, "one", []string{a}, a, ""},
		{command.Server{}, "andor", []string{a}, "", "BITOP ANDOR must be called with at least two source keys."},
	}
	for _, tt := range tests {
		result, err := BitOp([]byte(tt.op), bytesOf(tt.sources), Env{Server: tt.server})
		problem := ""
		if err != nil {
			problem = err.Error()
		}
		if string(result) != tt.result || problem != tt.problem {
			t.Errorf("%s of %q: %q, %q", tt.op, tt.sources, result, problem)
		}
	}
}

func TestLCS(t *testing.T) {
	tests := []struct{ a, b, options, reply string }{
		{"ohmytext", "mynewtext", "", "$6\r\nmytext"},
		{"ohmytext", "mynewtext", " LEN", ":6"},
		{"ohmytext", "mynewtext", " IDX MINMATCHLEN 4 WITHMATCHLEN", "%2\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n$3\r\nlen\r\n:6"},
		{"", "x", "", "$0\r\n"},
		{"x", "x", " LEN IDX", "-ERR If you want both the length and indexes, please just use IDX."},
		{strings.Repeat("x", 15), strings.Repeat("x", 15), " LEN", ":15"},
		{strings.Repeat("x", 16), strings.Repeat("x", 15), "", "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"},
	}
	for _, tt := range tests {
		args := bytesOf(strings.Split("LCS a b"+tt.options, " "))
		got := LCS([]byte(tt.a), []byte(tt.b), args, Env{Proto: 3, Limit: 1024})
		if string(got) != tt.reply+"\r\n" {
			t.Errorf("%s of %q and %q: %q", args, tt.a, tt.b, got)
		}
	}
}
