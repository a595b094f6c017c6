package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// What is alike within a minute is one entry, on one loop and on several; no log has more than its room.
func TestACLLogMerges(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	id := int64(-1)
	next := func() int64 { id++; return id }
	denied := func(object string) aclRefusal { return aclRefusal{"key", "toplevel", object, "acme.r"} }
	var one, two aclLog
	one.add(denied("a"), clientLine{id: 1}, noon, next)                      // 0
	two.add(denied("a"), clientLine{id: 2}, noon.Add(time.Second), next)     // 1
	one.add(denied("b"), clientLine{id: 1}, noon.Add(2*time.Second), next)   // 2
	one.add(denied("a"), clientLine{id: 3}, noon.Add(59*time.Second), next)  // 0 again, which is 3
	two.add(denied("b"), clientLine{id: 4}, noon.Add(63*time.Second), next)  // 4: later than a minute
	one.add(denied("a"), clientLine{id: 5}, noon.Add(200*time.Second), next) // 5: likewise
	got := ""
	for _, e := range mergedACL([]aclLog{one, two}) {
		got += fmt.Sprintf("%d:%s x%d by %d from %d to %d\n", e.id, e.what.object, e.count, e.client.id, (e.first-noon.UnixMilli())/1000, (e.last-noon.UnixMilli())/1000)
	}
	if want := "5:a x1 by 5 from 200 to 200\n4:b x1 by 4 from 63 to 63\n0:a x3 by 3 from 0 to 59\n2:b x1 by 1 from 2 to 2\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for i := range 1000 {
		one.add(denied(fmt.Sprint(i)), clientLine{name: strings.Repeat("n", 1<<20)}, noon, next)
	}
	if len(one) != aclEntries || one[0].what.object != "999" || len(one[0].client.name) != aclObject {
		t.Errorf("%d entries, the newest %+v", len(one), one[0].what)
	}
	if n := len(mergedACL([]aclLog{one, two})); n != aclEntries {
		t.Errorf("%d of all loops", n)
	}
}

// The sessions of all loops are in one log, and RESET empties it everywhere.
func TestACLLogOfLoops(t *testing.T) {
	t.Parallel()
	s := startProxy(t, harness.StartRedis(t).Addr, options{loops: 3, tenants: "  initech: {users: {default: {sha256: [" + hashOf("initech") + "], acl: \"+@all ~a*\"}}}\n"})
	var c *client
	for range 9 {
		c = login(t, s, "initech")
		c.expect("-NOPERM this user has no permissions to access one of the keys used as arguments\r\n", "GET", strings.Repeat("b", 1000))
	}
	reply := c.do("ACL", "LOG")
	if !strings.HasPrefix(reply, "*1\r\n") || !strings.Contains(reply, "count\r\n:9\r\n") || !strings.Contains(reply, "... (744 more bytes)") {
		t.Errorf("%q", reply)
	}
	c.expect("+OK\r\n", "ACL", "LOG", "RESET")
	c.expect("*0\r\n", "ACL", "LOG")
}
