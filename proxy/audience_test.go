package proxy

import (
	"testing"

	"riptide-proxy/tests/harness"
)

func TestAudience(t *testing.T) {
	var a audience
	root := []byte("t:acme:")
	check := func(want int, kind int, name string) {
		t.Helper()
		if got := a.receivers(kind, root, []byte(name)); got != want {
			t.Errorf("%d more get what is published to %s, want %d", got, name, want)
		}
	}
	check(0, channels, "t:acme:ch")
	a.change(channels, "t:acme:", "t:acme:ch", 1, 0)
	a.change(channels, "t:acme:", "t:acme:ch", 0, 5)
	a.change(shards, "t:acme:", "t:acme:ch", 1, 1)
	a.change(patterns, "t:acme:", "t:acme:c*", 2, 7)
	a.change(patterns, "t:acme:", "t:acme:d*", 1, 9)
	a.change(patterns, "t:globex:", "t:globex:*", 1, 3)
	check(4+5, channels, "t:acme:ch")
	check(8, channels, "t:acme:d")
	check(0, channels, "t:acme:x")
	check(0, shards, "t:acme:ch")
	if got := a.subscribers(channels, []byte("t:acme:ch")); got != 4 {
		t.Errorf("%d more have subscribed, want 4", got)
	}
	a.change(channels, "t:acme:", "t:acme:ch", -1, -5)
	a.change(shards, "t:acme:", "t:acme:ch", -1, -1)
	a.change(patterns, "t:acme:", "t:acme:c*", -2, -7)
	a.change(patterns, "t:acme:", "t:acme:d*", -1, -9)
	check(0, channels, "t:acme:ch")
	if n := a.active.Load(); n != 1 {
		t.Errorf("%d names are left, want 1", n)
	}
	a.change(patterns, "t:globex:", "t:globex:*", -1, -3)
	if n := a.active.Load(); n != 0 || len(a.patterns) != 0 {
		t.Errorf("%d names are left", n)
	}
}

// A connection of a client's own is refused when there would be too few
// descriptors for it, and to be had again once there are enough.
func TestDescriptorsRunOut(t *testing.T) {
	s := startProxy(t, harness.StartRedis(t).Addr, options{})
	c := login(t, s, "acme")
	set := func(n int) { onLoop(t, s.workers[0], func() { s.descriptors = n }) }
	set(reservedDescriptors + 1) // which the client itself has
	c.expect("-"+errNoPin+"\r\n", "MULTI")
	c.expect("-"+errNoPin+"\r\n", "SUBSCRIBE", "ch")
	c.expect("+OK\r\n", "SET", "k", "v")
	set(reservedDescriptors + 2)
	c.expect("+OK\r\n", "MULTI")
	other := login(t, s, "acme")
	other.expect("-"+errNoPin+"\r\n", "WATCH", "k")
	c.expect("+OK\r\n", "DISCARD")
}
