package proxy

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

const wrongPass = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"

// wantCounts compares how often things are recorded, whoever was first.
func wantCounts(t *testing.T, lines []auditLine, want map[string]int) {
	t.Helper()
	got := map[string]int{}
	for _, l := range lines {
		n := max(1, l.Count)
		l.Count = 0
		got[strings.TrimSpace(l.Tenant+"."+l.User+" "+l.short())] += n
		if l.Client == "" {
			t.Errorf("no client: %+v", l)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("recorded %v, want %v", got, want)
	}
}

// A token that is revoked ends its connections with the configuration that says so, on every loop, and logs in no more; another
// of the same issuer, and a secret, are not concerned. All of it is in the audit log.
func TestTokenRevoked(t *testing.T) {
	t.Parallel()
	s, lines := startAudited(t, "level: none", options{loops: 2})
	tenants := map[string]string{"acme": ""}
	revoked := func(list string) string {
		return strings.Replace(tokensOf(", user_claim: user"), "jwt: {", "jwt: {revoked: ["+list+"], ", 1)
	}
	apply(t, s, tenants, revoked(""))
	text := tokenFor(t, "acme", "default")
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(text, claims); err != nil {
		t.Fatal(err)
	}
	var all []*client
	for range 6 { // some on each loop, which remembers the token
		c := dial(t, s)
		c.expect("+OK\r\n", "AUTH", text)
		all = append(all, c)
	}
	all[0].send("SUBSCRIBE channel")
	all[0].next()
	other, secret := dial(t, s), login(t, s, "acme")
	other.expect("+OK\r\n", "AUTH", tokenFor(t, "acme", "second"))
	apply(t, s, tenants, revoked(fmt.Sprintf("{issuer: corp, id: %q}", claims["jti"])))
	for _, c := range all {
		c.ends()
	}
	for range 4 {
		dial(t, s).expect(wrongPass, "AUTH", text)
	}
	other.expect("+PONG\r\n", "PING")
	secret.expect("+PONG\r\n", "PING")
	if n := s.tokensOver.Load(); n != 6 {
		t.Errorf("%d sessions are counted that ended with their token", n)
	}
	apply(t, s, tenants, revoked(""))
	dial(t, s).expect("+OK\r\n", "AUTH", text)
	wantCounts(t, lines(), map[string]int{
		"acme.default login ok": 8, "acme.second login ok": 1, "acme.default revoked closed": 6, ". login WRONGPASS": 4,
	})
}

// Logins with tokens are in the audit log: of whom, as far as a token is right, and what became of them; and so is the
// end of those whose tenant or issuer is no more what it was.
func TestTokensAreAudited(t *testing.T) {
	t.Parallel()
	s, lines := startAudited(t, "level: none", options{})
	both := map[string]string{"acme": "", "globex": ""}
	users := tokensOf(", user_claim: user")
	apply(t, s, both, users)
	in, second, other := dial(t, s), dial(t, s), dial(t, s)
	in.expect("+OK\r\n", "AUTH", tokenFor(t, "acme", "default"))
	second.expect("+OK\r\n", "AUTH", "acme.second", tokenFor(t, "acme", "second"))
	other.expect("+OK\r\n", "AUTH", tokenFor(t, "globex", "default"))
	wrong := dial(t, s)
	wrong.expect(wrongPass, "AUTH", tokenFor(t, "acme", "nobody"))
	wrong.expect(wrongPass, "AUTH", tokenFor(t, "nobody", "default"))
	wrong.expect(wrongPass, "AUTH", "globex", tokenFor(t, "acme", "default"))
	wrong.expect(wrongPass, "AUTH", tokenFor(t, "acme", "default")+"x")
	apply(t, s, map[string]string{"acme": "", "globex": ", suspended: true"}, users)
	other.ends()
	wrong.expect("-NOPERM this tenant is suspended\r\n", "AUTH", tokenFor(t, "globex", "default"))
	apply(t, s, map[string]string{"acme": ""}) // no issuer
	in.ends()
	second.ends()
	wantCounts(t, lines(), map[string]int{
		"acme.default login ok": 1, "acme.second login ok": 1, "globex.default login ok": 1,
		". login WRONGPASS": 3, "acme.default login WRONGPASS": 1, "globex.default login NOPERM": 1,
		"globex.default revoked closed": 1, "acme.default revoked closed": 1, "acme.second revoked closed": 1,
	})
}

// Who comes from where the tenant's clients may not be learns nothing of the tenant, whatever it proves itself with.
func TestSuspendedIsNotToldElsewhere(t *testing.T) {
	t.Parallel()
	s, lines := startAudited(t, "level: none", options{})
	apply(t, s, map[string]string{"acme": ", suspended: true, networks: [192.0.2.0/24]", "globex": ", suspended: true"}, tokensOf(""))
	c := dial(t, s)
	token := tokenFor(t, "acme", "default")
	c.expect(wrongPass, "AUTH", token)
	c.expect(wrongPass, "AUTH", token) // which the loop remembers
	c.expect(wrongPass, "AUTH", "acme", token)
	c.expect(wrongPass, "AUTH", "acme", secretOf("acme"))
	if n := s.doors.elsewhere.Load(); n != 4 {
		t.Errorf("%d logins are counted as from elsewhere", n)
	}
	c.expect("-NOPERM this tenant is suspended\r\n", "AUTH", tokenFor(t, "globex", "default"))
	c.expect("-NOPERM this tenant is suspended\r\n", "AUTH", "globex", secretOf("globex"))
	wantCounts(t, lines(), map[string]int{"acme.default login WRONGPASS": 4, "globex.default login NOPERM": 2})
}
