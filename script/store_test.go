package script

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"riptide-proxy/tests/harness"
)

func TestStore(t *testing.T) {
	st := NewStore(DefaultLimits)
	source := []byte("return 1")
	s := st.Add("acme", Mode{}, source)
	source[7] = '2' // the caller's buffer may be used again
	if s.SHA != "e0e1f9fabfc9d4800c877a703b823ac0578ff8db" || string(s.Source) != "return 1" || s.WrappedSHA != Sum(s.Wrapped) {
		t.Errorf("%+v", s)
	}
	if st.Add("acme", Mode{}, []byte("return 1")) != s {
		t.Error("wrapped twice")
	}
	for _, sha := range []string{s.SHA, strings.ToUpper(s.SHA)} {
		if st.Get("acme", Mode{}, []byte(sha)) != s {
			t.Errorf("%s is not found", sha)
		}
	}
	for _, sha := range []string{"", "x", s.SHA[:39], s.SHA + "0", strings.Repeat("g", 40), s.WrappedSHA} {
		if st.Get("acme", Mode{}, []byte(sha)) != nil {
			t.Errorf("%q is found", sha)
		}
	}
	if st.Get("globex", Mode{}, []byte(s.SHA)) != nil {
		t.Error("another tenant knows it")
	}
	if other := st.Add("globex", Mode{}, []byte("return 1")); other.WrappedSHA != s.WrappedSHA {
		t.Error("tenants have different wrapped scripts")
	}
	if again := st.Get("acme", Mode{Trusted: true}, []byte(s.SHA)); again == nil || !again.Trusted || again.WrappedSHA == s.WrappedSHA {
		t.Error("a trusted tenant gets an isolated script")
	}
	if again := st.Get("acme", Mode{Values: true}, []byte(s.SHA)); again == nil || again.Mode != (Mode{Values: true}) {
		t.Error("a tenant with sealed values gets another's script")
	}
	st.Flush("acme")
	if st.Get("acme", Mode{}, []byte(s.SHA)) != nil || st.Get("globex", Mode{}, []byte(s.SHA)) == nil {
		t.Error("flushed the wrong ones")
	}
}

func TestStoreBounds(t *testing.T) {
	st := NewStore(Limits{Scripts: 10, Bytes: 1 << 20})
	var all []*Script
	for i := range 30 {
		all = append(all, st.Add("acme", Mode{}, fmt.Appendf(nil, "return %d", i)))
		st.Get("acme", Mode{}, []byte(all[0].SHA)) // what is used stays
	}
	left := 0
	for _, s := range all {
		if st.Get("acme", Mode{}, []byte(s.SHA)) != nil {
			left++
		}
	}
	if left != 10 || st.Get("acme", Mode{}, []byte(all[0].SHA)) == nil {
		t.Errorf("%d are left", left)
	}
	big := func(i int) []byte { return fmt.Appendf(nil, "--%s\nreturn %d", strings.Repeat("x", 100<<10), i) }
	for i := range 10 {
		st.Add("acme", Mode{}, big(i))
	}
	sh := st.shelf("acme", false)
	total := 0
	for _, s := range sh.lru.Values() {
		total += s.size()
	}
	if total != sh.bytes || total > 1<<20 || sh.lru.Len() < 3 {
		t.Errorf("%d bytes counted as %d", total, sh.bytes)
	}
	huge := st.Add("acme", Mode{}, bytes.Repeat([]byte(" "), 2<<20))
	if huge == nil || st.Get("acme", Mode{}, []byte(huge.SHA)) != nil || sh.lru.Len() < 3 {
		t.Error("a script larger than the limit is kept, or drives out the others")
	}
}

func TestStoreAtOnce(t *testing.T) {
	st := NewStore(Limits{Scripts: 20, Bytes: 1 << 20})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				tenant := fmt.Sprint("t", (g+i)%3)
				s := st.Add(tenant, Mode{Trusted: i%7 == 0}, fmt.Appendf(nil, "return %d", i%40))
				st.Get(tenant, Mode{Trusted: i%5 == 0}, []byte(s.SHA))
				if i%100 == 0 {
					st.Flush(tenant)
				}
			}
		})
	}
	wg.Wait()
}

func TestPersist(t *testing.T) {
	server := harness.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1})
	defer client.Close()
	ctx := harness.Context(t)
	limits := Limits{Scripts: 5, Bytes: 1 << 20}
	a, b := New([]byte("return 'a'"), Mode{}), New([]byte("return 'b\x00'"), Mode{Trusted: true})
	for _, s := range []*Script{a, b, a} {
		if err := Save(ctx, client, "t:acme:", s, limits); err != nil {
			t.Fatal(err)
		}
	}
	client.HSet(ctx, "t:acme:scripts", strings.Repeat("0", 40), "return 'forged'")
	found, err := Load(ctx, client, "t:acme:", a.SHA, strings.ToUpper(b.SHA), strings.Repeat("0", 40), "nonsense")
	if err != nil || len(found) != 2 || string(found[a.SHA]) != "return 'a'" || string(found[b.SHA]) != "return 'b\x00'" {
		t.Errorf("%q, %v", found, err)
	}
	if found, err := Load(ctx, client, "t:globex:", a.SHA); err != nil || len(found) != 0 {
		t.Errorf("another tenant's: %q, %v", found, err)
	}
	for i := range 20 {
		s := New(fmt.Appendf(nil, "return %d", i), Mode{})
		if err := Save(ctx, client, "t:acme:", s, limits); err != nil {
			t.Fatal(err)
		}
		if found, _ := Load(ctx, client, "t:acme:", s.SHA); len(found) != 1 {
			t.Error("the last one saved is missing")
		}
	}
	if n := client.HLen(ctx, "t:acme:scripts").Val(); n != 5 {
		t.Errorf("%d are kept", n)
	}
	for i := range 10 {
		s := New(fmt.Appendf(nil, "--%s\nreturn %d", strings.Repeat("x", 400<<10), i), Mode{})
		if err := Save(ctx, client, "t:acme:", s, limits); err != nil {
			t.Fatal(err)
		}
	}
	if n := client.MemoryUsage(ctx, "t:acme:scripts").Val(); n > 1<<20 {
		t.Errorf("%d bytes are kept", n)
	}
	if err := Save(ctx, client, "t:acme:", New(make([]byte, LongestSaved+1), Mode{}), limits); err != ErrTooLong {
		t.Error(err)
	}
	if err := DeleteSaved(ctx, client, "t:acme:"); err != nil || client.Exists(ctx, "t:acme:scripts").Val() != 0 {
		t.Error("it is still there", err)
	}
}

func BenchmarkAddAgain(b *testing.B) {
	st := NewStore(DefaultLimits)
	source := bytes.Repeat([]byte("redis.call('get', KEYS[1])\n"), 40)
	b.ReportAllocs()
	for b.Loop() {
		st.Add("acme", Mode{}, source)
	}
}

func BenchmarkWrap(b *testing.B) {
	source := bytes.Repeat([]byte("redis.call('get', KEYS[1])\n"), 40)
	for b.Loop() {
		Wrap(source, Mode{})
	}
}
