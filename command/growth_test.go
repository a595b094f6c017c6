package command

import (
	"strings"
	"testing"
)

// takesNothing are the commands that write and can not make keys take more memory.
var takesNothing = map[string]string{
	"blmpop": "takes away", "blpop": "takes away", "brpop": "takes away", "bzmpop": "takes away", "bzpopmax": "takes away", "bzpopmin": "takes away",
	"lmpop": "takes away", "lpop": "takes away", "rpop": "takes away", "zmpop": "takes away", "zpopmax": "takes away", "zpopmin": "takes away", "spop": "takes away",
	"del": "takes away", "unlink": "takes away", "delex": "takes away", "getdel": "takes away", "hdel": "takes away", "hgetdel": "takes away",
	"lrem": "takes away", "ltrim": "takes away", "srem": "takes away", "zrem": "takes away", "zremrangebylex": "takes away",
	"zremrangebyrank": "takes away", "zremrangebyscore": "takes away", "xdel": "takes away", "xdelex": "takes away", "xtrim": "takes away",
	"xack": "takes away", "xackdel": "takes away", "xgroup|destroy": "takes away", "xgroup|delconsumer": "takes away",
	"flushall": "takes away", "flushdb": "takes away", "vrem": "takes away",
	"expire": "a key's time to live", "expireat": "a key's time to live", "pexpire": "a key's time to live", "pexpireat": "a key's time to live",
	"persist": "a key's time to live", "getex": "a key's time to live",
	"hpersist": "a field's time to live", "hgetex": "a field's time to live",
	"xgroup|setid": "a number", "arseek": "a number",
	"ardel": "takes away", "ardelrange": "takes away", "delifeq": "takes away", "xcfgset": "a number",
	"publish": "no key", "spublish": "no key", "swapdb": "not for tenants", "migrate": "not for tenants", "function|delete": "not for tenants",
	"function|flush": "not for tenants", "trimslots": "not for tenants",
}

// Every command that writes can make keys take more memory, or it is known why not.
func TestGrowth(t *testing.T) {
	for _, c := range All() {
		why, none := takesNothing[c.Name]
		if none && c.Grows {
			t.Errorf("%s: %s, but it grows", c.Name, why)
		}
		if c.Has(Write) && len(c.Subs) == 0 && !c.Grows && !none && c.Run != Refused && !c.Later {
			t.Errorf("%s writes: does it grow?", c.Name)
		}
		if (c.Copies != nil || c.Extent != nil || c.Hidden != nil || c.Lumpy || c.Converts) && !c.Grows {
			t.Errorf("%s does not grow, but it is said how much", c.Name)
		}
	}
	for _, names := range [][]string{growers, lumpy} {
		for _, name := range names {
			if Named(name) == nil {
				t.Errorf("there is no command %s", name)
			}
		}
	}
	for name := range copiers {
		if Named(name) == nil {
			t.Errorf("there is no command %s", name)
		}
	}
}

func TestExtent(t *testing.T) {
	lzf := func(n string) string { return "\x00\xc3\x05" + n + "xxxxx" }
	for _, x := range []struct {
		call   []string
		extent int64
	}{
		{[]string{"setbit", "k", "4294967295", "1"}, 536870912},
		{[]string{"setbit", "k", "x", "1"}, 0},
		{[]string{"setbit", "k"}, 0},
		{[]string{"setrange", "k", "1000", "x"}, 1001},
		{[]string{"setrange", "k", "-1", "x"}, 0},
		{[]string{"setrange", "k", "1000000000000", "x"}, 1000000000001},
		{[]string{"bitfield", "k", "SET", "u8", "#1000", "1"}, 1001},
		{[]string{"bitfield", "k", "set", "i16", "800", "1"}, 102},
		{[]string{"bitfield", "k", "get", "u8", "0", "overflow", "sat", "incrby", "i64", "#100", "1"}, 808},
		{[]string{"bitfield", "k", "set", "u8", "99999999999999999999", "1"}, 0},
		{[]string{"bitfield", "k"}, 0},
		{[]string{"pfadd", "k", "a"}, denseHLL},
		{[]string{"restore", "k", "0", "\x00\x05hello"}, 7},
		{[]string{"restore", "k", "0", lzf("\x2a")}, 42},
		{[]string{"restore", "k", "0", lzf("\x41\x00")}, 256},
		{[]string{"restore", "k", "0", lzf("\x80\x00\x10\x00\x00")}, 1 << 20},
		{[]string{"restore", "k", "0", lzf("\x81\xff\xff\xff\xff\xff\xff\xff\xff")}, maxExtent},
		{[]string{"restore", "k", "0", "\x00\xc3"}, 0},
		{[]string{"restore", "k", "0", "\x00\xc3\x80"}, 0},
		{[]string{"restore", "k", "0"}, 0},
	} {
		if got := Named(x.call[0]).Extent(list(x.call)); got != x.extent {
			t.Errorf("%q: %d, want %d", x.call, got, x.extent)
		}
	}
}

func TestHidden(t *testing.T) {
	for _, x := range []struct {
		call   string
		hidden int64
	}{
		{"xreadgroup GROUP g c COUNT 10 STREAMS s >", 10 * pendingEntry},
		{"xreadgroup GROUP g c COUNT 10 BLOCK 5 STREAMS s t > >", 20 * pendingEntry},
		{"xreadgroup GROUP g c STREAMS s >", 0},
		{"xreadgroup GROUP g c COUNT 0 STREAMS s >", 0},
		{"xreadgroup GROUP g c BLOCK 0 NOACK STREAMS COUNT 1 > >", 0},
		{"xclaim s g c 0 1-1 2-1", 7 * pendingEntry},
		{"restore k 0 \x00abc", 0},
		{"restore k 0 \x01abc", 4 * mostCompressed},
		{"restore k 0", 0},
	} {
		args := list(strings.Split(x.call, " "))
		if got := Named(string(args.At(0))).Hidden(args); got != x.hidden {
			t.Errorf("%q: %d, want %d", x.call, got, x.hidden)
		}
	}
}

func TestDelivers(t *testing.T) {
	for call, want := range map[string]bool{
		"xreadgroup GROUP g c STREAMS s >": true, "xreadgroup GROUP g c COUNT 0 STREAMS s >": true, "xreadgroup GROUP g c COUNT 1000 STREAMS s >": true,
		"xreadgroup GROUP g c COUNT 100 STREAMS s >": false, "xreadgroup GROUP g c BLOCK COUNT COUNT 1 STREAMS s >": false,
	} {
		if got := Named("xreadgroup").Delivers(list(strings.Split(call, " "))); got != want {
			t.Errorf("%s: %v", call, got)
		}
	}
}

func TestCopies(t *testing.T) {
	for call, want := range map[string]bool{
		"sort k": false, "sort k BY x STORE d": true, "sort_ro k": false, "georadius k 0 0 1 m": false, "georadius k 0 0 1 m storedist d": true,
		"copy a b": true, "zunionstore d 1 a": true, "set a b": false,
	} {
		args := list(strings.Split(call, " "))
		c := Named(string(args.At(0)))
		if got := c.Copies != nil && c.Copies(args); got != want {
			t.Errorf("%s: %v", call, got)
		}
	}
}
