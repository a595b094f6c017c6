package tests

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
)

// Subscribers that share connections to the upstream, on two loops so that
// there are two of those. TestStatefulShared compares them with plain Redis.

func startShared(t *testing.T, own int, o harness.Options) (*harness.Process, *harness.Proxy) {
	t.Helper()
	r := harness.StartRedis(t)
	o.Upstream = fmt.Sprintf("  subscriber_connections: %d\n", own)
	o.Top += "loops: 2\n"
	p := harness.StartProxy(t, r.Addr, o)
	p.Ready(t)
	return r, p
}

func sharedSubscribe(t *testing.T, p *harness.Proxy, tenant harness.Tenant, calls ...string) *harness.Conn {
	t.Helper()
	c := p.Connect(t, tenant)
	for _, call := range calls {
		words := strings.Fields(call)
		if reply, err := c.Do(words...); err != nil || !strings.Contains(reply, words[len(words)-1]) && words[0] != "HELLO" {
			t.Fatalf("%s: %q, %v", call, reply, err)
		}
	}
	return c
}

// All hear everything in its order, however many they are and however fast it
// comes.
func TestSharedFanOut(t *testing.T) {
	own := int(diffSetting(t, "RIPTIDE_TEST_SUBSCRIBERS", 0))
	n, messages := int(diffSetting(t, "RIPTIDE_TEST_CONNECTIONS", 1200)), int(diffSetting(t, "RIPTIDE_TEST_MESSAGES", 100))
	r, p := startShared(t, own, harness.Options{Limits: "  clients: 20000\n"})
	subs := make([]*harness.Conn, n)
	for i := range subs {
		subs[i] = sharedSubscribe(t, p, harness.Acme, "SUBSCRIBE news")
	}
	payload := func(i int) string {
		return fmt.Sprintf("%06d %s", i, strings.Repeat("x", []int{10, 10, 10, 2000}[i%4]))
	}
	push := p.Connect(t, harness.Acme)
	began, cpu, cpuRedis := time.Now(), p.CPU(t), r.CPU(t)
	go func() {
		var b []byte
		for i := range messages {
			b = append(b, harness.Request("PUBLISH", "news", payload(i))...)
		}
		push.Write(b)
	}()
	var wg sync.WaitGroup
	for k, c := range subs {
		wg.Go(func() {
			for i := range messages {
				if reply, err := c.Reply(); err != nil || reply != "*3\r\n"+poolBulks("message", "news", payload(i)) {
					t.Errorf("subscriber %d, message %d: %.60q, %v", k, i, reply, err)
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	for i := range messages {
		if reply, err := push.Reply(); err != nil || reply != fmt.Sprintf(":%d\r\n", n) {
			t.Fatalf("PUBLISH %d: %q, %v", i, reply, err)
		}
	}
	t.Logf("%d messages to %d: %v, %.0f deliveries/s; processor time of the proxy %v, of Redis %v", messages, n, took, float64(messages*n)/took.Seconds(), p.CPU(t)-cpu, r.CPU(t)-cpuRedis)
}

// How many there are is known exactly, over both loops and whichever
// connections they use.
func TestSharedCounts(t *testing.T) {
	t.Parallel()
	_, p := startShared(t, 2, harness.Options{})
	var subs []*harness.Conn
	for range 7 {
		subs = append(subs, sharedSubscribe(t, p, harness.Acme, "SUBSCRIBE ch"))
	}
	for _, call := range []string{"PSUBSCRIBE c*", "PSUBSCRIBE *h", "PSUBSCRIBE c*", "PSUBSCRIBE d*", "SSUBSCRIBE ch", "SSUBSCRIBE ch"} {
		subs = append(subs, sharedSubscribe(t, p, harness.Acme, call))
	}
	sharedSubscribe(t, p, harness.Globex, "SUBSCRIBE ch")
	sharedSubscribe(t, p, harness.Globex, "PSUBSCRIBE *")
	c := p.Connect(t, harness.Acme)
	numsub := func(n int) string {
		return "*4\r\n" + poolBulks("ch") + fmt.Sprintf(":%d\r\n", n) + poolBulks("no") + ":0\r\n"
	}
	for _, x := range []struct {
		want string
		call string
	}{
		{":10\r\n", "PUBLISH ch m"}, {":2\r\n", "SPUBLISH ch m"}, {":0\r\n", "PUBLISH no m"}, {":1\r\n", "PUBLISH d m"},
		{numsub(7), "PUBSUB NUMSUB ch no"}, {numsub(2), "PUBSUB SHARDNUMSUB ch no"}, {":3\r\n", "PUBSUB NUMPAT"},
	} {
		expect(t, c, x.want, strings.Fields(x.call)...)
	}
	heard := func(s *harness.Conn, want string) {
		t.Helper()
		if reply, err := s.Reply(); err != nil || reply != want {
			t.Fatalf("%q, %v; want %q", reply, err, want)
		}
	}
	for i, s := range subs[:7] {
		heard(s, "*3\r\n"+poolBulks("message", "ch", "m"))
		switch i % 3 {
		case 0:
			expect(t, s, "*3\r\n"+poolBulks("unsubscribe", "ch")+":0\r\n", "UNSUBSCRIBE", "ch")
		case 1:
			expect(t, s, "+RESET\r\n", "RESET")
		case 2:
			s.Close()
		}
		harness.Eventually(t, "there is one less", func() bool {
			reply, err := c.Do("PUBSUB", "NUMSUB", "ch", "no")
			return err == nil && reply == numsub(6-i)
		})
	}
	expect(t, c, ":3\r\n", "PUBLISH", "ch", "m")
	expect(t, c, "*0\r\n", "PUBSUB", "CHANNELS")
}

// A client of RESP3 that listens to itself hears its messages in their order
// and before the replies, as from Redis 7.0, and does everything else beside.
func TestSharedOwnMessages(t *testing.T) {
	t.Parallel()
	_, p := startShared(t, 0, harness.Options{})
	c := sharedSubscribe(t, p, harness.Acme, "HELLO 3", "SUBSCRIBE ch")
	for i := range 50 {
		v := fmt.Sprint(i)
		c.Send("SET", "k", v)
		c.Send("PUBLISH", "ch", v)
		c.Send("PUBLISH", "ch", "again")
		c.Send("GET", "k")
		for _, want := range []string{"+OK\r\n", ">3\r\n" + poolBulks("message", "ch", v), ":1\r\n", ">3\r\n" + poolBulks("message", "ch", "again"), ":1\r\n", poolBulks(v)} {
			if reply, err := c.Reply(); err != nil || reply != want {
				t.Fatalf("round %d: %q, %v; want %q", i, reply, err, want)
			}
		}
	}
}

// When the connection breaks all who share it are closed, and nobody else. Who
// comes again is served, and told so at once while there is no upstream.
func TestSharedLost(t *testing.T) {
	t.Parallel()
	r, p := startShared(t, 0, harness.Options{})
	other := p.Connect(t, harness.Acme)
	for range 2 {
		var subs []*harness.Conn
		for i := range 10 {
			subs = append(subs, sharedSubscribe(t, p, harness.Acme, "HELLO "+fmt.Sprint(2+i/2%2), "SUBSCRIBE ch", "PSUBSCRIBE c*", "SSUBSCRIBE s"))
		}
		expect(t, other, ":20\r\n", "PUBLISH", "ch", "m")
		expect(t, diffDial(t, r.Addr, ""), ":3\r\n", "CLIENT", "KILL", "TYPE", "pubsub")
		for i, s := range subs {
			s.SetReadDeadline(time.Now().Add(statePatience))
			if b, err := io.ReadAll(s.R); err != nil || strings.Count(string(b), "message") != 2 {
				t.Fatalf("subscriber %d: %q, %v", i, b, err)
			}
		}
		expect(t, other, ":0\r\n", "PUBLISH", "ch", "m")
	}
	r.Kill()
	harness.Eventually(t, "the upstream is not there", func() bool {
		reply, _ := other.Do("SET", "k", "v")
		return strings.HasPrefix(reply, "-UNAVAILABLE")
	})
	c := p.Connect(t, harness.Acme)
	harness.Eventually(t, "nobody can subscribe", func() bool {
		reply, _ := c.Do("SUBSCRIBE", "ch")
		return strings.HasPrefix(reply, "-UNAVAILABLE")
	})
}

// One that does not read is closed at its limit, and the others hear all.
func TestSharedSlowReader(t *testing.T) {
	t.Parallel()
	_, p := startShared(t, 0, harness.Options{Limits: "  output_buffer: 1MiB\n"})
	slow := sharedSubscribe(t, p, harness.Acme, "SUBSCRIBE ch")
	fast := []*harness.Conn{sharedSubscribe(t, p, harness.Acme, "SUBSCRIBE ch"), sharedSubscribe(t, p, harness.Acme, "SUBSCRIBE ch")}
	c := p.Connect(t, harness.Acme)
	message := strings.Repeat("x", 100<<10)
	for i := 0; ; i++ {
		reply, err := c.Do("PUBLISH", "ch", message)
		if err != nil || i == 1000 {
			t.Fatalf("message %d: %q, %v", i, reply, err)
		}
		for _, s := range fast {
			if got, err := s.Reply(); err != nil || got != "*3\r\n"+poolBulks("message", "ch", message) {
				t.Fatalf("message %d: %.60q, %v", i, got, err)
			}
		}
		if reply == ":2\r\n" {
			break
		}
	}
	slow.SetReadDeadline(time.Now().Add(statePatience))
	if _, err := io.Copy(io.Discard, slow.R); os.IsTimeout(err) {
		t.Fatal("it is not closed")
	}
}

// What another client's tracking finds is redirected to one that shares its
// subscriptions, as long as it has any.
func TestSharedRedirect(t *testing.T) {
	t.Parallel()
	_, p := startShared(t, 0, harness.Options{})
	listener, c := p.Connect(t, harness.Acme), p.Connect(t, harness.Acme)
	var id int
	if reply, err := listener.Do("CLIENT", "ID"); err != nil {
		t.Fatal(err)
	} else if _, err := fmt.Sscanf(reply, ":%d", &id); err != nil {
		t.Fatal(err)
	}
	expect(t, listener, "*3\r\n"+poolBulks("subscribe", "__redis__:invalidate")+":1\r\n", "SUBSCRIBE", "__redis__:invalidate")
	expect(t, c, "+OK\r\n", "CLIENT", "TRACKING", "ON", "REDIRECT", fmt.Sprint(id))
	expect(t, c, "$-1\r\n", "GET", "k")
	expect(t, p.Connect(t, harness.Acme), "+OK\r\n", "SET", "k", "v")
	want := "*3\r\n" + poolBulks("message", "__redis__:invalidate") + "*1\r\n" + poolBulks("k")
	if reply, err := listener.Reply(); err != nil || reply != want {
		t.Fatalf("%q, %v; want %q", reply, err, want)
	}
	expect(t, p.Connect(t, harness.Acme), ":1\r\n", "PUBLISH", "__redis__:invalidate", "m")
	if reply, err := listener.Reply(); err != nil || !strings.Contains(reply, "\r\nm\r\n") {
		t.Fatalf("%q, %v", reply, err)
	}
	expect(t, listener, "*3\r\n"+poolBulks("unsubscribe", "__redis__:invalidate")+":0\r\n", "UNSUBSCRIBE")
	expect(t, listener, "+OK\r\n", "SET", "other", "v")
}
