package namespace

import (
	"strings"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/resp"
	"riptide-proxy/tests/harness"
)

// liveCalls are commands that store values, all of them in angle brackets, and
// commands that give them back. What is behind "?" differs between servers, so that
// an error is as good.
var liveCalls = []string{
	"SET k <v>", "GET k", "SET k <w> GET EX 100", "GETSET k <x>", "GETEX k PERSIST", "SETNX k <y>", "SETNX l <y>", "SETEX m 100 <z>",
	"PSETEX m 100000 <z>", "MSET a <1> b <2>", "MSETNX c <3> d <4>", "MGET a b none c h d", "GETDEL d", "GET none", "GET h",
	"?MSETEX 2 e <5> f <6> EX 100", "?MGET e f",
	"HSET h f1 <1> f2 <2> <f3> 3", "HMSET h f4 <4>", "HSETNX h f5 <5>", "HSETNX h f5 <6>", "?HSETEX h EX 100 FIELDS 1 f6 <6>",
	"HGET h f1", "HGET h none", "HGET a f", "HMGET h f1 none f4", "HGETALL h", "HGETALL none", "HVALS h", "HVALS none",
	"HRANDFIELD none", "HRANDFIELD h 100", "HRANDFIELD h 100 WITHVALUES", "HRANDFIELD none 1 WITHVALUES",
	"HSCAN h 0", "HSCAN h 0 MATCH f* COUNT 100", "?HSCAN h 0 NOVALUES", "HSCAN none 0", "HKEYS h",
	"?HGETEX h PERSIST FIELDS 2 f1 none", "?HGETDEL h FIELDS 2 f1 none",
	"RPUSH list a b 1 <c>", "SORT list ALPHA", "SORT list ALPHA GET *", "SORT list BY nosort GET # GET * GET # GET h->f*",
	"SORT list ALPHA GET *->f GET #", "SORT_RO list ALPHA GET * GET #", "SORT list ALPHA GET * STORE sorted",
	"XADD x 1-1 f <1> <g> <2>", "XADD x NOMKSTREAM MAXLEN ~ 100 LIMIT 10 2-1 f <3>", "XADD x MINID = 1-0 3-1 f <4>", "?XADD x KEEPREF 3-2 f <5>",
	"?XADD x IDMP p i * f <5>", "XADD x * f", "XADD x MAXLEN x 4-1 f <6>", "XADD none NOMKSTREAM * f <6>",
	"XRANGE x - +", "XREVRANGE x + - COUNT 1", "XRANGE none - +", "XREAD STREAMS x none 0 0", "XREAD COUNT 1 STREAMS x x 0 2", "XREAD STREAMS x $",
	"XINFO STREAM x", "XINFO STREAM x FULL", "XINFO STREAM x FULL COUNT 1", "XINFO STREAM none",
	"XGROUP CREATE x g 0", "XREADGROUP GROUP g me COUNT 2 STREAMS x >", "XREADGROUP GROUP g me STREAMS x 0", "XDEL x 1-1",
	"XREADGROUP GROUP g me STREAMS x 0", "XCLAIM x g you 0 2-1", "XCLAIM x g you 0 2-1 JUSTID", "XCLAIM x g you 0 1-1", "XAUTOCLAIM x g me 0 0",
	"XAUTOCLAIM x g me 0 0 JUSTID", "XREADGROUP GROUP g me STREAMS x >", "XPENDING x g", "XDEL x 2-1 3-1", "XADD y 1-1 f <1>", "XDEL y 1-1", "XINFO STREAM y",
	"DEL list", "RPUSH list b a", "SET big <" + strings.Repeat("b", 100_000) + ">", "GET big",
}

// In one database of a server the values are stored as they are. In another one
// those are sealed that the command table says are values, and opened again where
// it says that they are in the reply. Both must look the same.
func TestValuesLive(t *testing.T) {
	server := harness.StartRedis(t)
	for _, proto := range []string{"2", "3"} {
		opened := make(map[command.ReplyKind]bool)
		plain, other := dialLive(t, server.Addr, proto, "0"), dialLive(t, server.Addr, proto, "1")
		for _, call := range liveCalls {
			call, newer := strings.CutPrefix(call, "?")
			args := strings.Fields(call)
			want, err := plain.Do(args...)
			if err != nil {
				t.Fatal(err)
			}
			if want[0] == '-' && newer {
				continue
			}
			if got := sealedDo(t, other, args, opened); got != want {
				t.Errorf("RESP%s: %.80s: %.200q, want %.200q", proto, call, got, want)
			}
		}
		for kind := command.WholeReply; kind <= command.StreamInfo; kind++ {
			if !opened[kind] && kind != command.MaybePairs {
				t.Errorf("RESP%s: of kind %d no reply had sealed values", proto, kind)
			}
		}
	}
}

func dialLive(t *testing.T, addr, proto, db string) *harness.Conn {
	t.Helper()
	c, err := harness.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for _, args := range [][]string{{"HELLO", proto}, {"SELECT", db}, {"FLUSHDB"}} {
		if reply, err := c.Do(args...); err != nil || reply[0] == '-' {
			t.Fatal(args, reply, err)
		}
	}
	return c
}

// sealedDo runs a command with its values sealed, and returns the reply with
// the values opened. It notes of which kind the reply is if there were any.
func sealedDo(t *testing.T, conn *harness.Conn, args []string, opened map[command.ReplyKind]bool) string {
	t.Helper()
	r, _, _ := scan(resp.AppendRequest(nil, args...))
	c := command.Lookup(r.At(0))
	if len(c.Subs) > 0 {
		c = c.Sub(r.At(1))
	}
	reply := c.ReplyValuesOf(&r)
	if c.StreamReply != command.NoValues {
		reply = spec(c.StreamReply)
	}
	values := c.StreamValues.Positions(c.Values.Positions(nil, &r), &r)
	request := r.AppendSealed(nil, nil, nil, values, func(dst []byte, i int32) ([]byte, bool) {
		value := r.At(int(i))
		if value[0] != '<' {
			return dst, false
		}
		return append(append(dst, sealedForm...), value[1:len(value)-1]...), true
	})
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	stored, err := conn.Reply()
	if err != nil {
		t.Fatal(err)
	}
	out, changed, err := OpenValues(nil, []byte(stored), reply, testSealed, testOpen)
	if err != nil {
		t.Errorf("%.80s: %v", args, err)
	}
	if !changed {
		return stored
	}
	opened[reply.Kind] = true
	return string(out)
}
