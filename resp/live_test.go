package resp

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// The tests in this file hold the scanner against a redis-server.

// liveServer is a redis-server that listens on a unix socket for the time of a test.
type liveServer struct{ socket string }

func startServer(t *testing.T, options ...string) liveServer {
	t.Helper()
	// A socket's path may not be long, which that of t.TempDir can be.
	dir, err := os.MkdirTemp("", "resp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := liveServer{filepath.Join(dir, "s")}
	harness.StartRedis(t, append([]string{"--unixsocket", s.socket}, options...)...)
	return s
}

// ask sends in and nothing more, and returns what is answered up to the end of the connection. The server may leave out
// what it cannot write at once.
func (s liveServer) ask(t *testing.T, in []byte) []byte {
	t.Helper()
	return s.talk(t, in, true)
}

// askAll sends in, and then asks the server to close the connection after the last answer.
func (s liveServer) askAll(t *testing.T, in []byte) []byte {
	t.Helper()
	return s.talk(t, append(in, "QUIT\n"...), false)
}

func (s liveServer) talk(t *testing.T, in []byte, end bool) []byte {
	t.Helper()
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	// The server may close before it has read everything, when it already had enough of it.
	if _, err := c.Write(in); err == nil && end {
		_ = c.(*net.UnixConn).CloseWrite()
	}
	out, err := io.ReadAll(c)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Fatalf("%q: no end of the answer", clip(in))
	}
	return out
}

// protocolError is the protocol error that the answer ends with, "" for none.
func protocolError(answer []byte) string {
	const mark = "-ERR Protocol error: "
	at := bytes.LastIndex(answer, []byte(mark))
	if at < 0 {
		return ""
	}
	return string(bytes.TrimSuffix(answer[at+len("-ERR "):], []byte("\r\n")))
}

// scanAll scans one request after the other, and returns the error that ends it, "" for none.
func scanAll(in []byte, lim *Limits) string {
	var r Request
	for len(in) > 0 {
		r.Reset()
		n, err := r.Scan(in, lim)
		if err != nil {
			return err.Error()
		}
		if n == 0 {
			break
		}
		in = in[n:]
	}
	return ""
}

// redisLimits are those of Redis 7, which lets an array be as long as an int.
func redisLimits() Limits {
	return Limits{Args: math.MaxInt32, Bulk: maxBulk, Request: MaxRequest}
}

func TestProtocolErrorsAreThoseOfRedis(t *testing.T) {
	digits := strings.Repeat("1", maxLine)
	cases := []string{
		"*1\r\n$4\r\nPING\r\n", "*0\r\n", "*-1\r\n*-5\r\n*-9223372036854775808\r\n", "\r\n\n  \n", "PING\r\n", "PING\n",
		"*-0\r\n", "*+1\r\n", "*01\r\n", "*\r\n", "* 1\r\n", "*1 \r\n", "*a\r\n", "*-\r\n",
		"*2147483647\r\n", "*2147483648\r\n", "*9223372036854775807\r\n", "*9223372036854775808\r\n", "*-9223372036854775809\r\n",
		"*10\r\n", "*11\r\n",
		"*" + digits[1:], "*" + digits, "*" + digits + "1", "*" + digits[10:] + "\r\n",
		"*1\r\n$" + digits[1:], "*1\r\n$" + digits, "*1\r\nX" + digits[1:], "*1\r\nX" + digits, "*1\r\n$" + digits[10:] + "\r\n",
		"*1\r\nX", "*1\r\nX\r", "*1\r\nX\r\n", "*1\r\n\r\n", "*1\r\n+OK\r\n", "*1\r\n:1\r\n", "*2\r\n$4\r\nPING\r\n*1\r\n",
		"*1\r\n$\r\n", "*1\r\n$-1\r\n", "*1\r\n$-0\r\n", "*1\r\n$+1\r\n", "*1\r\n$01\r\n", "*1\r\n$ 1\r\n", "*1\r\n$x\r\n",
		"*1\r\n$0\r\n\r\n", "*1\r\n$16384\r\n", "*1\r\n$16385\r\n", "*1\r\n$536870912\r\n", "*1\r\n$536870913\r\n",
		"*1\r\n$4294967296\r\n", "*1\r\n$9223372036854775808\r\n",
		digits, digits + "1", "PING " + strings.Repeat("a ", 20) + "\r\n", "PING " + digits[100:] + "\r\n",
		"\"a\r\n", "'a\r\n", "\"a\"b\r\n", "'a'b\r\n", "a\"b\r\n", "\"a\\\r\n", "PING \"a\\\"\r\n",
	}
	for c := 1; c < 256; c++ {
		cases = append(cases, "*1\r\n"+string([]byte{byte(c)})+"\r\n")
	}
	open := redisLimits()
	closed := UnauthenticatedLimits()
	for _, c := range []struct {
		name   string
		server liveServer
		lim    *Limits
	}{
		{"authenticated", startServer(t), &open},
		{"unauthenticated", startServer(t, "--requirepass", "secret"), &closed},
	} {
		for _, in := range cases {
			want := protocolError(c.server.ask(t, []byte(in)))
			if got := scanAll([]byte(in), c.lim); got != want {
				t.Errorf("%s: %q: %q, but Redis says %q", c.name, clip([]byte(in)), got, want)
			}
			if got := scanPieces(t, []byte(in), c.lim, func() int { return 1 + len(in)/20 }).err; got != "" && got != want {
				t.Errorf("%s: %q in pieces: %q, but Redis says %q", c.name, clip([]byte(in)), got, want)
			}
		}
	}
}

