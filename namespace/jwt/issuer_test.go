package jwt

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// publisher is an issuer's web server.
type publisher struct {
	*httptest.Server
	asked atomic.Int64
	mu    sync.Mutex
	serve http.HandlerFunc
}

func publish(t *testing.T, secure bool, keys ...jose.JSONWebKey) *publisher {
	t.Helper()
	p := new(publisher)
	p.keys(keys...)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		p.mu.Lock()
		serve := p.serve
		p.mu.Unlock()
		serve(w, r)
	})
	if secure {
		p.Server = httptest.NewTLSServer(h)
	} else {
		p.Server = httptest.NewServer(h)
	}
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) answers(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve = h
}

func (p *publisher) keys(keys ...jose.JSONWebKey) {
	p.answers(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey{}, keys...)})
	})
}

func (p *publisher) fails() {
	p.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
}

// remote is an issuer whose keys are at a URL.
func remote(url, more string) string {
	return fmt.Sprintf("corp:\nissuer: https://id.example.com\naudience: [riptide]\nalgorithms: [ES256, HS256]\nkeys: [{algorithm: HS256, secret: %q, id: h}]\njwks: {url: %q%s}\n", strings.Repeat("s", 32), url, more)
}

func jwkOf(k *keyring, id string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: &k.ec.PublicKey, KeyID: id}
}

func tokenOf(t *testing.T, k *keyring, id string) string {
	return sign(t, jwt.SigningMethodES256, k.ec, object{"kid": id}, nil)
}

// Whoever makes up key ids does not have the issuer asked more than once in a while, and whoever has a new key
// does not wait for the next time.
func TestUnknownKey(t *testing.T) {
	p := publish(t, false, jwkOf(keys(t, ours), "1"))
	v, c := start(t, remote(p.URL, ""))
	believed(t, v, tokenOf(t, keys(t, ours), "1"))
	refused(t, v, tokenOf(t, keys(t, theirs), "2"), "no key fits")
	before := p.asked.Load()
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			if _, err := verify(v, tokenOf(t, keys(t, theirs), fmt.Sprint("made up ", n))); err == nil {
				t.Error("a made-up key is known")
			}
		})
	}
	all.Wait()
	if n := p.asked.Load() - before; n > 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
	p.keys(jwkOf(keys(t, ours), "1"), jwkOf(keys(t, theirs), "2"))
	refused(t, v, tokenOf(t, keys(t, theirs), "2"), "no key fits")
	c.unix.Add(int64(askAgain / time.Second))
	believed(t, v, tokenOf(t, keys(t, theirs), "2"))
	if n := p.asked.Load() - before; n > 2 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

