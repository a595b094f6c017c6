package dictionary

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"riptide-proxy/tests/harness"
	"riptide-proxy/value"
)

// What a proxy has kept another one can read with before it has asked the upstream; and what the upstream
// has lost it gets back.
func TestRecall(t *testing.T) {
	server := harness.StartRedis(t)
	one := newProxy(t, server, *acme())
	general, special := trained(t, Everything, 1), trained(t, "session:*", 2)
	one.poll()
	one.publish(general, 0)
	one.publish(special, 0)
	one.poll()
	kept, left := one.Keep(1 << 20)
	if len(kept["acme"]) != 2 || left != 0 {
		t.Fatalf("%d kept, %d left out", len(kept["acme"]), left)
	}

	if err := one.client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	two := newProxy(t, server, *acme())
	if err := two.Recall(kept); err != nil {
		t.Fatal(err)
	}
	if !two.reads(general.ID) || !two.reads(special.ID) {
		t.Error("they can not be read with")
	}
	two.wantWrites("session:1", 0)
	two.poll()
	two.wantWrites("session:1", special.ID)
	two.wantWrites("other", general.ID)
	three := newProxy(t, server, *acme())
	three.poll()
	three.wantWrites("session:1", special.ID)

	// What was dropped meanwhile does not come back.
	tombstone, err := special.with(func(m *Meta) { m.Dropped = time.Now() }).stored(acme())
	if err == nil {
		err = one.client.HSet(t.Context(), acme().key(), field(special.ID), tombstone).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	four := newProxy(t, server, *acme())
	if err := four.Recall(kept); err != nil {
		t.Fatal(err)
	}
	four.poll()
	four.wantWrites("session:1", general.ID)
	if four.reads(special.ID) {
		t.Error("a dropped one is back")
	}
	if err := four.Recall(map[string][]Kept{"nobody": kept["acme"]}); err != nil {
		t.Error(err)
	}
}

// Of a tenant with encryption nothing is kept in plain, and another key does not open it.
func TestKeepEncrypted(t *testing.T) {
	server := harness.StartRedis(t)
	secret := *acme()
	secret.Settings.Keys = keyring(t, "one")
	one := newProxy(t, server, secret)
	e := trained(t, Everything, 1)
	one.poll()
	if err := one.Store().Publish(harness.Context(t), &secret, e, 0); err != nil {
		t.Fatal(err)
	}
	one.poll()
	kept, _ := one.Keep(1 << 20)
	if len(kept["acme"]) != 1 || bytes.Contains(kept["acme"][0].Stored, e.Blob[len(e.Blob)-64:]) {
		t.Fatalf("%d kept, in plain", len(kept["acme"]))
	}
	two := newProxy(t, server, secret)
	if err := two.Recall(kept); err != nil || !two.reads(e.ID) {
		t.Errorf("with the key: %v", err)
	}
	other := *acme()
	other.Settings.Keys = keyring(t, "two")
	three := newProxy(t, server, other)
	var missing *value.MissingKeyError
	if err := three.Recall(kept); !errors.As(err, &missing) || three.reads(e.ID) {
		t.Errorf("with another key: %v", err)
	}
}

// What does not fit is left out: the oldest, and what is not written with any more, first. What can not be read is told
// of, and the rest is used.
func TestKeepSome(t *testing.T) {
	server := harness.StartRedis(t)
	one := newProxy(t, server, *acme())
	first, second, third := trained(t, Everything, 1), trained(t, "session:*", 2), trained(t, Everything, 3)
	one.poll()
	present := uint32(0)
	for _, e := range []*Entry{first, third} {
		one.publish(e, present)
		present = e.ID
		time.Sleep(2 * time.Millisecond) // the upstream's clock tells them apart
	}
	one.publish(second, 0)
	one.poll()
	all, _ := one.Keep(1 << 20)
	if got := all["acme"]; len(got) != 3 || got[0].ID != second.ID || got[1].ID != third.ID || got[2].ID != first.ID {
		t.Fatalf("%d kept", len(got))
	}
	room := len(all["acme"][0].Stored) + len(all["acme"][1].Stored)
	some, left := one.Keep(room)
	if len(some["acme"]) != 2 || left != 1 {
		t.Errorf("%d kept, %d left out", len(some["acme"]), left)
	}
	bad := all["acme"]
	bad[0].Stored = bad[0].Stored[:len(bad[0].Stored)-1]
	bad[1].ID++
	two := newProxy(t, server, *acme())
	if err := two.Recall(all); err == nil || !strings.Contains(err.Error(), "acme") {
		t.Errorf("%v", err)
	}
	if !two.reads(first.ID) || two.reads(second.ID) || two.reads(third.ID+1) {
		t.Error("only the good one can be read with")
	}
}