// Redis and the scanner say the same about whatever can be made of the protocol's tokens.
func TestRandomRequestsAgainstRedis(t *testing.T) {
	server := startServer(t)
	lim := redisLimits()
	tokens := []string{"*", "$", "\r\n", "\r\n", "\r\n", "0", "1", "2", "4", "-", "+", " ", "'", "\"", "\\", "PING", "*1\r\n$4\r\nPING\r\n", "*2\r\n", "$1\r\n", "a\r\n", "$4\r\n"}
	rnd := rand.New(rand.NewPCG(5, 6))
	refused := 0
	for range 3000 {
		var in []byte
		for range 1 + rnd.IntN(10) {
			in = append(in, tokens[rnd.IntN(len(tokens))]...)
		}
		got := scanAll(in, &lim)
		if got == ErrBulkEnd.Error() {
			continue // Redis does not look at what follows an argument
		}
		if want := protocolError(server.ask(t, in)); got != want {
			t.Errorf("%q: %q, but Redis says %q", in, got, want)
		}
		if got != "" {
			refused++
		}
	}
	if refused < 500 {
		t.Errorf("only %d requests were refused, the tokens are badly chosen", refused)
	}
}

// Redis splits a line into the same words: a script returns those it got.
func TestInlineWordsAgainstRedis(t *testing.T) {
	server := startServer(t)
	lim := redisLimits()
	tokens := []string{"a", "b", "\"", "\"", "'", "'", "\\", "\\x4", "\\x41", "\\n", "\\a", " ", " ", "\t", "\v", "\f", "\r", "\xff", "\x01", "\\\"", "\\'", "0", "g"}
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 3000 {
		in := []byte("EVAL 'return ARGV' 0 ")
		for range rnd.IntN(9) {
			in = append(in, tokens[rnd.IntN(len(tokens))]...)
		}
		in = append(in, '\n')
		answer := string(server.ask(t, in))
		got := scanWhole(in, &lim)
		want := ""
		switch {
		case got.err != "":
			want = fmt.Sprintf("-ERR %s\r\n", got.err)
		default:
			want = string(AppendRequest(nil, got.args[3:]...))
		}
		if answer != want {
			t.Errorf("%q: %q, but Redis answers %q", in, want, answer)
		}
	}
}

