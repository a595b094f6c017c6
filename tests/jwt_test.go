package tests

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"riptide-proxy/config"
	"riptide-proxy/tests/harness"
)

// claims are those of a token, without what changes from test to test.
type claims = map[string]any

// token is one of the issuer "corp" for acme, with changes: nil leaves a claim out.
func token(t *testing.T, method jwt.SigningMethod, key any, header, changes claims) string {
	t.Helper()
	return harness.Token(t, method, key, header, claims{
		"iss": "https://id.example.com", "aud": "riptide", "sub": "somebody", "tenant": "acme",
		"exp": time.Now().Add(time.Hour).Unix(), "nbf": time.Now().Add(-time.Minute).Unix(),
	}, changes)
}

// pemFile writes a public key to a file.
func pemFile(t *testing.T, public any) string {
	t.Helper()
	return harness.KeyFile(t, harness.PublicKey(t, public))
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// closed waits until the proxy has closed a connection.
func closed(t *testing.T, c *harness.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if b, err := c.R.ReadByte(); err == nil {
		t.Fatalf("got %q, want the end", b)
	} else if strings.Contains(err.Error(), "timeout") {
		t.Fatal("the connection was not closed")
	}
}

const hmacSecret = "a secret of the tests, thirty-two bytes and more"

const issuerYAML = `jwt:
  issuers:
    corp:
      issuer: https://id.example.com
      audience: [riptide, "other name"]
      leeway: 0s
`

// Tokens of every algorithm log in, as whom they say; what is wrong with any part of one is answered
// as a wrong secret is.
func TestTokenLogin(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec, other := ecKey(t), ecKey(t)
	edPublic, ed, _ := ed25519.GenerateKey(rand.Reader)
	rsaFile := pemFile(t, &rsaKey.PublicKey)
	p := harness.StartProxy(t, r.Addr, harness.Options{
		Tenants: []harness.Tenant{
			{ID: "acme", Secret: "acme-secret", YAML: fmt.Sprintf("      reader: {}\n      human: {argon2id: [%q]}\n", config.HashArgon2id("human"))},
			harness.Globex, {ID: "gone", Secret: "gone-secret", YAML: "    suspended: true\n"}, {ID: "third", Secret: "third-secret"},
		},
		Top: issuerYAML + fmt.Sprintf(`      algorithms: [HS256, RS256, ES256, EdDSA]
      tenants: [acme, globex, gone]
      user_claim: /riptide/user
      keys:
        - {algorithm: HS256, secret: %q, id: h}
        - {algorithm: RS256, file: %q}
        - {algorithm: ES256, file: %q}
        - {algorithm: EdDSA, file: %q}
`, hmacSecret, rsaFile, pemFile(t, &ec.PublicKey), pemFile(t, edPublic)),
	})
	p.Ready(t)
	user := func(name string) claims { return claims{"riptide": claims{"user": name}} }
	with := func(changes claims) claims {
		all := user("default")
		maps.Copy(all, changes)
		return all
	}
	good := with(nil)
	secret, public := []byte(hmacSecret), sure(os.ReadFile(rsaFile))
	es := func(changes claims) string { return token(t, jwt.SigningMethodES256, ec, nil, with(changes)) }
	valid := es(nil)
	parts := strings.Split(valid, ".")
	now := time.Now()
	for _, tc := range []struct {
		name, user, token, want string
	}{
		{"HS256", "default", token(t, jwt.SigningMethodHS256, secret, claims{"kid": "h"}, good), "acme"},
		{"HS256 without kid", "default", token(t, jwt.SigningMethodHS256, secret, nil, good), "acme"},
		{"RS256", "default", token(t, jwt.SigningMethodRS256, rsaKey, nil, good), "acme"},
		{"ES256", "default", valid, "acme"},
		{"EdDSA", "default", token(t, jwt.SigningMethodEdDSA, ed, nil, good), "acme"},
		{"by the tenant's name", "acme", valid, "acme"},
		{"by the user's name", "acme.reader", token(t, jwt.SigningMethodES256, ec, nil, user("reader")), "acme.reader"},
		{"another tenant", "default", es(claims{"tenant": "globex"}), "globex"},
		{"several audiences", "default", es(claims{"aud": []string{"x", "other name"}}), "acme"},
		{"a type of its own", "default", token(t, jwt.SigningMethodES256, ec, claims{"typ": "at+jwt"}, good), "acme"},

		{"somebody else's name", "globex", valid, ""},
		{"another user's name", "acme.reader", valid, ""},
		{"nobody's name", "nobody", valid, ""},
		{"a user that there is not", "default", token(t, jwt.SigningMethodES256, ec, nil, user("root")), ""},
		{"no user", "default", es(claims{"riptide": claims{}}), ""},
		{"a user of another kind", "default", es(claims{"riptide": claims{"user": []string{"default"}}}), ""},
		{"a tenant that there is not", "default", es(claims{"tenant": "nobody"}), ""},
		{"a tenant of another issuer's", "default", es(claims{"tenant": "third"}), ""},
		{"tenants in a list", "default", es(claims{"tenant": []string{"acme"}}), ""},
		{"no tenant", "default", es(claims{"tenant": nil}), ""},
		{"an empty tenant", "default", es(claims{"tenant": ""}), ""},
		{"a tenant and user in one", "default", es(claims{"tenant": "acme.reader"}), ""},
		{"a suspended tenant", "default", es(claims{"tenant": "gone"}), "NOPERM"},
		{"expired", "default", es(claims{"exp": now.Add(-2 * time.Second).Unix()}), ""},
		{"no expiry", "default", es(claims{"exp": nil}), ""},
		{"expiry 0", "default", es(claims{"exp": 0}), ""},
		{"expiry beyond dates", "default", es(claims{"exp": 1e300}), ""},
		{"expiry as a text", "default", es(claims{"exp": fmt.Sprint(now.Add(time.Hour).Unix())}), ""},
		{"not yet", "default", es(claims{"nbf": now.Add(time.Minute).Unix()}), ""},
		{"not before a text", "default", es(claims{"nbf": "now"}), ""},
		{"another issuer", "default", es(claims{"iss": "https://id.example.com/"}), ""},
		{"no issuer", "default", es(claims{"iss": nil}), ""},
		{"another audience", "default", es(claims{"aud": "riptide2"}), ""},
		{"no audience", "default", es(claims{"aud": nil}), ""},
		{"another key", "default", token(t, jwt.SigningMethodES256, other, nil, good), ""},
		{"another key's id", "default", token(t, jwt.SigningMethodHS256, secret, claims{"kid": "../../etc/passwd"}, good), ""},
		{"a key of its own", "default", token(t, jwt.SigningMethodES256, other, claims{"jwk": jose.JSONWebKey{Key: &other.PublicKey}}, good), ""},
		{"none", "default", token(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, good), ""},
		{"None", "default", segment(`{"alg":"None"}`) + "." + parts[1] + ".", ""},
		{"none with a signature", "default", segment(`{"alg":"none"}`) + "." + parts[1] + "." + parts[2], ""},
		{"the public key as a secret", "default", token(t, jwt.SigningMethodHS256, public, nil, good), ""},
		{"an algorithm that is not allowed", "default", token(t, jwt.SigningMethodHS512, secret, nil, good), ""},
		{"RSA-PSS with an RSA key", "default", token(t, jwt.SigningMethodPS256, rsaKey, nil, good), ""},
		{"another type", "default", token(t, jwt.SigningMethodES256, ec, claims{"typ": "logout+jwt"}, good), ""},
		{"critical extensions", "default", token(t, jwt.SigningMethodES256, ec, claims{"crit": []string{"exp"}}, good), ""},
		{"other claims", "default", parts[0] + "." + strings.Split(es(claims{"tenant": "globex"}), ".")[1] + "." + parts[2], ""},
		{"without a signature", "default", parts[0] + "." + parts[1] + ".", ""},
		{"a bit more", "default", valid + "A", ""},
		{"with padding", "default", valid + "==", ""},
	} {
		c := dial(t, p)
		want := wrongPass
		switch tc.want {
		case "":
		case "NOPERM":
			want = "-NOPERM this tenant is suspended\r\n"
		default:
			want = "+OK\r\n"
		}
		reply, err := c.Do("AUTH", tc.user, tc.token)
		if err != nil || reply != want {
			t.Errorf("%s: %.100q, %v; want %q", tc.name, reply, err, want)
			continue
		}
		if want == "+OK\r\n" {
			expect(t, c, fmt.Sprintf("$%d\r\n%s\r\n", len(tc.want), tc.want), "ACL", "WHOAMI")
			expect(t, dial(t, p), "+OK\r\n", "AUTH", tc.user, tc.token) // remembered
			expect(t, dial(t, p), "%7\r\n", "HELLO", "3", "AUTH", tc.user, tc.token)
		} else {
			expect(t, c, "-NOAUTH ", "GET", "k")
		}
	}
	c := dial(t, p)
	expect(t, c, "+OK\r\n", "AUTH", valid) // with nothing beside
	expect(t, c, "+OK\r\n", "SET", "k", "v")
	expect(t, c, wrongPass, "AUTH", es(claims{"tenant": "globex", "aud": "x"}))
	expect(t, c, "$1\r\nv\r\n", "GET", "k") // still who it was
	expect(t, c, "+OK\r\n", "AUTH", es(claims{"tenant": "globex"}))
	expect(t, c, "$-1\r\n", "GET", "k")
	expect(t, c, "+OK\r\n", "AUTH", "acme", "acme-secret")
	expect(t, c, "$1\r\nv\r\n", "GET", "k")
	expect(t, c, wrongPass, "AUTH", strings.Repeat("eyJ", 1<<20)+".e30.")
	if log := p.Log(); strings.Contains(log, parts[2]) || strings.Contains(log, hmacSecret) {
		t.Error("a token or a secret is in the log")
	}
}

func sure[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// A connection ends with its token, whatever it is doing; one that logs in again with another goes on.
func TestTokenEndsSession(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	key := ecKey(t)
	p := harness.StartProxy(t, r.Addr, harness.Options{
		Top: issuerYAML + fmt.Sprintf("      algorithms: [ES256]\n      keys: [{algorithm: ES256, file: %q}]\n", pemFile(t, &key.PublicKey)),
	})
	p.Ready(t)
	end := time.Now().Add(3 * time.Second).Truncate(time.Second)
	short := token(t, jwt.SigningMethodES256, key, nil, claims{"exp": end.Unix()})
	long := token(t, jwt.SigningMethodES256, key, nil, nil)
	login := func(with string) *harness.Conn {
		c := dial(t, p)
		expect(t, c, "+OK\r\n", "AUTH", "acme", with)
		return c
	}
	idle, blocked, subscribed, watching := login(short), login(short), login(short), login(short)
	expect(t, subscribed, "*3\r\n", "SUBSCRIBE", "channel")
	expect(t, watching, "+OK\r\n", "MULTI")
	if err := blocked.Send("BLPOP", "list", "0"); err != nil {
		t.Fatal(err)
	}
	renewed, changed, reset, secret := login(short), login(short), login(short), login(short)
	expect(t, renewed, "+OK\r\n", "CLIENT", "SETNAME", "me")
	expect(t, renewed, "+OK\r\n", "AUTH", long)
	expect(t, changed, "+OK\r\n", "AUTH", "globex", "globex-secret")
	expect(t, secret, "+OK\r\n", "AUTH", "acme", "acme-secret")
	expect(t, reset, "+RESET\r\n", "RESET")
	expect(t, idle, "+PONG\r\n", "PING")
	for _, c := range []*harness.Conn{idle, blocked, subscribed, watching} {
		closed(t, c)
		if time.Now().Before(end) {
			t.Error("closed before its token was over")
		}
	}
	expect(t, dial(t, p), wrongPass, "AUTH", "acme", short) // which is remembered
	expect(t, renewed, "$2\r\nme\r\n", "CLIENT", "GETNAME")
	expect(t, changed, "+PONG\r\n", "PING")
	expect(t, secret, "+PONG\r\n", "PING")
	expect(t, reset, "-NOAUTH ", "PING")
	harness.Eventually(t, "the sessions that ended are counted", func() bool {
		return strings.Contains(get(t, "http://"+p.Admin+"/metrics"), "riptide_jwt_sessions_ended_total 4")
	})
}

func get(t *testing.T, url string) string {
	t.Helper()
	reply, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	var b strings.Builder
	if err := reply.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Keys come and go at the issuer's URL: a token with a new key has it read at once, and sessions whose
// key was withdrawn end.
func TestTokenKeysFromURL(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	first, second := ecKey(t), ecKey(t)
	var set atomic.Pointer[jose.JSONWebKeySet]
	publish := func(keys ...jose.JSONWebKey) { set.Store(&jose.JSONWebKeySet{Keys: keys}) }
	one := jose.JSONWebKey{Key: &first.PublicKey, KeyID: "1", Algorithm: "ES256", Use: "sig"}
	two := jose.JSONWebKey{Key: &second.PublicKey, KeyID: "2"}
	var asked, away atomic.Int64
	away.Store(1)
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if away.Load() > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		json.NewEncoder(w).Encode(set.Load())
	}))
	defer issuer.Close()
	publish(one)
	p := harness.StartProxy(t, r.Addr, harness.Options{
		Top: issuerYAML + fmt.Sprintf("      algorithms: [ES256]\n      refresh: 1s\n      jwks: {url: %q}\n", issuer.URL+"/keys"),
	})
	p.Ready(t)
	byFirst := token(t, jwt.SigningMethodES256, first, claims{"kid": "1"}, nil)
	bySecond := token(t, jwt.SigningMethodES256, second, claims{"kid": "2"}, nil)
	c := dial(t, p)
	expect(t, c, "-UNAVAILABLE ", "AUTH", byFirst)
	away.Store(0)
	harness.Eventually(t, "the issuer's keys are there", func() bool {
		reply, err := c.Do("AUTH", byFirst)
		return err == nil && reply == "+OK\r\n"
	})
	expect(t, dial(t, p), wrongPass, "AUTH", bySecond)
	publish(one, two)
	d := dial(t, p)
	harness.Eventually(t, "the second key is there", func() bool {
		reply, err := d.Do("AUTH", bySecond)
		return err == nil && reply == "+OK\r\n"
	})
	away.Store(1) // what was read stays
	n := asked.Load()
	harness.Eventually(t, "it is asked again", func() bool { return asked.Load() > n+1 })
	expect(t, c, "+PONG\r\n", "PING")
	publish(two)
	away.Store(0)
	closed(t, c)
	expect(t, d, "+PONG\r\n", "PING")
	expect(t, dial(t, p), wrongPass, "AUTH", byFirst)
	if metrics := get(t, "http://"+p.Admin+"/metrics"); !strings.Contains(metrics, `riptide_jwt_keys{issuer="corp"} 1`) {
		t.Error("the number of keys is not in the metrics")
	}
}
