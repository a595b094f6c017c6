package proxy

import (
	"strings"
	"testing"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// Everything in a pipeline runs as who the client is, in the database and the
// protocol that it has, at that place of the pipeline.
func TestBarriersInAPipeline(t *testing.T) {
	s := startEmbedded(t, options{})
	c := dial(t, s)
	c.send(
		"GET k",
		"AUTH acme acme-secret", "SET k acme0", "SELECT 1", "SET k acme1", "GET k", "SELECT 0", "GET k",
		"AUTH globex wrong", "GET k", // a failed login changes nothing
		"SELECT 1", "AUTH globex globex-secret", "GET k", "SET k globex0", "GET k", // nor is the database kept
		"AUTH acme-secret", "GET k", "SELECT 1", "GET k",
		"RESET", "GET k", "AUTH default globex-secret", "GET k",
	)
	c.read("-NOAUTH Authentication required.\r\n" +
		"+OK\r\n" + "+OK\r\n" + "+OK\r\n" + "+OK\r\n" + "$5\r\nacme1\r\n" + "+OK\r\n" + "$5\r\nacme0\r\n" +
		"-WRONGPASS invalid username-password pair or user is disabled.\r\n" + "$5\r\nacme0\r\n" +
		"+OK\r\n" + "+OK\r\n" + "$-1\r\n" + "+OK\r\n" + "$7\r\nglobex0\r\n" +
		"+OK\r\n" + "$5\r\nacme0\r\n" + "+OK\r\n" + "$5\r\nacme1\r\n" +
		"+RESET\r\n" + "-NOAUTH Authentication required.\r\n" + "+OK\r\n" + "$7\r\nglobex0\r\n")
}

// The protocol changes where HELLO stands, for what comes before and after it.
func TestHelloInAPipeline(t *testing.T) {
	s, f := startFake(t, options{})
	f.handle("HGETALL", func([]string) []byte { return []byte("*0\r\n") })
	c := dial(t, s)
	c.send("HELLO 3 AUTH acme acme-secret SETNAME me", "GET none", "CLIENT GETNAME", "HELLO 2", "CLIENT GETNAME", "CLIENT SETNAME other", "RESET", "HELLO 3")
	hello := func(proto string) string {
		b := "*14\r\n"
		if proto == "3" {
			b = "%7\r\n"
		}
		return b + "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$5\r\nproto\r\n:" + proto +
			"\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
	}
	c.read(hello("3") + "$-1\r\n" + "$2\r\nme\r\n" + hello("2") + "$2\r\nme\r\n" + "+OK\r\n" + "+RESET\r\n" + "-" + errHelloAuth("7.0.0") + "\r\n")
	// RESET took the protocol back too.
	c.expect("+OK\r\n", "AUTH", "acme-secret")
	c.expect("$-1\r\n", "CLIENT", "GETNAME")
	c.expect(hello("3"), "HELLO", "3")
	c.expect("_\r\n", "CLIENT", "GETNAME")
}

// A client that speaks RESP3 rides a link that does.
func TestHelloChoosesTheLink(t *testing.T) {
	s := startEmbedded(t, options{})
	c := login(t, s, "acme")
	c.send("HSET h f v", "HGETALL h", "HELLO 3", "HGETALL h", "HELLO 2", "HGETALL h")
	c.read(":1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n")
	c.next()
	c.read("%1\r\n$1\r\nf\r\n$1\r\nv\r\n")
	c.next()
	c.read("*2\r\n$1\r\nf\r\n$1\r\nv\r\n")
	if n := stats(t, s).Links; n != 2 {
		t.Errorf("%d links", n)
	}
}

// What has to wait for the answers before it waits, and so does all behind it.
func TestBarrierWaits(t *testing.T) {
	for _, barrier := range []struct{ command, reply string }{
		{"SELECT 1", "+OK\r\n"},
		{"AUTH globex globex-secret", "+OK\r\n"},
		{"AUTH globex wrong", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
		{"RESET", "+RESET\r\n"},
		{"HELLO 4", "-NOPROTO unsupported protocol version\r\n"},
		{"DBSIZE", "-ERR no scan here\r\n"},
	} {
		t.Run(strings.Fields(barrier.command)[0], func(t *testing.T) {
			s, f := startFake(t, options{})
			f.handle("SCAN", func([]string) []byte { return []byte("-ERR no scan here\r\n") })
			arrived, open := f.gate("GET", "$-1\r\n")
			c := login(t, s, "acme")
			c.send("GET a", barrier.command, "SET b 1", "PING")
			if args := await(t, arrived, "GET"); args[1] != "t:acme:0:a" {
				t.Errorf("got %q", args)
			}
			login(t, s, "globex").expect("+OK\r\n", "CLIENT", "SETNAME", "other")
			c.silent()
			onLoop(t, s.workers[0], func() {
				for _, x := range s.workers[0].sessions {
					if n := x.tail - x.head; n > 1 {
						t.Errorf("%d commands are under way before the barrier is passed", n)
					}
				}
			})
			open()
			c.read("$-1\r\n" + barrier.reply)
			if barrier.command == "RESET" {
				c.read("-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n")
				return
			}
			c.read("+OK\r\n+PONG\r\n")
		})
	}
}

// A reply is restored for the database that its command was sent in, though
// the client has long asked for another.
func TestReplyBelongsToTheDatabaseBefore(t *testing.T) {
	for _, barrier := range []string{"SELECT 1", "AUTH globex globex-secret"} {
		s, f := startFake(t, options{})
		arrived, open := f.gate("LMPOP", "*2\r\n$10\r\nt:acme:0:l\r\n*1\r\n$1\r\nx\r\n")
		c := login(t, s, "acme")
		c.send("LMPOP 1 l LEFT", barrier, "PING")
		await(t, arrived, "LMPOP")
		open()
		c.read("*2\r\n$1\r\nl\r\n*1\r\n$1\r\nx\r\n+OK\r\n+PONG\r\n")
	}
}

// Nothing overtakes what is on the link of the other protocol.
func TestLinksDoNotOvertake(t *testing.T) {
	s, f := startFake(t, options{})
	login(t, s, "globex").do("HELLO", "3") // so that the second link is there
	harness.Eventually(t, "both links are up", func() bool { return stats(t, s).Links == 2 })
	arrived, open := f.gate("GET", "$-1\r\n")
	later := make(chan struct{}, 1)
	f.handle("EXISTS", func([]string) []byte { later <- struct{}{}; return []byte(":1\r\n") })
	c := login(t, s, "acme")
	c.send("GET k", "HELLO 3", "EXISTS k")
	await(t, arrived, "GET")
	if n := stats(t, s).InFlight; n != 1 {
		t.Errorf("%d commands are in flight", n)
	}
	if len(later) > 0 {
		t.Error("EXISTS came before GET was answered")
	}
	open()
	c.read("$-1\r\n%7\r\n")
	await(t, later, "EXISTS")
}

// A login that takes long is checked elsewhere: the loop serves others, and the
// client's own commands wait until it is known who it is.
func TestSlowLogin(t *testing.T) {
	hash := config.HashArgon2id("correct horse")
	s := startEmbedded(t, options{tenants: "  initech: {users: {default: {argon2id: ['" + hash + "']}}}\n"})
	c := dial(t, s)
	c.write(append(harness.Request("AUTH", "initech", "correct horse"), pipeline("SET k v", "GET k", "AUTH initech wrong", "GET k", "HELLO 3 AUTH initech wrong", "GET nokey")...))
	wrong := "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
	c.read("+OK\r\n+OK\r\n$1\r\nv\r\n" + wrong + "$1\r\nv\r\n" + wrong + "$-1\r\n")
	// A client that leaves during the check takes nothing with it.
	gone := dial(t, s)
	gone.write(harness.Request("AUTH", "initech", "correct horse"))
	gone.tcp().SetLinger(0)
	gone.Close()
	harness.Eventually(t, "the session is gone", func() bool { return stats(t, s).Clients == 1 })
	c.expect("$1\r\nv\r\n", "GET", "k")
}

// AUTH as who one is already changes nothing, as in Redis.
func TestAuthAgain(t *testing.T) {
	s := startEmbedded(t, options{})
	c := login(t, s, "acme")
	c.send("SELECT 3", "SET k v", "AUTH acme acme-secret", "GET k", "AUTH acme-secret", "GET k")
	c.read("+OK\r\n+OK\r\n+OK\r\n$1\r\nv\r\n+OK\r\n$1\r\nv\r\n")
	if st := stats(t, s); st.Tenants["acme"].Connections != 1 || st.Tenants[""].Connections != 0 || st.Tenants["acme"].Logins != 1 {
		t.Errorf("%+v", st.Tenants["acme"])
	}
}
