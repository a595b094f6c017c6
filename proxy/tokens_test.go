package proxy

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

const tokenSecret = "0123456789abcdef0123456789abcdef"

// tokensOf is an issuer's section with further keys.
func tokensOf(more string) string {
	return "jwt: {issuers: {corp: {issuer: corp, audience: [riptide], algorithms: [HS256], keys: [{algorithm: HS256, secret: " + tokenSecret + "}]" + more + "}}}"
}

func tokenFor(t testing.TB, tenant, user string) string {
	t.Helper()
	return harness.Token(t, jwt.SigningMethodHS256, []byte(tokenSecret), nil, map[string]any{
		"iss": "corp", "aud": "riptide", "tenant": tenant, "user": user, "jti": rand.Text(), "exp": time.Now().Add(time.Hour).Unix(),
	}, nil)
}

// Who has logged in with a token stays if another configuration would let him in too, and ends if not.
func TestApplyTokens(t *testing.T) {
	s := startEmbedded(t, options{loops: 2})
	both := map[string]string{"acme": "", "globex": ""}
	users := tokensOf(", user_claim: user")
	apply(t, s, both, users)
	with := func(tenant, user, want string) *client {
		t.Helper()
		c := dial(t, s)
		c.expect(want, "AUTH", tokenFor(t, tenant, user))
		return c
	}
	const wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
	c, second, other := with("acme", "default", "+OK\r\n"), with("acme", "second", "+OK\r\n"), with("globex", "default", "+OK\r\n")
	secret := login(t, s, "acme")

	apply(t, s, map[string]string{"acme": ", quotas: {keys: 1000}", "globex": "", "third": ""}, users)
	c.expect("+OK\r\n", "SET", "k", "v")
	second.expect("$1\r\nv\r\n", "GET", "k")

	cfg := configOf(t, s, both, users)
	delete(cfg.Tenants["acme"].Users, "second")
	if err := s.Apply(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	second.ends()
	with("acme", "second", wrong)
	c.expect("$1\r\nv\r\n", "GET", "k")

	cfg = configOf(t, s, both, users)
	delete(cfg.Tenants["acme"].Users, "second")
	cfg.JWT.Issuers["corp"].Keys[0] = config.JWTKey{Algorithm: config.HS256, File: filepath.Join(t.TempDir(), "none")}
	if err := s.Apply(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "jwt.issuers.corp: ") {
		t.Errorf("a key's file that there is not: %v", err)
	}
	c.expect("$1\r\nv\r\n", "GET", "k")

	apply(t, s, map[string]string{"acme": "", "globex": ", suspended: true"}, users)
	other.ends()
	with("globex", "default", "-NOPERM this tenant is suspended\r\n")
	c.expect("$1\r\nv\r\n", "GET", "k")

	apply(t, s, both, tokensOf(", user_claim: user, tenants: [globex]"))
	c.ends()
	with("acme", "default", wrong) // which every loop remembers to have believed
	with("acme", "default", wrong)
	last := with("globex", "default", "+OK\r\n")

	apply(t, s, both)
	last.ends()
	with("globex", "default", wrong)
	secret.expect("$1\r\nv\r\n", "GET", "k")
	if n := s.tokensOver.Load(); n != 2 {
		t.Errorf("%d sessions are counted that ended with their token", n)
	}
}

// A key that is withdrawn from a file ends sessions without another configuration.
func TestTokenKeyWithdrawn(t *testing.T) {
	s := startEmbedded(t, options{})
	file := filepath.Join(t.TempDir(), "secret")
	write := func(secret string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(tokenSecret)
	issuer := strings.Replace(tokensOf(", refresh: 1s"), "secret: "+tokenSecret, fmt.Sprintf("file: %q", file), 1)
	apply(t, s, map[string]string{"acme": ""}, issuer)
	c := dial(t, s)
	c.expect("+OK\r\n", "AUTH", "acme", tokenFor(t, "acme", ""))
	c.expect("+PONG\r\n", "PING")
	write(strings.ToUpper(tokenSecret))
	c.ends()
}

// A loop does not remember more tokens than it may.
func TestTokensAreBounded(t *testing.T) {
	l := newTokens()
	for n := range 3 * maxTokens {
		l.Add([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}, nil)
	}
	if l.Len() != maxTokens {
		t.Errorf("%d tokens", l.Len())
	}
}

// BenchmarkLogin is a login with the way there and back: with a secret, with a token that the loop remembers, and with
// tokens that it does not.
func BenchmarkLogin(b *testing.B) {
	s := startEmbedded(b, options{})
	apply(b, s, map[string]string{"acme": ""}, tokensOf(", user_claim: user"))
	many := make([]string, maxTokens+1)
	for n := range many {
		many[n] = tokenFor(b, "acme", "default")
	}
	for name, with := range map[string][]string{"secret": {secretOf("acme")}, "remembered": many[:1], "new": many} {
		b.Run(name, func(b *testing.B) {
			c := dial(b, s)
			for n := 0; b.Loop(); n++ {
				c.expect("+OK\r\n", "AUTH", "acme", with[n%len(with)])
			}
		})
	}
}
