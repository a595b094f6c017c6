package proxy

import (
	"strings"
	"testing"

	"riptide-proxy/command"
	"riptide-proxy/tests/harness"
)

const (
	noauth    = "-NOAUTH Authentication required.\r\n"
	wrongpass = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
)

// What a client that has not logged in is told. Redis, too, tells it first of
// commands that do not exist and of wrong numbers of arguments.
func TestStrangers(t *testing.T) {
	s, f := startFake(t, options{tenants: "  closed: {suspended: true, users: {default: {sha256: [" + hashOf("closed") + "]}}}\n"})
	c := dial(t, s)
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"GET", "k"}, noauth},
		{[]string{"get", "k"}, noauth},
		{[]string{"PING"}, noauth},
		{[]string{"ECHO", "x"}, noauth},
		{[]string{"DBSIZE"}, noauth},
		{[]string{"CONFIG", "GET", "*"}, noauth},
		{[]string{"COMMAND", "COUNT"}, noauth},
		{[]string{"CLIENT", "ID"}, noauth},
		{[]string{"GET"}, "-ERR wrong number of arguments for 'get' command\r\n"},
		{[]string{"NOSUCH", "a"}, "-ERR unknown command 'NOSUCH', with args beginning with: 'a' \r\n"},
		{[]string{"CLIENT", "NOSUCH"}, "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n"},
		{[]string{"AUTH"}, "-ERR wrong number of arguments for 'auth' command\r\n"},
		{[]string{"AUTH", "wrong"}, wrongpass},
		{[]string{"AUTH", "acme", "wrong"}, wrongpass},
		{[]string{"AUTH", "nobody", "acme-secret"}, wrongpass},
		{[]string{"AUTH", "", "acme-secret"}, wrongpass}, // an empty name is no way to log in with a secret alone
		{[]string{"AUTH", "acme", "acme-secret", "x"}, "-ERR syntax error\r\n"},
		{[]string{"AUTH", "closed", "closed-secret"}, "-NOPERM this tenant is suspended\r\n"},
		{[]string{"HELLO"}, "-" + errHelloAuth("7.0.0") + "\r\n"},
		{[]string{"HELLO", "3"}, "-" + errHelloAuth("7.0.0") + "\r\n"},
		{[]string{"HELLO", "3", "SETNAME", "me"}, "-" + errHelloAuth("7.0.0") + "\r\n"},
		{[]string{"HELLO", "3", "AUTH", "acme", "wrong"}, wrongpass},
		{[]string{"HELLO", "3", "AUTH", "acme"}, "-ERR Syntax error in HELLO option 'AUTH'\r\n"},
		{[]string{"HELLO", "3", "SETNAME"}, "-ERR Syntax error in HELLO option 'SETNAME'\r\n"},
		{[]string{"HELLO", "3", "SETNAME", "a b"}, "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
		{[]string{"HELLO", "3", "WHAT"}, "-ERR Syntax error in HELLO option 'WHAT'\r\n"},
		{[]string{"HELLO", "1"}, "-NOPROTO unsupported protocol version\r\n"},
		{[]string{"HELLO", "4"}, "-NOPROTO unsupported protocol version\r\n"},
		{[]string{"HELLO", "x"}, "-ERR Protocol version is not an integer or out of range\r\n"},
		{[]string{"HELLO", "3", "AUTH", "closed", "closed-secret"}, "-NOPERM this tenant is suspended\r\n"},
		{[]string{"RESET"}, "+RESET\r\n"},
		{[]string{"PING"}, noauth}, // none of this logged it in
	} {
		if got := c.do(x.args...); got != x.want {
			t.Errorf("%q: %q, want %q", x.args, got, x.want)
		}
	}
	if n := f.count("GET") + f.count("SCAN"); n > 0 {
		t.Errorf("%d commands of a stranger reached the upstream", n)
	}
	c.send("QUIT", "PING")
	c.read("+OK\r\n")
	c.ends()
}

