package proxy

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"riptide-proxy/namespace"
	"riptide-proxy/script"
	"riptide-proxy/tests/harness"
)

// scriptUpstream makes a fake one that knows users and runs scripts: EVAL
// answers with the client's last argument. login is what a tenant's AUTH gets,
// and whether the script behind it runs; empty is no reply at all, as from
// Redis 7.2 on when it fails.
type scriptUpstream struct {
	*fake
	mu    sync.Mutex
	in    bool // a tenant's user is logged in
	runs  []string
	users int // made
}

const restingUser = "riptide:rest"

func newScriptUpstream(t testing.TB, login func() (reply string, in bool), rest func(ran bool) string) (*Server, *scriptUpstream) {
	srv, f := startFake(t, options{})
	u := &scriptUpstream{fake: f}
	ran := false
	f.handle("COMMAND", func(args []string) []byte {
		if len(args) > 2 {
			return fmt.Appendf(nil, "*%d\r\n%s", len(args)-2, strings.Repeat("*-1\r\n", len(args)-2))
		}
		return []byte("-ERR unknown command 'COMMAND'\r\n")
	})
	f.handle("ACL", func([]string) []byte {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.users++
		return []byte(okReply)
	})
	f.handle("ECHO", func(args []string) []byte { return bulk(args[1]) })
	f.handle("AUTH", func(args []string) []byte {
		u.mu.Lock()
		defer u.mu.Unlock()
		if args[1] == restingUser {
			u.in = false
			reply := rest(ran)
			ran = false
			return []byte(reply)
		}
		reply, in := login()
		u.in = in
		return append([]byte{}, reply...)
	})
	eval := func(args []string) []byte {
		u.mu.Lock()
		defer u.mu.Unlock()
		switch {
		case len(args) == 3 || args[len(args)-1] == "t:probe:0:":
			return []byte("*0\r\n") // the proxy looks at the server's Lua
		case !u.in:
			return []byte("-NOPERM this user has no permissions to run the 'eval' command\r\n")
		}
		ran = true
		arg := args[len(args)-2]
		u.runs = append(u.runs, arg)
		return bulk(arg)
	}
	f.handle("EVAL", eval)
	f.handle("EVALSHA", eval)
	f.handle("HGETALL", func([]string) []byte { return []byte("*0\r\n") })
	return srv, u
}

func restOK(bool) string { return okReply }

// setReady has the loop think that the tenants' users are there.
func setReady(t testing.TB, srv *Server) {
	t.Helper()
	w := srv.workers[0]
	onLoop(t, w, func() {
		done := make(map[*namespace.Tenant]bool)
		for _, s := range w.sessions {
			if s.who != nil && !done[s.who.Tenant] {
				done[s.who.Tenant] = true
				w.scriptUser(s.wall()).ready = true
			}
		}
	})
}

const unknownReplyLost = "-UNKNOWN connection to the upstream was lost, the command may have run\r\n"

