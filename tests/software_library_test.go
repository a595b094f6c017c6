package tests

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/go-redis/redis_rate/v10"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"

	"riptide-proxy/tests/harness"
)

// A web shop that keeps its sessions in Redis.
func TestSoftwareSessions(t *testing.T) {
	t.Parallel()
	eachAccount(t, func(t *testing.T, a account) {
		sessions := scs.New()
		store := goredisstore.New(a.goRedis(t))
		sessions.Store = store
		sessions.Lifetime = time.Hour
		shop := http.NewServeMux()
		shop.HandleFunc("/add", func(w http.ResponseWriter, r *http.Request) {
			sessions.Put(r.Context(), "basket", sessions.GetString(r.Context(), "basket")+r.FormValue("item")+";")
		})
		shop.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
			if err := sessions.RenewToken(r.Context()); err != nil {
				t.Error(err)
			}
			sessions.Put(r.Context(), "user", r.FormValue("user"))
		})
		shop.HandleFunc("/basket", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, sessions.GetString(r.Context(), "user"), ": ", sessions.GetString(r.Context(), "basket"))
		})
		shop.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
			if err := sessions.Destroy(r.Context()); err != nil {
				t.Error(err)
			}
		})
		server := httptest.NewServer(sessions.LoadAndSave(shop))
		defer server.Close()

		const visitors = 20
		jars := make([]http.CookieJar, visitors)
		get := func(i int, path string) string {
			c := http.Client{Jar: jars[i]}
			resp, err := c.Get(server.URL + path)
			if err != nil {
				t.Error(err)
				return ""
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %s, %v", path, resp.Status, err)
			}
			return string(body)
		}
		allAtOnce(t, visitors, func(i int) error {
			jars[i], _ = cookiejar.New(nil)
			for _, item := range []string{"tea", "cup"} {
				get(i, fmt.Sprintf("/add?item=%s-%s-%d", a.name, item, i))
			}
			get(i, fmt.Sprint("/login?user=u", i))
			want := fmt.Sprintf("u%d: %s-tea-%d;%s-cup-%d;", i, a.name, i, a.name, i)
			if got := get(i, "/basket"); got != want {
				return fmt.Errorf("basket %q, want %q", got, want)
			}
			return nil
		})
		ctx := harness.Context(t)
		if all, err := store.AllCtx(ctx); err != nil || len(all) != visitors {
			t.Errorf("%d sessions are stored, want %d: %v", len(all), visitors, err)
		}
		get(0, "/logout")
		if got := get(0, "/basket"); got != ": " {
			t.Errorf("after logging out: %q", got)
		}
		if all, err := store.AllCtx(ctx); err != nil || len(all) != visitors-1 {
			t.Errorf("%d sessions are stored after one logged out: %v", len(all), err)
		}
	})
}

// Redsync, the distributed lock: both tenants lock the same name.
func TestSoftwareRedsync(t *testing.T) {
	t.Parallel()
	both := make(chan bool, 2)
	eachAccount(t, func(t *testing.T, a account) {
		locks := redsync.New(goredis.NewPool(a.goRedis(t)))
		mutex := func(name string, expiry time.Duration, o ...redsync.Option) *redsync.Mutex {
			o = append(o, redsync.WithExpiry(expiry), redsync.WithRetryDelay(5*time.Millisecond), redsync.WithTries(5000), redsync.WithTimeoutFactor(0.5))
			return locks.NewMutex(name, o...)
		}

		// One at a time: two who count at once would lose a number.
		var inside, counter atomic.Int32
		allAtOnce(t, 16, func(int) error {
			for range 10 {
				m := mutex("counter", 20*time.Second)
				if err := m.Lock(); err != nil {
					return err
				}
				if n := inside.Add(1); n != 1 {
					return fmt.Errorf("%d hold the lock", n)
				}
				counter.Store(counter.Load() + 1)
				inside.Add(-1)
				if ok, err := m.Unlock(); !ok || err != nil {
					return fmt.Errorf("unlock: %v, %w", ok, err)
				}
			}
			return nil
		})
		if n := counter.Load(); n != 160 {
			t.Errorf("counted to %d", n)
		}

		held := mutex("held", time.Minute)
		if err := held.Lock(); err != nil {
			t.Fatal(err)
		}
		both <- true // here both tenants hold it
		for end := time.Now().Add(20 * time.Second); len(both) < 2 && !t.Failed(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the other tenant does not get its lock of the same name")
			}
		}
		var taken *redsync.ErrTaken
		if err := mutex("held", time.Second).TryLock(); !errors.As(err, &taken) {
			t.Errorf("a held lock was given again: %v", err)
		}
		before := held.Until()
		if ok, err := held.Extend(); !ok || err != nil || !held.Until().After(before) {
			t.Errorf("extend: %v, %v", ok, err)
		}
		if ok, err := held.Unlock(); !ok || err != nil {
			t.Errorf("unlock: %v, %v", ok, err)
		}

		began := time.Now()
		short := mutex("short", 250*time.Millisecond)
		if err := short.Lock(); err != nil {
			t.Fatal(err)
		}
		if err := mutex("short", time.Minute).Lock(); err != nil {
			t.Errorf("an expired lock is not free: %v", err)
		}
		if took := time.Since(began); took < 240*time.Millisecond || took > 10*time.Second {
			t.Errorf("a lock of 250 ms expired after %v", took)
		}
		if ok, err := short.Extend(); ok || err == nil {
			t.Errorf("a lock that is somebody else's now was extended: %v", err)
		}
		if ok, err := short.Unlock(); ok || err == nil {
			t.Errorf("a lock that is somebody else's now was freed: %v", err)
		}
	})
}

// A rate limiter whose whole arithmetic is a Lua script.
func TestSoftwareRateLimiter(t *testing.T) {
	t.Parallel()
	eachAccount(t, func(t *testing.T, a account) {
		ctx := harness.Context(t)
		limiter := redis_rate.NewLimiter(a.goRedis(t))
		limit := redis_rate.PerHour(20)
		var allowed atomic.Int32
		allAtOnce(t, 50, func(int) error {
			res, err := limiter.Allow(ctx, "user:1", limit)
			if err == nil {
				allowed.Add(int32(res.Allowed))
				if res.Allowed == 0 && res.RetryAfter <= 0 {
					err = fmt.Errorf("refused, without a time to try again: %+v", res)
				}
			}
			return err
		})
		if n := allowed.Load(); n != 20 {
			t.Errorf("%d of 50 passed a limit of 20", n)
		}
		if res, err := limiter.AllowN(ctx, "user:2", limit, 15); err != nil || res.Allowed != 15 || res.Remaining != 5 {
			t.Errorf("15 of 20: %+v, %v", res, err)
		}
		if res, err := limiter.AllowAtMost(ctx, "user:2", limit, 15); err != nil || res.Allowed != 5 {
			t.Errorf("15 of the 5 that are left: %+v, %v", res, err)
		}
		if err := limiter.Reset(ctx, "user:2"); err != nil {
			t.Error(err)
		}
		if res, err := limiter.Allow(ctx, "user:2", limit); err != nil || res.Allowed != 1 {
			t.Errorf("after a reset: %+v, %v", res, err)
		}
	})
}