func TestLocalAnswers(t *testing.T) {
	s, _ := startFake(t, options{})
	c := login(t, s, "acme")
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"PING"}, "+PONG\r\n"},
		{[]string{"pInG", "a\r\nb"}, "$4\r\na\r\nb\r\n"},
		{[]string{"PING", ""}, "$0\r\n\r\n"},
		{[]string{"PING", "a", "b"}, "-ERR wrong number of arguments for 'ping' command\r\n"},
		{[]string{"ECHO", "x"}, "$1\r\nx\r\n"},
		{[]string{"CLIENT"}, "-ERR wrong number of arguments for 'client' command\r\n"},
		{[]string{"CLIENT", "ID"}, ":1\r\n"},
		{[]string{"CLIENT", "GETNAME"}, "$-1\r\n"},
		{[]string{"CLIENT", "SETNAME", "a-b.c:1"}, "+OK\r\n"},
		{[]string{"CLIENT", "GETNAME"}, "$7\r\na-b.c:1\r\n"},
		{[]string{"CLIENT", "SETNAME", "a b"}, "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
		{[]string{"CLIENT", "SETNAME", "a\n"}, "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
		{[]string{"CLIENT", "SETNAME", "\x7f"}, "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
		{[]string{"CLIENT", "GETNAME"}, "$7\r\na-b.c:1\r\n"},
		{[]string{"CLIENT", "SETNAME", ""}, "+OK\r\n"},
		{[]string{"CLIENT", "GETNAME"}, "$-1\r\n"},
		{[]string{"CLIENT", "SETINFO", "lib-name", "go"}, "+OK\r\n"},
		{[]string{"CLIENT", "SETINFO", "LIB-VER", "1 2"}, "-ERR LIB-VER cannot contain spaces, newlines or special characters.\r\n"},
		{[]string{"CLIENT", "SETINFO", "LIB-NAME", "1 2"}, "-ERR LIB-NAME cannot contain spaces, newlines or special characters.\r\n"},
		{[]string{"CLIENT", "SETINFO", "x", "y"}, "-ERR Unrecognized option 'x'\r\n"},
		{[]string{"SELECT", "0"}, "+OK\r\n"},
		{[]string{"SELECT", "15"}, "+OK\r\n"},
		{[]string{"SELECT", "16"}, "-ERR DB index is out of range\r\n"},
		{[]string{"SELECT", "-1"}, "-ERR DB index is out of range\r\n"},
		{[]string{"SELECT", "x"}, "-ERR value is not an integer or out of range\r\n"},
		{[]string{"SELECT", "2147483648"}, "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"},
		{[]string{"COPY", "a", "b", "DB"}, "-ERR syntax error\r\n"},
		{[]string{"COPY", "a", "b", "WHAT"}, "-ERR syntax error\r\n"},
		{[]string{"COPY", "a", "b", "DB", "16"}, "-ERR DB index is out of range\r\n"},
		{[]string{"MOVE", "a", "15"}, "-ERR source and destination objects are the same\r\n"},
		{[]string{"MOVE", "a", "99"}, "-ERR DB index is out of range\r\n"},
		{[]string{"READONLY"}, "-ERR This instance has cluster support disabled\r\n"},
	} {
		if got := c.do(x.args...); got != x.want {
			t.Errorf("%q: %q, want %q", x.args, got, x.want)
		}
	}
}

func TestUnknownCommands(t *testing.T) {
	s, _ := startFake(t, options{})
	c := login(t, s, "acme")
	long := strings.Repeat("x", 200)
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"NOSUCH"}, "-ERR unknown command 'NOSUCH', with args beginning with: \r\n"},
		{[]string{"NOSUCH", "a", "", "b c"}, "-ERR unknown command 'NOSUCH', with args beginning with: 'a' '' 'b c' \r\n"},
		{[]string{"a\x00b", "c\x00d"}, "-ERR unknown command 'a', with args beginning with: 'c' \r\n"}, // as C ends a string
		{[]string{""}, "-ERR unknown command '', with args beginning with: \r\n"},
		// What the client sent must not end the line of the reply.
		{[]string{"X\r\n+OK", "\r\n+OK\r\n"}, "-ERR unknown command 'X  +OK', with args beginning with: '  +OK  ' \r\n"},
		// As much as Redis repeats: 128 bytes of the name, and about as many of the arguments.
		{[]string{long}, "-ERR unknown command '" + long[:128] + "', with args beginning with: \r\n"},
		{[]string{"X", long, "a"}, "-ERR unknown command 'X', with args beginning with: '" + long[:128] + "' \r\n"},
		{[]string{"X", long[:100], long, "a"}, "-ERR unknown command 'X', with args beginning with: '" + long[:100] + "' '" + long[:25] + "' \r\n"},
		{[]string{"CLIENT", "NOSUCH", "x"}, "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n"},
		{[]string{"xgroup", long}, "-ERR unknown subcommand '" + long[:128] + "'. Try XGROUP HELP.\r\n"},
		{[]string{"OBJECT", "\r\n"}, "-ERR unknown subcommand '  '. Try OBJECT HELP.\r\n"},
		{[]string{"COMMAND", "NOSUCH"}, "-ERR unknown subcommand 'NOSUCH'. Try COMMAND HELP.\r\n"},
		{[]string{"SET", "k"}, "-ERR wrong number of arguments for 'set' command\r\n"},
		{[]string{"GET", "a", "b"}, "-ERR wrong number of arguments for 'get' command\r\n"},
		{[]string{"CLIENT", "SETNAME"}, "-ERR wrong number of arguments for 'client|setname' command\r\n"},
	} {
		if got := c.do(x.args...); got != x.want {
			t.Errorf("%.40q: %q, want %q", x.args, got, x.want)
		}
	}
}

