package tests

import (
	"regexp"
	"strings"
	"testing"

	"riptide-proxy/tests/harness"
)

// What an entry of ACL LOG has that differs from one run to the next, and what only a server knows of a client.
var (
	aclLogAge    = regexp.MustCompile(`(age-seconds\r\n)(\$\d+\r\n|,)[0-9.]+\r\n`)
	aclLogTimes  = regexp.MustCompile(`((?:entry-id|timestamp-[a-z-]+)\r\n:)\d+`)
	aclLogClient = regexp.MustCompile(`\$\d+\r\n(id=[^\r]*)\r\n`)
	aclLogField  = regexp.MustCompile(`(name|flags|db|multi|cmd|user|resp)=(\S*)`)
)

func comparableACLLog(reply string) string {
	reply = aclLogAge.ReplaceAllString(reply, "$1 age\r\n")
	reply = aclLogTimes.ReplaceAllString(reply, "$1")
	return aclLogClient.ReplaceAllStringFunc(reply, func(line string) string {
		return strings.Join(aclLogField.FindAllString(line, -1), " ") + "\r\n"
	})
}

// The same refusals make the same ACL LOG as in a server, in both protocols; and none of it is another tenant's.
func TestACLLog(t *testing.T) {
	t.Parallel()
	rig := startACL(t, "", "r", "+@all -set -config ~a* &a*", "all", "+@all ~* &*")
	r := rig.users[0]
	both := func(plain, proxy *harness.Conn, args ...string) {
		t.Helper()
		var replies [2]string
		for i, c := range []*harness.Conn{plain, proxy} {
			reply, err := c.Do(args...)
			if err != nil {
				t.Fatalf("%q: %v", args, err)
			}
			replies[i] = comparableACLLog(reply)
		}
		if replies[0] != replies[1] {
			t.Errorf("%q:\nredis %q\nproxy %q", args, replies[0], replies[1])
		}
	}
	do := func(args ...string) {
		t.Helper()
		both(r.plain, r.proxy, args...)
	}
	do("ACL", "LOG", "RESET")
	do("CLIENT", "SETNAME", "me")
	for range 3 {
		do("SET", "k", "v")
	}
	do("CONFIG", "GET", "port")
	do("GET", "b")
	do("MGET", "a", "c\x00\xff")
	do("PUBLISH", "b", "x")
	do("PSUBSCRIBE", "[ab]")
	do("SORT", "a", "BY", "x*")
	do("GET", "b")
	do("MULTI")
	do("GET", "b")
	do("SET", "a", "b")
	do("ACL", "LOG")
	do("EXEC")
	do("AUTH", "acme.r", "wrong")
	do("AUTH", "acme.r", "wrong")
	do("HELLO", "3", "AUTH", "acme.all", "wrong")
	for _, args := range []string{"ACL LOG", "ACL LOG 3", "ACL LOG 0", "ACL LOG -1", "ACL LOG x", "ACL LOG 1 2", "ACL LOG RESET x", "ACL LOG 100"} {
		do(strings.Fields(args)...)
	}
	other := rig.users[1] // sees it too, in the other protocol
	both(other.plain, other.proxy, "ACL", "LOG", "100")
	for _, c := range []*harness.Conn{other.plain, other.proxy} {
		if _, err := c.Do("HELLO", "3"); err != nil {
			t.Fatal(err)
		}
	}
	both(other.plain, other.proxy, "ACL", "LOG", "100")
	both(other.plain, other.proxy, "MULTI")
	both(other.plain, other.proxy, "ACL", "LOG")
	both(other.plain, other.proxy, "EXEC")
	do("ACL", "LOG", "reset")
	both(other.plain, other.proxy, "ACL", "LOG", "100")
	for i := range 150 { // more than there is room for
		do("GET", "x"+strings.Repeat("y", i))
	}
	both(other.plain, other.proxy, "ACL", "LOG", "1000")

	// Another tenant sees nothing of it; and whoever is refused a login is not described if it is another tenant's.
	globex := rig.proxy.Connect(t, harness.Globex)
	if reply, err := globex.Do("ACL", "LOG"); err != nil || reply != "*0\r\n" {
		t.Errorf("globex: %q, %v", reply, err)
	}
	for _, args := range [][]string{{"CLIENT", "SETNAME", "telling"}, {"SELECT", "7"}, {"AUTH", "acme.all", "guess"}, {"AUTH", "acme.all", "guess"}} {
		if _, err := globex.Do(args...); err != nil {
			t.Fatal(err)
		}
	}
	reply, err := other.proxy.Do("ACL", "LOG", "1")
	if err != nil || !strings.Contains(reply, "auth") || !strings.Contains(reply, globex.LocalAddr().String()) ||
		strings.Contains(reply, "globex") || strings.Contains(reply, "telling") || strings.Contains(reply, "db=7") || !strings.Contains(reply, "count\r\n:2\r\n") {
		t.Errorf("%q, %v", reply, err)
	}
	if reply, err := globex.Do("ACL", "LOG"); err != nil || reply != "*0\r\n" {
		t.Errorf("globex: %q, %v", reply, err)
	}
}