// Whatever the upstream makes of the logins around a script: nobody gets
// another's reply, a script that may have been refused runs once its user is
// there, and replies that can not be told apart close the connection.
func TestScriptsAroundLogins(t *testing.T) {
	type answer struct {
		reply string
		in    bool
	}
	good := answer{okReply, true}
	for _, c := range []struct {
		name   string
		logins []answer // of the tenants' users, in order; then all is well
		rest   []string // of the resting user behind a script that ran, in order
		first  string   // what the first client gets; the second one is sent with it
		second string
		again  bool // the users are made again
	}{
		{name: "all is well", first: bulkText("one"), second: bulkText("two")},
		{name: "no reply", logins: []answer{{"", false}, good}, first: bulkText("one"), second: bulkText("two"), again: true},
		{name: "wrong password", logins: []answer{{"-WRONGPASS no\r\n", false}, good}, first: bulkText("one"), second: bulkText("two"), again: true},
		{name: "both refused, differently", logins: []answer{{"", false}, {"-WRONGPASS no\r\n", false}}, first: bulkText("one"), second: bulkText("two"), again: true},
		{name: "never", logins: []answer{{"", false}, good, {"", false}, {"", false}}, first: "-" + errScriptsStall.Error() + "\r\n", second: bulkText("two"), again: true},
		{name: "another error", logins: []answer{{"-ERR what\r\n", false}}, first: unknownReplyLost, second: unknownReplyLost},
		{name: "another reply", logins: []answer{{":1\r\n", true}}, first: unknownReplyLost, second: unknownReplyLost},
		{name: "no reply, but it runs", logins: []answer{{"", true}}, first: unknownReplyLost, second: unknownReplyLost},
		{name: "wrong password, but it runs", logins: []answer{{"-WRONGPASS no\r\n", true}}, first: unknownReplyLost, second: unknownReplyLost},
		{name: "the second one's login", logins: []answer{good, {"-ERR what\r\n", false}}, first: bulkText("one"), second: unknownReplyLost},
		{name: "the way back has no reply", rest: []string{""}, first: bulkText("one"), second: unknownReplyLost},
		{name: "the way back fails", rest: []string{"-WRONGPASS no\r\n"}, first: bulkText("one"), second: unknownReplyLost},
	} {
		t.Run(c.name, func(t *testing.T) {
			logins, rests := c.logins, c.rest
			hold := make(chan struct{})
			began := make(chan struct{}, 100)
			srv, u := newScriptUpstream(t, func() (string, bool) {
				began <- struct{}{}
				<-hold
				if len(logins) == 0 {
					return okReply, true
				}
				a := logins[0]
				logins = logins[1:]
				return a.reply, a.in
			}, func(ran bool) string {
				if !ran || len(rests) == 0 {
					return okReply
				}
				r := rests[0]
				rests = rests[1:]
				return r
			})
			t.Cleanup(sync.OnceFunc(func() {
				select {
				case <-hold:
				default:
					close(hold)
				}
			}))
			one, two := login(t, srv, "acme"), login(t, srv, "globex")
			setReady(t, srv)
			one.send("EVAL return 0 one")
			await(t, began, "the first script's login")
			two.send("EVAL return 0 two")
			harness.Eventually(t, "both are on their way", func() (both bool) {
				onLoop(t, srv.workers[0], func() { both = srv.workers[0].scriptLinks[0].Flight() == 2 })
				return both
			})
			close(hold)
			if got := one.next(); got != c.first {
				t.Errorf("the first client got %q, want %q", got, c.first)
			}
			if got := two.next(); got != c.second {
				t.Errorf("the second client got %q, want %q", got, c.second)
			}
			u.mu.Lock()
			logins, rests = nil, nil
			if (u.users > 0) != c.again {
				t.Errorf("%d users were made", u.users)
			}
			u.mu.Unlock()
			// And the next ones are in step, whatever has become of the connection.
			for i := range 3 {
				one.expect(bulkText(fmt.Sprint("next", i)), "EVAL", "return", "0", fmt.Sprint("next", i))
				two.expect(bulkText(fmt.Sprint("more", i)), "EVAL", "return", "0", fmt.Sprint("more", i))
			}
			u.mu.Lock()
			defer u.mu.Unlock()
			for _, arg := range []string{"one", "two"} {
				if n := strings.Count(" "+strings.Join(u.runs, " ")+" ", " "+arg+" "); n > 1 {
					t.Errorf("script %s ran %d times", arg, n)
				}
			}
		})
	}
}

func bulkText(s string) string { return string(bulk(s)) }

// A script that the upstream has forgotten is sent by its source, and what the
// session asks meanwhile stays behind it.
func TestForgottenScriptKeepsItsPlace(t *testing.T) {
	srv, u := newScriptUpstream(t, func() (string, bool) { return okReply, true }, restOK)
	c := login(t, srv, "acme")
	setReady(t, srv)
	c.expect(bulkText("a"), "EVAL", "return", "0", "a")
	u.handle("EVALSHA", func([]string) []byte { return []byte("-NOSCRIPT No matching script.\r\n") })
	sha := "63143b6f8007b98c53ca2149822777b3566f9241" // of "return"
	w := srv.workers[0]
	onLoop(t, w, func() {
		for _, s := range w.sessions {
			if got := w.srv.scripts.store.Get("acme", script.Mode{}, []byte(sha)); got == nil {
				t.Errorf("the script is not known as %s", sha)
			} else if s.who != nil {
				w.noteLoaded(s.who.Tenant, got)
			}
		}
	})
	c.expect(bulkText("b"), "EVALSHA", sha, "0", "b")
	withSession(t, srv, "acme", func(s *session) {
		if s.mode&modeAwait == 0 {
			t.Error("the next command would not have waited")
		}
	})
	c.expect(bulkText("c"), "EVAL", "return", "0", "c")
}

// A script for which there is no user is refused, also when that is found only
// after the session was ready to run it.
func TestScriptUserRefusal(t *testing.T) {
	var u scriptUser
	if got := u.refusal(); got != errUnavailable {
		t.Errorf("without a reason: %q", got)
	}
	u.err = errNoWall
	if got := u.refusal(); got != errNoWall.Error() || u.err != nil {
		t.Errorf("%q, and then %v", got, u.err)
	}
}
