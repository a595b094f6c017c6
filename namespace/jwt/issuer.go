package jwt

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"riptide-proxy/config"
)

const (
	// askAgain is how often tokens with an unknown key may have the keys read anew.
	askAgain = 10 * time.Second
	// askTime is how long a login waits for that.
	askTime = 5 * time.Second
	// First and longest pause after keys could not be read.
	firstRetry   = time.Second
	longestRetry = time.Minute
)

// issuer is one of the configuration, with the keys that it has at this moment.
type issuer struct {
	name    string
	cfg     *config.JWTIssuer
	now     func() time.Time
	parser  *jwt.Parser
	tenants map[string]bool // empty: all
	roles   map[string]config.Role
	keys    atomic.Pointer[[]*key]
	revoked atomic.Pointer[revoked] // nil: none is

	sources []*source // of the goroutine that runs run
	cancel  func()    // ends it
	wake    chan struct{}

	mu      sync.Mutex
	asked   time.Time     // when tokens had the keys read last
	waiting chan struct{} // closed when they have been read; nil if nobody waits
	ended   bool          // what is read from now on does not count

	succeeded, failed atomic.Uint64
	fresh             atomic.Int64 // when all sources could be read last, in Unix time
}

// newIssuer reads the keys that are in files.
func newIssuer(name string, c *config.JWTIssuer, now func() time.Time) (*issuer, error) {
	i := &issuer{name: name, cfg: c, now: now, roles: c.Roles, wake: make(chan struct{}, 1), cancel: func() {}}
	if len(i.roles) == 0 {
		i.roles = ownNames
	}
	if len(c.Tenants) > 0 {
		i.tenants = make(map[string]bool, len(c.Tenants))
		for _, t := range c.Tenants {
			i.tenants[t] = true
		}
	}
	allowed := make([]string, len(c.Algorithms))
	for n, a := range c.Algorithms {
		allowed[n] = string(a)
	}
	i.parser = jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithValidMethods(allowed), jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience...),
		jwt.WithExpirationRequired(), jwt.WithLeeway(time.Duration(c.Leeway)), jwt.WithTimeFunc(now))
	var err error
	if i.sources, err = sources(c); err != nil {
		return nil, config.At(err, "jwt", "issuers", name)
	}
	for _, s := range i.sources {
		if s.remote {
			continue
		}
		if s.keys, err = s.load(context.Background()); err != nil {
			return nil, config.At(fmt.Errorf("%s: %w", s.name, err), "jwt", "issuers", name)
		}
		s.read = now()
	}
	i.publish()
	return i, nil
}

// fitting are the keys that a token of an algorithm can be signed with. id is the one that it names, or empty.
func (i *issuer) fitting(algorithm config.JWTAlgorithm, id string) (keys []*key) {
	for _, k := range *i.keys.Load() {
		if k.algorithm == algorithm && (k.id == "" || id == "" || k.id == id) {
			keys = append(keys, k)
		}
	}
	return keys
}

// keyless reports whether there is no key at all.
func (i *issuer) keyless() bool { return len(*i.keys.Load()) == 0 }

// again has the keys read anew for a token whose key is not known, and waits for it. It is false if that
// was tried not long ago: whoever sends made-up tokens shall not have the issuer flooded.
func (i *issuer) again(ctx context.Context) bool {
	if i.cfg.JWKS == (config.JWKS{}) {
		return false
	}
	i.mu.Lock()
	if i.waiting == nil {
		if i.now().Sub(i.asked) < askAgain || i.ended {
			i.mu.Unlock()
			return false
		}
		i.asked = i.now()
		i.waiting = make(chan struct{})
		i.wakeUp()
	}
	done := i.waiting
	i.mu.Unlock()
	timeout := time.NewTimer(askTime)
	defer timeout.Stop()
	select {
	case <-done:
		return true
	case <-timeout.C:
	case <-ctx.Done():
	}
	return false
}

// wakeUp has the keys read now.
func (i *issuer) wakeUp() {
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

// run reads the keys anew until ctx ends.
func (i *issuer) run(ctx context.Context) {
	pause := time.Duration(i.cfg.Refresh)
	if i.cfg.JWKS.URL != "" {
		pause = 0
	}
	retry := firstRetry
	for {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-i.wake:
			timer.Stop()
		case <-timer.C:
		}
		if i.refresh(ctx) {
			retry, pause = firstRetry, time.Duration(i.cfg.Refresh)
		} else {
			pause, retry = min(retry, time.Duration(i.cfg.Refresh)), min(2*retry, longestRetry)
		}
		// Up to a tenth sooner, so that proxies do not ask all at once.
		pause -= time.Duration(rand.Int64N(int64(pause)/10 + 1))
		i.answer()
	}
}

// answer tells those who wait that the keys have been read.
func (i *issuer) answer() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.waiting != nil {
		close(i.waiting)
		i.waiting = nil
	}
}

// refresh reads all sources. What can not be read keeps the keys that it had, until they are too old.
func (i *issuer) refresh(ctx context.Context) (complete bool) {
	complete = true
	for _, s := range i.sources {
		keys, err := s.load(ctx)
		if ctx.Err() != nil {
			return false
		}
		now := i.now()
		if err == nil {
			if s.wrong != "" {
				slog.Info("keys for tokens can be read again", "issuer", i.name, "from", s.name)
			}
			s.keys, s.read, s.wrong = keys, now, ""
			continue
		}
		complete = false
		if text := err.Error(); text != s.wrong {
			s.wrong = text
			slog.Warn("keys for tokens can not be read; those that were read before go on being used until max_age", "issuer", i.name, "from", s.name, "keys", len(s.keys), "error", text)
		}
		if len(s.keys) > 0 && now.Sub(s.read) > time.Duration(i.cfg.MaxAge) {
			slog.Error("keys for tokens are too old and not used any more", "issuer", i.name, "from", s.name)
			s.keys = nil
		}
	}
	if complete {
		i.succeeded.Add(1)
		i.fresh.Store(i.now().Unix())
	} else {
		i.failed.Add(1)
	}
	i.publish()
	return complete
}

// publish puts the keys of all sources in force. Those that were there before stay the same ones; those that are
// gone are retired, and with them the tokens that they have signed.
func (i *issuer) publish() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended {
		return
	}
	before := make(map[[sha256.Size]byte]*key)
	if old := i.keys.Load(); old != nil {
		for _, k := range *old {
			before[k.sum] = k
		}
	}
	var all []*key
	has := make(map[[sha256.Size]byte]bool)
	for _, s := range i.sources {
		for _, k := range s.keys {
			if has[k.sum] {
				continue
			}
			has[k.sum] = true
			if old := before[k.sum]; old != nil {
				k = old
			}
			all = append(all, k)
		}
	}
	i.keys.Store(&all)
	for sum, k := range before {
		if !has[sum] {
			k.retired.Store(true)
		}
	}
}

// end retires all keys: the issuer is no more, or another one.
func (i *issuer) end() {
	i.cancel()
	defer i.answer()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
	for _, k := range *i.keys.Load() {
		k.retired.Store(true)
	}
	none := []*key{}
	i.keys.Store(&none)
}