// Every row that is not for tenants is refused with its name and, if there is
// one, its reason; what the upstream would have said is not seen.
func TestRefusals(t *testing.T) {
	s, _ := startFake(t, options{})
	c := login(t, s, "acme")
	texts := map[string]string{
		"swapdb": "-NOPERM 'swapdb' is not available to tenants: databases of the upstream are not the tenant's\r\n",
		"debug":  "-NOPERM 'debug' is not available to tenants: it reaches into the server\r\n",
	}
	refused := 0
	for _, cmd := range command.All() {
		if len(cmd.Subs) > 0 || usable(cmd) {
			continue
		}
		refused++
		args := strings.Split(cmd.Name, "|")
		for len(args) < max(cmd.Arity, -cmd.Arity) {
			args = append(args, "x")
		}
		got := c.do(args...)
		if want, fixed := texts[cmd.Name]; fixed && got != want {
			t.Errorf("%s: %q, want %q", cmd.Name, got, want)
		}
		delete(texts, cmd.Name)
		if !strings.HasPrefix(got, "-NOPERM '"+cmd.Name+"' is not ") || cmd.Why != "" && !strings.Contains(got, cmd.Why) {
			t.Errorf("%s: %q", cmd.Name, got)
		}
	}
	if refused == 0 || len(texts) > 0 {
		t.Errorf("%d refused; not met: %v", refused, texts)
	}
	if n := stats(t, s).Tenants["acme"].Errors["NOPERM"]; n != uint64(refused) {
		t.Errorf("%d errors counted, want %d", n, refused)
	}
}

// A command that the table has and the upstream has not is as unknown as one
// that nobody has.
func TestUnknownToTheUpstream(t *testing.T) {
	f := newFake(t)
	client := `*2 *10 $9 client|id :2 *0 :0 :0 :0 *0 *0 *0 *0 *10 $14 client|setname :3 *0 :0 :0 :0 *0 *0 *0 *0 `
	f.handle("COMMAND", func([]string) []byte {
		return []byte(strings.ReplaceAll("*4 *6 $3 get :2 *0 :1 :1 :1 *6 $4 auth :-2 *0 :0 :0 :0 *6 $4 ping :-1 *0 :0 :0 :0 "+
			"*10 $6 client :-2 *0 :0 :0 :0 *0 *0 *0 "+client, " ", "\r\n"))
	})
	s := startProxy(t, f.address(), options{})
	harness.Eventually(t, "the upstream is known", s.Ready)
	c := login(t, s, "acme")
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"GET", "k"}, "$-1\r\n"},
		{[]string{"PING"}, "+PONG\r\n"},
		{[]string{"SET", "k", "v"}, "-ERR unknown command 'SET', with args beginning with: 'k' 'v' \r\n"},
		{[]string{"SET"}, "-ERR unknown command 'SET', with args beginning with: \r\n"},
		{[]string{"CLIENT", "ID"}, ":1\r\n"},
		{[]string{"CLIENT", "GETNAME"}, "-ERR unknown subcommand 'GETNAME'. Try CLIENT HELP.\r\n"},
		{[]string{"OBJECT", "FREQ", "k"}, "-ERR unknown command 'OBJECT', with args beginning with: 'FREQ' 'k' \r\n"},
	} {
		if got := c.do(x.args...); got != x.want {
			t.Errorf("%q: %q, want %q", x.args, got, x.want)
		}
	}
}

// An upstream's error about a command quotes the arguments as the upstream saw
// them, with the prefix, so the client gets another.
func TestUnknownErrorOfTheUpstream(t *testing.T) {
	s, f := startFake(t, options{})
	f.handle("LPUSH", func(args []string) []byte {
		return []byte("-ERR unknown command 'LPUSH', with args beginning with: '" + args[1] + "' \r\n")
	})
	f.handle("XGROUP", func(args []string) []byte {
		return []byte("-NOGROUP No such consumer group 'g' for key name '" + args[2] + "'\r\n")
	})
	f.handle("LMPOP", func(args []string) []byte { return []byte("*2\r\n$12\r\nt:globex:0:l\r\n*1\r\n$1\r\nx\r\n") })
	c := login(t, s, "acme")
	c.expect("-ERR 'lpush' is not supported by the upstream\r\n", "LPUSH", "k", "v")
	c.expect("-NOGROUP No such consumer group 'g' for key name 's'\r\n", "XGROUP", "SETID", "s", "g", "0")
	c.expect("-ERR unexpected reply from the upstream\r\n", "LMPOP", "1", "l", "LEFT")
}
