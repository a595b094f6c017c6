package tests

import (
	"fmt"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

func over(what string, limit int) string {
	return fmt.Sprintf("-ERR tenant acme is over its quota of %s (%d)\r\n", what, limit)
}

// shaped runs a proxy where acme has quotas, and returns a connection of its and one of
// another tenant's.
func shaped(t *testing.T, quotas string) (p *harness.Proxy, c, other *harness.Conn) {
	t.Helper()
	_, fleet := startFleet(t, 1, quotas)
	p = fleet[0]
	p.Ready(t)
	return p, p.Connect(t, harness.Acme), p.Connect(t, harness.Globex)
}

func TestShapePipeline(t *testing.T) {
	t.Parallel()
	_, c, other := shaped(t, "pipeline: 10")
	burst := func(c *harness.Conn, n, refused int) {
		t.Helper()
		var b []byte
		for i := range n {
			b = append(b, harness.Request("ECHO", fmt.Sprint(i))...)
		}
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			want := fmt.Sprintf("$%d\r\n%d\r\n", len(fmt.Sprint(i)), i)
			if i >= n-refused {
				want = over("commands in a pipeline", 10)
			}
			if reply, err := c.Reply(); err != nil || reply != want {
				t.Fatalf("command %d of %d: %q, %v; want %q", i, n, reply, err, want)
			}
		}
	}
	for range 3 {
		burst(c, 10, 0)
		burst(c, 500, 490)
		burst(other, 500, 0)
	}
	// One at a time for ever is no pipeline, nor is a steady few.
	for range 50 {
		expect(t, c, "+PONG\r\n", "PING")
	}
	c.Write(append(harness.Request("PING"), harness.Request("PING")...))
	for range 200 {
		c.Send("PING")
		if reply, err := c.Reply(); err != nil || reply != "+PONG\r\n" {
			t.Fatalf("%q, %v", reply, err)
		}
	}
	c.Reply()
	c.Reply()
	// A refused command ends a transaction.
	var b []byte
	for _, call := range []string{"MULTI", "SET a 1", "SET a 2", "SET a 3", "SET a 4", "SET a 5", "SET a 6", "SET a 7", "SET a 8", "SET a 9", "SET a 10"} {
		b = append(b, harness.Request(strings.Fields(call)...)...)
	}
	c.Write(b)
	for i := range 11 {
		if reply, err := c.Reply(); err != nil || (i == 10) != (reply[0] == '-') {
			t.Fatalf("%d: %q, %v", i, reply, err)
		}
	}
	expect(t, c, "-EXECABORT Transaction discarded because of previous errors.\r\n", "EXEC")
	expect(t, c, "$-1\r\n", "GET", "a")
}