// What the Append functions write for either protocol is what Redis writes.
func TestAppendAgainstRedis(t *testing.T) {
	server := startServer(t, "--enable-debug-command", "yes")
	for proto := 2; proto <= 3; proto++ {
		for _, c := range []struct {
			kind string
			want []byte
		}{
			{"string", AppendBulkString(nil, "Hello World")},
			{"integer", AppendInt(nil, 12345)},
			{"double", AppendDouble(nil, proto, 3.141)},
			{"null", AppendNull(nil, proto)},
			{"array", AppendInt(AppendInt(AppendInt(AppendArray(nil, 3), 0), 1), 2)},
			{"set", AppendInt(AppendInt(AppendInt(AppendSet(nil, proto, 3), 0), 1), 2)},
			{"map", appendPairs(AppendMap(nil, proto, 3), proto)},
			{"true", AppendBool(nil, proto, true)},
			{"false", AppendBool(nil, proto, false)},
			{"verbatim", AppendVerbatim(nil, proto, "txt", "This is a verbatim\nstring")},
		} {
			in := fmt.Appendf(nil, "HELLO %d\nECHO ready\nDEBUG PROTOCOL %s\n", proto, c.kind)
			_, got, found := bytes.Cut(server.ask(t, in), []byte("$5\r\nready\r\n"))
			if !found || !bytes.Equal(got, c.want) {
				t.Errorf("RESP%d %s: %q, but Redis writes %q", proto, c.kind, c.want, got)
			}
		}
	}
}

func appendPairs(dst []byte, proto int) []byte {
	for i := range int64(3) {
		dst = AppendBool(AppendInt(dst, i), proto, i == 1)
	}
	return dst
}

// The ends of real replies are found, and Rewrite takes them apart and puts them together again.
func TestRepliesOfRedis(t *testing.T) {
	server := startServer(t, "--enable-debug-command", "yes")
	commands := []string{
		"RPUSH list a b c", "LRANGE list 0 -1", "HSET hash f v g w", "HGETALL hash", "ZADD z 1.5 a 2 b", "ZRANGE z 0 -1 WITHSCORES",
		"XADD s 1-1 a b", "XADD s 1-2 c d", "XRANGE s - +", "XREAD STREAMS s 0", "XINFO STREAM s FULL", "GET none", "BLPOP list 0", "INFO", "COMMAND",
		"COMMAND DOCS", "CLIENT LIST", "SLOWLOG GET", "MEMORY STATS", "CONFIG GET *", "NOSUCH", "DEBUG PROTOCOL attrib",
		"DEBUG PROTOCOL push", "DEBUG PROTOCOL bignum", "DEBUG PROTOCOL verbatim", "SUBSCRIBE c d", "MULTI", "PING", "EXEC", "LATENCY DOCTOR",
	}
	for proto := 2; proto <= 3; proto++ {
		in := fmt.Appendf(nil, "HELLO %d\n%s\n", proto, strings.Join(commands, "\n"))
		if proto == 2 {
			in = bytes.ReplaceAll(in, []byte("SUBSCRIBE c d\n"), nil) // it ends what RESP2 may do
		}
		answer := server.askAll(t, in)
		replies := 0
		for rest := answer; len(rest) > 0; replies++ {
			whole := feedWhole(rest)
			pieces := feedPieces(t, rest, func() int { return 7 })
			if whole != pieces || !whole.done || whole.err != nil {
				t.Fatalf("RESP%d: %q: %+v, in pieces %+v", proto, clip(rest), whole, pieces)
			}
			reply := rest[:whole.n]
			for _, f := range []func([]int, byte, []byte) ([]byte, bool){unchanged, replaced} {
				if got, err := Rewrite(nil, reply, f); err != nil || !bytes.Equal(got, reply) {
					t.Fatalf("RESP%d: Rewrite of %q: %q, %v", proto, clip(reply), clip(got), err)
				}
			}
			rest = rest[whole.n:]
		}
		if least := len(commands) + 2 - (3 - proto); replies < least {
			t.Errorf("RESP%d: %d replies to %d commands", proto, replies, least)
		}
	}
}
