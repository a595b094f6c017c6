package dictionary

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestEntry(t *testing.T) {
	tenant := acme()
	e := trained(t, "session:*", 1)
	stored, err := e.stored(tenant)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseEntry(tenant, e.ID, stored)
	if err != nil {
		t.Fatal(err)
	}
	e.Size = len(e.Blob)
	if !bytes.Equal(got.Blob, e.Blob) || !reflect.DeepEqual(got.Meta, e.Meta) || got.Dict().ID != e.ID {
		t.Errorf("%+v, want %+v", got.Meta, e.Meta)
	}
	altered := bytes.Clone(stored)
	altered[len(altered)-1]++
	for name, stored := range map[string][]byte{
		"empty":         nil,
		"altered":       altered,
		"cut off":       stored[:len(stored)-1],
		"more":          append(bytes.Clone(stored), 0),
		"no line":       []byte(strings.Repeat("x", maxMeta+1)),
		"not JSON":      []byte("x\n"),
		"later version": bytes.Replace(stored, []byte(`"version":1`), []byte(`"version":2`), 1),
		"no dictionary": []byte(`{"version":1,"size":3}` + "\nabc"),
		"too long":      append(bytes.Clone(stored), make([]byte, maxEntry)...),
		"not encrypted": bytes.Replace(stored, []byte(`"samples"`), []byte(`"sealed":true,"samples"`), 1),
	} {
		if _, err := parseEntry(tenant, e.ID, stored); !errors.Is(err, errEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parseEntry(tenant, e.ID+1, stored); !errors.Is(err, errEntry) {
		t.Errorf("under another id: %v", err)
	}
	e.Pattern = strings.Repeat("x", maxMeta)
	if _, err := e.stored(tenant); err == nil {
		t.Error("stored with a description that is too long")
	}
}

func TestParseID(t *testing.T) {
	if id, err := ParseID("0000002a"); id != 42 || err != nil {
		t.Error(id, err)
	}
	for _, text := range []string{"", "2a", "0000002A", "+000002a", "00000002a", "0x00002a"} {
		if _, err := ParseID(text); err == nil {
			t.Errorf("%q is an id", text)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	tenant := acme()
	e := trained(f, "session:*", 1)
	stored, err := e.stored(tenant)
	if err != nil {
		f.Fatal(err)
	}
	dropped, err := e.with(func(m *Meta) { m.Dropped = time.Unix(1, 0) }).stored(tenant)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e.ID, stored)
	f.Add(e.ID, dropped)
	f.Add(uint32(0), []byte("{}\n"))
	f.Fuzz(func(t *testing.T, id uint32, stored []byte) {
		if got, err := parseEntry(tenant, id, stored); err == nil && got.Dropped.IsZero() && got.Dict().ID != id {
			t.Errorf("id %08x of an entry stored under %08x", got.Dict().ID, id)
		}
	})
}
