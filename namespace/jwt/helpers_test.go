package jwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// keyring has a key of each kind, and others that nobody knows.
type keyring struct {
	hmac   []byte
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
	public map[config.JWTAlgorithm]any
}

func newKeyring() (*keyring, error) {
	var k keyring
	k.hmac = make([]byte, 32)
	rand.Read(k.hmac)
	k.hmac[31] = 'x' // no line's end
	var err error
	if k.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	if k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if _, k.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	k.public = map[config.JWTAlgorithm]any{config.RS256: &k.rsa.PublicKey, config.ES256: &k.ec.PublicKey, config.EdDSA: k.ed.Public()}
	return &k, nil
}

var (
	ours   = sync.OnceValues(newKeyring)
	theirs = sync.OnceValues(newKeyring)
)

func keys(t testing.TB, of func() (*keyring, error)) *keyring {
	t.Helper()
	k, err := of()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// clock is one that tests set.
type clock struct{ unix atomic.Int64 }

const noon = 1_800_000_000

func (c *clock) now() time.Time { return time.Unix(c.unix.Load(), 0) }

// parse makes a configuration of an issuer's lines, each without its six spaces.
func parse(t testing.TB, lines ...string) *config.JWT {
	t.Helper()
	text := "upstream: {mode: embedded}\ntenants: {acme: {users: {default: {}}}, globex: {users: {default: {}}}}\njwt:\n  issuers:\n"
	for _, issuer := range lines {
		name, rest, _ := strings.Cut(issuer, "\n")
		text += "    " + name + "\n"
		for line := range strings.Lines(rest) {
			text += "      " + line
		}
		text += "\n"
	}
	c, _, err := config.Parse("test.yaml", []byte(text), nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return &c.JWT
}

// corp is an issuer with a key of each kind, and further lines.
func corp(t testing.TB, more string) string {
	k := keys(t, ours)
	return fmt.Sprintf(`corp:
issuer: https://id.example.com
audience: [riptide]
algorithms: [HS256, RS256, ES256, EdDSA]
keys:
  - {algorithm: HS256, file: %q}
  - {algorithm: RS256, file: %q, id: r1}
  - {algorithm: ES256, file: %q}
  - {algorithm: EdDSA, file: %q}
`, harness.KeyFile(t, k.hmac), harness.KeyFile(t, harness.PublicKey(t, &k.rsa.PublicKey)), harness.KeyFile(t, harness.PublicKey(t, &k.ec.PublicKey)), harness.KeyFile(t, harness.PublicKey(t, k.ed.Public()))) + more
}

// start makes a verifier whose clock stands at noon.
func start(t testing.TB, issuers ...string) (*Verifier, *clock) {
	t.Helper()
	v, c := New(), new(clock)
	c.unix.Store(noon)
	v.now = c.now
	t.Cleanup(v.Close)
	use(t, v, issuers...)
	return v, c
}

// startStill makes one whose issuer reads its keys when it is told to, and only then.
func startStill(t testing.TB, lines string) (*Verifier, *clock, *issuer) {
	t.Helper()
	v, c := start(t)
	next, err := v.Load(parse(t, lines))
	if err != nil {
		t.Fatal(err)
	}
	v.issuers.Store(next)
	i := v.only()
	i.asked = c.now().Add(1e6 * time.Second) // so that it is not asked for keys that are not known
	i.refresh(context.Background())
	return v, c, i
}

// only is the issuer of tokens that sign makes.
func (v *Verifier) only() *issuer { return v.issuers.Load().byClaim["https://id.example.com"] }

func use(t testing.TB, v *Verifier, issuers ...string) {
	t.Helper()
	next, err := v.Load(parse(t, issuers...))
	if err != nil {
		t.Fatal(err)
	}
	v.Use(next)
}

type object = map[string]any

// sign makes a token of corp's for acme that lasts an hour, with changes: nil leaves a claim out.
func sign(t testing.TB, method jwt.SigningMethod, key any, header, changes object) string {
	t.Helper()
	return harness.Token(t, method, key, header, object{
		"iss": "https://id.example.com", "aud": "riptide", "sub": "somebody", "tenant": "acme", "exp": noon + 3600,
	}, changes)
}

func verify(v *Verifier, token string) (*Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return v.Verify(ctx, token)
}

// refused wants an error that says something.
func refused(t *testing.T, v *Verifier, token, reason string) {
	t.Helper()
	if _, err := verify(v, token); err == nil || !strings.Contains(err.Error(), reason) {
		t.Errorf("%v; want %q", err, reason)
	}
}

func believed(t *testing.T, v *Verifier, token string) *Token {
	t.Helper()
	got, err := verify(v, token)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
