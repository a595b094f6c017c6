package jwt

import (
	"context"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"riptide-proxy/config"
)

// longestToken is in bytes. It is what a client may send before it has logged in.
const longestToken = 16 << 10

// Verifier knows the issuers. Its methods may be called from any goroutine; only
// Looks and Valid of tokens are for an event loop, the others take time.
type Verifier struct {
	now     func() time.Time
	issuers atomic.Pointer[Issuers]
	checks  chan struct{} // bounds how many signatures are checked at once

	mu         sync.Mutex // of what follows
	ctx        context.Context
	cancel     context.CancelFunc
	refreshing sync.WaitGroup
}

// Issuers are those of one configuration.
type Issuers struct {
	byClaim map[string]*issuer  // by the claim iss
	revoked map[string]*revoked // by the issuer's name
}

// New makes a verifier that knows no issuer. It is to be closed.
func New() *Verifier {
	v := &Verifier{now: time.Now, checks: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	v.issuers.Store(&Issuers{})
	return v
}

// Load reads the files that a configuration names, and changes nothing yet. Issuers that
// are as they were are taken over with the keys that they have. The error tells which
// file can not be used. URLs are read later, in the background.
func (v *Verifier) Load(c *config.JWT) (*Issuers, error) {
	before := v.issuers.Load()
	next := &Issuers{byClaim: make(map[string]*issuer, len(c.Issuers)), revoked: revocations(c)}
	for name, ic := range c.Issuers {
		if old := before.byClaim[ic.Issuer]; old != nil && old.name == name && reflect.DeepEqual(old.cfg, ic) {
			next.byClaim[ic.Issuer] = old
			continue
		}
		i, err := newIssuer(name, ic, v.now)
		if err != nil {
			return nil, err
		}
		next.byClaim[ic.Issuer] = i
	}
	return next, nil
}

// Use puts in force what Load has returned. Tokens of issuers that are no more, or
// are configured otherwise now, and those that are revoked, are not valid any more. The files of the others are read
// anew, in the background.
func (v *Verifier) Use(next *Issuers) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ctx.Err() != nil {
		return
	}
	for _, i := range next.byClaim {
		i.revoked.Store(next.revoked[i.name])
	}
	before := v.issuers.Swap(next)
	for claim, old := range before.byClaim {
		if next.byClaim[claim] != old {
			old.end()
		} else {
			old.wakeUp()
		}
	}
	for claim, i := range next.byClaim {
		if before.byClaim[claim] != i {
			ctx, cancel := context.WithCancel(v.ctx)
			i.cancel = cancel
			v.refreshing.Go(func() { i.run(ctx) })
		}
	}
}

// Close ends what runs in the background, and waits for it.
func (v *Verifier) Close() {
	v.mu.Lock()
	v.cancel()
	v.mu.Unlock()
	v.refreshing.Wait()
}

// Looks reports whether a secret has the shape of a token and there are issuers: then it is to be
// checked as one, and not as a password.
func (v *Verifier) Looks(secret []byte) bool {
	return len(v.issuers.Load().byClaim) > 0 && shaped(secret)
}

// shaped reports whether secret is three pieces of base64 with dots between them, of which the first begins
// with a brace.
func shaped[T string | []byte](secret T) bool {
	if len(secret) < 2 || secret[0] != 'e' || secret[1] < 'w' || secret[1] > 'z' {
		return false
	}
	dots := 0
	for n := range len(secret) {
		switch c := secret[n]; {
		case c == '.':
			dots++
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return dots == 2
}

// turn waits until a signature may be checked.
func (v *Verifier) turn(ctx context.Context) (done func(), err error) {
	select {
	case v.checks <- struct{}{}:
		return func() { <-v.checks }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