func TestShapeValue(t *testing.T) {
	t.Parallel()
	p, c, other := shaped(t, "value: 1000, keys_per_command: 100")
	tooLong := over("bytes in a value", 1000)
	long, fits := strings.Repeat("x", 1001), strings.Repeat("x", 1000)
	for _, call := range [][]string{
		{"SET", "k", long}, {"MSET", "a", "1", "b", long}, {"HSET", "h", "f", long}, {"APPEND", "k", long}, {"LPUSH", "l", long}, {"SADD", "s", long},
		{"RESTORE", "r", "0", long}, {"EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", "k", long}, {"EVAL", "return '" + long + "'", "0"},
		{"SCRIPT", "LOAD", "return '" + long + "'"}, {"XADD", "x", "*", "f", long}, {"GETSET", "k", long}, {"SETRANGE", "k", "999", "xx"}, {"SETRANGE", "k", "400000000", "x"},
		{"SETBIT", "k", "8000", "1"}, {"BITFIELD", "k", "SET", "u8", "8000", "1"}, {"BITFIELD", "k", "GET", "u8", "0", "INCRBY", "u8", "#1000", "1"},
	} {
		expect(t, c, tooLong, call...)
		if reply, err := other.Do(call...); err != nil || reply == tooLong {
			t.Errorf("globex: %.40q: %q, %v", call, reply, err)
		}
	}
	expect(t, c, ":0\r\n", "DBSIZE")
	for _, call := range [][]string{
		{"SET", "k", fits}, {"SETRANGE", "k", "999", "x"}, {"SETBIT", "k", "7999", "1"}, {"BITFIELD", "k", "SET", "u8", "7992", "1"}, {"EVAL", "return ARGV[1]", "0", fits},
		{"GET", long}, {"PUBLISH", "ch", long}, {"ECHO", long}, {"BITFIELD", "k", "GET", "u8", "80000"},
	} {
		if reply, err := c.Do(call...); err != nil || reply[0] == '-' {
			t.Errorf("%.40q: %q, %v", call, reply, err)
		}
	}
	expect(t, c, "+OK\r\n", "MULTI")
	expect(t, c, tooLong, "SET", "k", long)
	expect(t, c, "-EXECABORT Transaction discarded because of previous errors.\r\n", "EXEC")
	// What is announced is refused without being kept, whatever follows it in
	// pieces, and the connection goes on.
	before := p.RSS(t)
	const size = 200 << 20
	fmt.Fprintf(c, "*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$%d\r\n", size)
	piece := []byte(strings.Repeat("y", 1<<20))
	for range size >> 20 {
		if _, err := c.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range "\r\n$1\r\nb\r\n$2\r\nxx\r\n*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n" {
		if _, err := c.Write([]byte{byte(b)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{tooLong, "$2\r\nhi\r\n"} {
		if reply, err := c.Reply(); err != nil || reply != want {
			t.Fatalf("%q, %v; want %q", reply, err, want)
		}
	}
	if grown := p.RSS(t) - before; grown > 40<<20 {
		t.Errorf("the proxy took %d MiB for a value that is too long", grown>>20)
	}
	// And it still must be a request.
	c.Write([]byte("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2000\r\n"))
	c.Write([]byte(strings.Repeat("z", 2000) + "\r\n"))
	if reply, err := c.Reply(); err != nil || reply != tooLong {
		t.Fatalf("%q, %v", reply, err)
	}
	c.Write([]byte("*4\r\n$4\r\nMSET\r\n$1\r\na\r\n$2000\r\n"))
	c.Write([]byte(strings.Repeat("z", 2000) + "\r\nnonsense\r\n"))
	if reply, err := c.Reply(); err != nil || !strings.HasPrefix(reply, "-ERR Protocol error") {
		t.Fatalf("%q, %v", reply, err)
	}
}

func TestShapeReply(t *testing.T) {
	t.Parallel()
	p, c, other := shaped(t, "reply: 10KiB")
	tooLong := over("bytes in a reply", 10<<10)
	big := strings.Repeat("x", 20<<10)
	huge := strings.Repeat("x", 5<<20)
	setUp := func(c *harness.Conn) {
		for _, call := range [][]string{{"SET", "big", big}, {"SET", "huge", huge}, {"SET", "small", "s"}, {"SET", "fits", big[:10<<10-10]}, {"SET", "over", big[:10<<10-9]}} {
			expect(t, c, "+OK\r\n", call...)
		}
		for i := range 300 {
			c.Do("RPUSH", "list", strings.Repeat("e", 40)+fmt.Sprint(i))
			c.Do("HSET", "hash", fmt.Sprint(i), strings.Repeat("e", 40))
		}
	}
	setUp(c)
	setUp(other)
	for _, proto := range []string{"2", "3"} {
		for _, x := range []*harness.Conn{c, other} {
			if reply, err := x.Do("HELLO", proto); err != nil || reply[0] == '-' {
				t.Fatalf("%q, %v", reply, err)
			}
		}
		for _, call := range []string{"GET big", "GET huge", "GET over", "LRANGE list 0 -1", "HGETALL hash", "MGET big small", "EVAL return(redis.call('GET',KEYS[1])) 1 huge", "EVAL return(redis.call('GET',KEYS[1])) 1 big"} {
			words := strings.Fields(call)
			expect(t, c, tooLong, words...)
			expect(t, c, "$1\r\ns\r\n", "GET", "small")
			if reply, err := other.Do(words...); err != nil || reply[0] == '-' {
				t.Errorf("globex: %s: %.100q, %v", call, reply, err)
			}
		}
		if reply, err := c.Do("GET", "fits"); err != nil || len(reply) != 10<<10 {
			t.Fatalf("%d bytes, %v", len(reply), err)
		}
		expect(t, c, "+OK\r\n", "MULTI")
		expect(t, c, "+QUEUED\r\n", "GET", "huge")
		expect(t, c, "+QUEUED\r\n", "SET", "ran", proto)
		expect(t, c, tooLong, "EXEC")
		expect(t, c, "$1\r\n"+proto+"\r\n", "GET", "ran")
	}
	// In a pipeline everybody gets what is theirs, in order.
	var b []byte
	for range 50 {
		b = append(b, harness.Request("GET", "huge")...)
		b = append(b, harness.Request("GET", "small")...)
		b = append(b, harness.Request("LRANGE", "list", "0", "-1")...)
	}
	c.Write(b)
	for i := range 50 {
		for _, want := range []string{tooLong, "$1\r\ns\r\n", tooLong} {
			if reply, err := c.Reply(); err != nil || reply != want {
				t.Fatalf("%d: %.100q, %v", i, reply, err)
			}
		}
	}
	// A blocking command's is one as well.
	expect(t, c, ":1\r\n", "RPUSH", "q", big)
	expect(t, c, tooLong, "BLPOP", "q", "1")
	// So are those that the proxy makes itself.
	for i := range 400 {
		expect(t, c, "+OK\r\n", "SET", fmt.Sprintf("%s%d", strings.Repeat("k", 20), i), "")
		p.Connect(t, harness.Acme)
	}
	expect(t, c, tooLong, "KEYS", "*")
	expect(t, c, tooLong, "CLIENT", "LIST")
}

func TestShapeKeys(t *testing.T) {
	t.Parallel()
	_, c, other := shaped(t, "keys_per_command: 3")
	tooMany := over("keys in a command", 3)
	for _, call := range []string{"MGET a b c d", "DEL a b c d", "MSET a 1 b 2 c 3 d 4", "EVAL return(1) 4 a b c d", "ZUNIONSTORE z 3 x y w", "XREAD STREAMS e f g h 0 0 0 0", "SINTER e f g h"} {
		expect(t, c, tooMany, strings.Fields(call)...)
		if reply, err := other.Do(strings.Fields(call)...); err != nil || reply[0] == '-' {
			t.Errorf("globex: %s: %q, %v", call, reply, err)
		}
	}
	for _, call := range []string{"MGET a b c", "MSET a 1 b 2 c 3", "EVAL return(1) 2 a b c d e", "SET a 1 EX 10 GET", "ZUNIONSTORE z 2 y x", "HSET h 1 2 3 4 5 6 7 8", "SUBSCRIBE a b c d e"} {
		if reply, err := c.Do(strings.Fields(call)...); err != nil || reply[0] == '-' {
			t.Errorf("%s: %q, %v", call, reply, err)
		}
	}
}