// A key that is withdrawn takes the tokens with it that it has signed, and no others.
func TestWithdrawnKey(t *testing.T) {
	one, two := jwkOf(keys(t, ours), "1"), jwkOf(keys(t, theirs), "2")
	p := publish(t, false, one, two)
	v, c, i := startStill(t, remote(p.URL, ""))
	first, second := believed(t, v, tokenOf(t, keys(t, ours), "1")), believed(t, v, tokenOf(t, keys(t, theirs), "2"))
	by := sign(t, jwt.SigningMethodHS256, []byte(strings.Repeat("s", 32)), object{"kid": "h"}, nil)
	third := believed(t, v, by)
	refresh := func(want bool) {
		t.Helper()
		if got := i.refresh(context.Background()); got != want {
			t.Errorf("reading the keys: %v", got)
		}
	}
	refresh(true)
	p.keys(two, one) // in another order
	refresh(true)
	if !first.Valid(c.now()) || !second.Valid(c.now()) || !third.Valid(c.now()) {
		t.Error("a token is not valid any more, though its key is there")
	}
	for _, h := range []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		},
		func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"keys":[], "x":"` + strings.Repeat("x", longestSource) + `"}`))
		},
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte(`{"keys":[]}`))
		},
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		p.answers(h)
		refresh(false)
		if !first.Valid(c.now()) || len(i.fitting(config.ES256, "")) != 2 {
			t.Error("what is wrong at the issuer's server took keys away")
		}
	}
	p.keys(two)
	refresh(true)
	if first.Valid(c.now()) || !second.Valid(c.now()) || !third.Valid(c.now()) {
		t.Error("one key was withdrawn; tokens are valid:", first.Valid(c.now()), second.Valid(c.now()), third.Valid(c.now()))
	}
	refused(t, v, tokenOf(t, keys(t, ours), "1"), "no key fits")
	p.keys()
	refresh(true)
	if second.Valid(c.now()) || !third.Valid(c.now()) {
		t.Error("all keys of the set were withdrawn")
	}
	status := v.Status()
	if len(status) != 1 || status[0].Issuer != "corp" || status[0].Keys != 1 || status[0].Succeeded != 5 || status[0].Failed != 6 || !status[0].Read.Equal(c.now()) {
		t.Errorf("%+v", status)
	}
}

// Keys that can not be read anew are used until max_age and not for ever.
func TestOldKeys(t *testing.T) {
	p := publish(t, false, jwkOf(keys(t, ours), "1"))
	v, c, i := startStill(t, fmt.Sprintf("corp:\nissuer: https://id.example.com\naudience: [riptide]\nalgorithms: [ES256]\nrefresh: 1h\nmax_age: 2h\njwks: {url: %q}\n", p.URL))
	long := sign(t, jwt.SigningMethodES256, keys(t, ours).ec, nil, object{"exp": noon + 100*3600})
	held := believed(t, v, long)
	p.fails()
	for _, at := range []int64{3600, 7200, 7201, 9000} {
		c.unix.Store(noon + at)
		i.refresh(context.Background())
		_, err := verify(v, long)
		if at <= 7200 && (err != nil || !held.Valid(c.now())) {
			t.Errorf("after %d s: %v", at, err)
		}
		if at > 7200 && (!errors.Is(err, ErrNoKeys) || held.Valid(c.now())) {
			t.Errorf("after %d s: %v", at, err)
		}
	}
	p.keys(jwkOf(keys(t, ours), "1"))
	i.refresh(context.Background())
	believed(t, v, long)
	if held.Valid(c.now()) {
		t.Error("a token is valid again that was not")
	}
}

// An issuer that does not answer keeps nobody waiting for long, and ends with the verifier.
func TestSilentIssuer(t *testing.T) {
	let := make(chan struct{})
	p := publish(t, false)
	p.answers(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-let:
		case <-r.Context().Done():
		}
	})
	defer close(let)
	v, _ := start(t, fmt.Sprintf("corp:\nissuer: https://id.example.com\naudience: [riptide]\nalgorithms: [ES256]\njwks: {url: %q}\n", p.URL))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := v.Verify(ctx, tokenOf(t, keys(t, ours), "1"))
		done <- err
	}()
	harness.Eventually(t, "the issuer is asked", func() bool { return p.asked.Load() > 0 })
	cancel() // the client has left
	if err := <-done; err == nil {
		t.Error("believed without a key")
	}
	v.Close()
}

// https is trusted by the CA that is given, and by no other.
func TestKeysOverTLS(t *testing.T) {
	p := publish(t, true, jwkOf(keys(t, ours), "1"))
	ca := harness.KeyFile(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
	v, _ := start(t, remote(p.URL, fmt.Sprintf(", ca: %q", ca)))
	believed(t, v, tokenOf(t, keys(t, ours), "1"))
	w, _ := start(t, remote(p.URL, ""))
	refused(t, w, tokenOf(t, keys(t, ours), "1"), "no key fits")
	for _, bad := range []string{"/nowhere", harness.KeyFile(t, []byte("x")), t.TempDir()} {
		if _, err := v.Load(parse(t, remote(p.URL, fmt.Sprintf(", ca: %q", bad)))); err == nil {
			t.Errorf("the CA %s is accepted", bad)
		}
	}
}

// A URL's query may hold a secret, and neither logs nor errors show it.
func TestSecretInURL(t *testing.T) {
	p := publish(t, false, jwkOf(keys(t, ours), "1"))
	var query atomic.Value
	p.answers(func(_ http.ResponseWriter, r *http.Request) {
		query.Store(r.URL.RawQuery)
		panic(http.ErrAbortHandler)
	})
	_, _, i := startStill(t, remote(p.URL+"/keys?code=hunter2", ""))
	if query.Load() != "code=hunter2" {
		t.Errorf("the query is %q", query.Load())
	}
	s := i.sources[1]
	if s.name != p.URL+"/keys" || s.wrong == "" || strings.Contains(s.wrong, "hunter2") {
		t.Errorf("%q: %q", s.name, s.wrong)
	}
}

// Another configuration leaves alone what it does not change, ends the rest, and changes nothing if it can not be had.
func TestAnotherConfiguration(t *testing.T) {
	k := keys(t, ours)
	key := harness.KeyFile(t, harness.PublicKey(t, &k.ec.PublicKey))
	issuer := func(more string) string {
		return fmt.Sprintf("corp:\nissuer: https://id.example.com\naudience: [riptide]\nalgorithms: [ES256]\nkeys: [{algorithm: ES256, file: %q}]\n", key) + more
	}
	other := fmt.Sprintf("other:\nissuer: other\naudience: [riptide]\nalgorithms: [HS256]\nkeys: [{algorithm: HS256, file: %q}]\n", harness.KeyFile(t, k.hmac))
	before := runtime.NumGoroutine()
	v, c := start(t, issuer(""))
	text := sign(t, jwt.SigningMethodES256, k.ec, nil, nil)
	held := believed(t, v, text)

	use(t, v, issuer(""), other)
	if !held.Valid(c.now()) {
		t.Error("another issuer beside ends the tokens of this one")
	}
	if _, err := v.Load(parse(t, issuer(""), strings.Replace(other, "other", "third", 1)+"jwks: {file: /nowhere}\n")); err == nil || !strings.Contains(err.Error(), "jwt.issuers.third: /nowhere: ") {
		t.Errorf("a file that there is not: %v", err)
	}
	if !held.Valid(c.now()) || len(v.Status()) != 2 {
		t.Error("a configuration that can not be had has changed something")
	}
	// The file has another key now, which is noticed though the configuration is the same.
	if err := os.WriteFile(key, harness.PublicKey(t, &keys(t, theirs).ec.PublicKey), 0o600); err != nil {
		t.Fatal(err)
	}
	use(t, v, issuer(""), other)
	harness.Eventually(t, "the key's file is read again", func() bool { return !held.Valid(c.now()) })
	refused(t, v, text, "signature")
	held = believed(t, v, sign(t, jwt.SigningMethodES256, keys(t, theirs).ec, nil, nil))

	use(t, v, issuer("tenants: [globex]\n"))
	if held.Valid(c.now()) {
		t.Error("a token that the configuration would not believe is valid")
	}
	refused(t, v, sign(t, jwt.SigningMethodHS256, k.hmac, nil, object{"iss": "other"}), "nobody of that name")
	use(t, v)
	if v.Looks([]byte(text)) {
		t.Error("without an issuer nothing is a token")
	}
	for range 20 {
		use(t, v, issuer(""), other)
		use(t, v)
	}
	harness.Eventually(t, "goroutines end with their issuers", func() bool { return runtime.NumGoroutine() <= before+1 })
	v.Close()
	use(t, v, issuer("")) // too late
	if v.Looks([]byte(text)) {
		t.Error("a verifier that is closed takes over a configuration")
	}
}

// What goes on at once: tokens, reading of keys, other configurations.
func TestAtOnce(t *testing.T) {
	p := publish(t, false, jwkOf(keys(t, ours), "1"))
	v, _ := start(t, remote(p.URL, ""))
	good, unknown := tokenOf(t, keys(t, ours), "1"), tokenOf(t, keys(t, theirs), "2")
	believed(t, v, good)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				verify(v, good)
				verify(v, unknown)
				v.Status()
				v.only()
			}
		})
	}
	for n := range 50 {
		use(t, v, remote(p.URL, ""))
		use(t, v, strings.Replace(remote(p.URL, ""), "[riptide]", fmt.Sprintf("[riptide, x%d]", n), 1))
	}
	close(stop)
	all.Wait()
	believed(t, v, good)
}
